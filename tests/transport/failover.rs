//! Several next hops of one route, against real connections: who gets the message where the first does not work.

use crate::captured_log::{capture, captured};
use crate::fake_smarthost::{Act, FakeSmarthost, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings};
use leafmail::transport::{Leaving, RouteSettings, dispatch};

const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn plain(smarthost: &FakeSmarthost) -> RouteSettings {
    settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()))
}

#[test]
fn whatever_fails_before_the_message_leads_to_the_next_hop() {
    capture();
    for (step, act) in [
        ("greeting", reply("554 no")),
        ("greeting", Act::Close),
        ("EHLO", Act::SendAndClose(b"421 busy\r\n".to_vec())),
        ("MAIL", reply("530 5.7.0 authenticate first")),
        ("RCPT", reply("550 5.4.5 Daily user sending limit exceeded")),
        ("DATA", reply("421 4.3.2 closing")),
    ] {
        let (first, second) =
            (FakeSmarthost::start(Script::new().always(step, act)), FakeSmarthost::start(Script::new()));
        let hops = [RouteSettings { name: format!("to-{step}"), ..plain(&first) }, plain(&second)];
        let mut transport = dispatch(&hops, Leaving::default()).unwrap().transport();
        for _ in 0..2 {
            let sent = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT));
            assert_eq!(letters(&sent.unwrap().outcomes), ["D2.0.0"], "{step}");
        }
        assert_eq!(second.record().messages, [TEXT, TEXT], "{step}");
        let tries = if step == "DATA" { 2 } else { 1 };
        assert_eq!(first.record().connections, tries, "{step}: it is left alone");
        let line = format!("route to-{step}: smtp://127.0.0.1:{}?tls=none does not work", first.address.port());
        assert!(captured().contains(&line), "{line}");
    }
}

#[test]
fn a_recipient_or_a_message_that_is_refused_is_refused() {
    let script = Script::new().refuses("a@x.example", "550 5.1.1 unknown").on("end", reply("554 5.6.0 spam"));
    let (first, second) = (FakeSmarthost::start(script), FakeSmarthost::start(Script::new()));
    let mut transport = dispatch(&[plain(&first), plain(&second)], Leaving::default()).unwrap().transport();
    for to in ["a@x.example", "b@x.example"] {
        let sent = deliver(&mut *transport, &envelope("", &[to]), &mut Pieces::of(TEXT));
        assert!(letters(&sent.unwrap().outcomes)[0].starts_with('F'), "{to}");
    }
    assert_eq!(second.record().connections, 0);
}

#[test]
fn a_folder_can_be_the_last_resort() {
    let folder = tempfile::tempdir().unwrap();
    let first = FakeSmarthost::start(Script::new().always("greeting", Act::Close));
    let hops = [plain(&first), settings(&format!("maildir:{}", folder.path().join("m").display()))];
    let mut transport = dispatch(&hops, Leaving::default()).unwrap().transport();
    let sent = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT));
    assert_eq!(letters(&sent.unwrap().outcomes), ["D2.0.0"]);
    assert_eq!(std::fs::read_dir(folder.path().join("m/new")).unwrap().count(), 1);
}

#[test]
fn a_route_needs_a_next_hop_and_each_must_be_in_order() {
    let refused = |hops: &[RouteSettings]| dispatch(hops, Leaving::default()).map(|_| ()).unwrap_err().to_string();
    assert!(refused(&[]).contains("expected a next hop"));
    assert!(refused(&[settings("maildir:/m"), settings("smtp://me@x")]).contains("expected a password"));
}
