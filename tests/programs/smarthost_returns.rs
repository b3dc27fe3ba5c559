//! A smarthost that goes away while mail comes in, and comes back at the same address: one probe finds it, and everything goes.

use std::fs;

use crate::site::{Running, Site, free_port, wait_until};

const WAITING: usize = 5;

/// The smarthost, at its address.
fn start(smarthost: &Site, port: u16) -> Running {
    let mut command = smarthost.smtpd();
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--deliver"]);
    let running = Running::start(command);
    running.wait_for_log("listening on");
    running
}

#[test]
fn a_smarthost_that_comes_back_at_its_address_is_found_by_a_probe() {
    let (smarthost, site, port) = (Site::new(""), Site::new(""), free_port());
    let text = fs::read_to_string(site.config()).unwrap();
    let relay = format!("[relay]\nurl = \"smtp://127.0.0.1:{port}?tls=none\"\n#");
    fs::write(site.config(), text.replace("[relay]\n", &relay)).unwrap();
    let smtpd = site.listen(&[]);
    let watch = site.watch(&[]);
    let send = |number: usize| {
        let text = format!("Subject: {number}\r\n\r\n");
        smtpd.client().submit("joe@example.com", &["bob@example.net"], text.as_bytes())
    };
    let serving = start(&smarthost, port);
    send(0);
    wait_until("the first message", || smarthost.delivered().len() == 1);
    serving.kill();
    (1..=WAITING).for_each(|number| drop(send(number)));
    wait_until("the pause", || site.states().contains("Connection refused"));
    assert_eq!((site.shelf("queue").len(), smarthost.delivered().len()), (WAITING, 1));

    // Nobody nudges the forwarder: the pause of half a minute ends by itself, with one message that goes alone.
    let serving = start(&smarthost, port);
    wait_until("all messages", || smarthost.delivered().len() == 1 + WAITING);
    wait_until("the route to be open", || !site.spool().join("routes/relay.json").exists());
    wait_until("the end of all", || site.shelf("queue").is_empty());
    let count = |number: usize| {
        let subject = format!("Subject: {number}\r\n");
        smarthost.delivered().iter().filter(|text| String::from_utf8_lossy(text).contains(&subject)).count()
    };
    assert!((0..=WAITING).all(|number| count(number) == 1), "each once:\n{}", serving.log());
    let log = watch.log();
    assert_eq!(log.matches("Connection refused").count(), 1, "one failure is logged, for all that wait:\n{log}");
}
