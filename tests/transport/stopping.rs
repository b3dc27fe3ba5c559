//! A smarthost transport that has to leave while the smarthost says nothing.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::fake_smarthost::{Act, FakeSmarthost, Script};
use crate::requests::{Pieces, deliver, envelope, letters, settings};
use leafmail::transport::{Delivery, Leaving, RouteFailure, RouteSettings, dispatch};

/// Longer than any wait here should be, and shorter than the time-outs.
const SOON: Duration = Duration::from_secs(2);

/// One message, and after a while the call to leave; what comes of it, and how long after the call.
fn told_to_leave(settings: &RouteSettings, patience: Duration) -> (Result<Delivery, RouteFailure>, Duration) {
    let leaving = Leaving::with_patience(patience);
    let mut transport = dispatch(std::slice::from_ref(settings), leaving.clone()).unwrap().transport();
    thread::scope(|scope| {
        let call = scope.spawn(move || {
            thread::sleep(Duration::from_millis(300));
            leaving.raise();
            Instant::now()
        });
        let mut body = Pieces::of(b"Subject: x\r\n\r\nhello\r\n");
        let result = deliver(&mut *transport, &envelope("me@y.example", &["a@x.example"]), &mut body);
        transport.disconnect();
        (result, call.join().unwrap().elapsed())
    })
}

fn stalls_at(script: Script, step: &str, patience: Duration) -> (Result<Delivery, RouteFailure>, Duration) {
    let smarthost = FakeSmarthost::start(script.always(step, Act::Stall));
    told_to_leave(&settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port())), patience)
}

#[test]
fn before_the_message_is_handed_over_nobody_is_judged() {
    for step in ["greeting", "EHLO", "MAIL", "RCPT", "DATA"] {
        let (result, waited) = stalls_at(Script::new(), step, Duration::from_secs(60));
        let fault = result.expect_err(step);
        assert!(fault.reason.text.contains("told to leave"), "{step}: {fault}");
        assert!(waited < SOON, "{step}: {waited:?}");
    }
}

#[test]
fn a_handshake_that_stalls_is_broken_off() {
    // The system takes the connection, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtps://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (result, waited) = told_to_leave(&settings(&url), Duration::from_secs(60));
    assert!(result.unwrap_err().reason.text.contains("told to leave"));
    assert!(waited < SOON, "{waited:?}");
}

#[test]
fn after_it_was_handed_over_the_answer_is_waited_for_but_not_for_long() {
    for script in [Script::new(), Script::new().offers(["PIPELINING"])] {
        let patience = Duration::from_millis(500);
        let (result, waited) = stalls_at(script, "end", patience);
        assert_eq!(letters(&result.unwrap().outcomes), ["?4.4.2"]);
        assert!(waited >= patience - Duration::from_millis(100) && waited < SOON, "{waited:?}");
    }
}

#[test]
fn an_answer_that_comes_in_time_counts() {
    let late = Act::Late(Duration::from_millis(800), Box::new(Act::Pass));
    let smarthost = FakeSmarthost::start(Script::new().always("end", late));
    let url = format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port());
    let (result, _) = told_to_leave(&settings(&url), Duration::from_secs(60));
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
}
