//! Rules that hold at one of the two addresses at which smtpd listens.

use std::net::SocketAddr;

use crate::client::Client;
use crate::site::{Running, Site, free_port, wait_until};

/// What a transaction came to: the first reply that is neither 2xx nor 354, or that to the message.
fn outcome(at: SocketAddr) -> String {
    let mut client = Client::connect(at);
    for command in ["EHLO x", "MAIL FROM:<\"odd one\"@example.com>", "RCPT TO:<b@example.com>", "DATA"] {
        client.send(format!("{command}\r\n").as_bytes());
        let reply = client.reply();
        if !reply.starts_with(['2', '3']) {
            return reply;
        }
    }
    client.send(b"From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nhello\r\n.\r\n");
    client.reply()
}

#[test]
fn each_rule_can_be_limited_to_a_listener_by_port_or_address() {
    for by_port in [true, false] {
        let [open, checked] = [free_port(), free_port()];
        let here = if by_port { format!(":{checked}") } else { format!("127.0.0.1:{checked}") };
        let only = format!("no_answer = \"defer\"\nlisteners = [\"{here}\"]");
        let rules = [
            (format!("[checks]\nown_clients = true\nsender_characters = {{ \"{here}\" = \"refuse\" }}"), "553 5.1.7 "),
            (format!("[[policy_service]]\naddress = \"unix:/nowhere/policy\"\n{only}"), "451 4.3.5 "),
            (format!("[[milter]]\naddress = \"unix:/nowhere/milter\"\n{only}"), "451 4.3.5 "),
            (format!("[[hook]]\ncommand = \"exit 1\"\n{only}"), "451 4.3.5 "),
            (
                format!("[limits]\nexempt = []\n[[rate_limit]]\nmessages = [\"1/h\"]\nlisteners = [\"{here}\"]"),
                "450 4.7.1 ",
            ),
        ];
        for (rule, expected) in rules {
            let site = Site::new(&format!("{rule}\n"));
            let mut command = site.smtpd();
            for port in [open, checked] {
                command.args(["--listen", &format!("127.0.0.1:{port}")]);
            }
            let smtpd = Running::start(command);
            wait_until("both listeners", || smtpd.log().matches("listening on").count() == 2);
            let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
            let is_limit = rule.contains("rate_limit");
            for port in [open, open, checked].into_iter().take(if is_limit { 3 } else { 2 }) {
                let heard = outcome(at(port));
                assert!(heard.starts_with("250 "), "{rule} at {port}: {heard}");
            }
            let heard = outcome(at(checked));
            assert!(heard.starts_with(expected), "{rule}: {heard}");
        }
    }
}
