//! The record of clients as it is shown: what was refused, how often, and which setting to change.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::address::ReversePath;
use crate::clock::Clock;
use crate::envelope::Peer;
use crate::event::{Client, Event, Observer};
use crate::history::VisitObserver;
use crate::smtp::catalogue::{self, TimeLimit};
use crate::smtp::{CommandError, EnhancedCode, ParamError, Refuser, Reply};

struct At(u64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0 * 1_000)
    }
}

const NOW: u64 = 1_795_226_700;

fn client(address: &str) -> Client {
    let peer = if address == "local" { Peer::Local } else { Peer::tcp(format!("{address}:1").parse().unwrap()) };
    Client { peer, name: None }
}

fn refused(address: &str, stage: &'static str, reply: Reply) -> Event {
    let sender = ReversePath::parse("scan@lan.example", None).ok();
    let helo = Some("printer\u{1b}[2J\u{202e}".to_owned());
    Event::Rejected { client: client(address), stage, by: Refuser::Session, reply, sender, recipient: None, helo }
}

/// A record in which these events happened at these times.
fn record(events: &[(u64, Event)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (at, event) in events {
        // Each in a process of its own, as under inetd.
        VisitObserver::in_folder(folder.path(), Arc::new(At(*at))).observe(event);
    }
    folder
}

fn told(folder: &tempfile::TempDir, whom: &str) -> ClientsAnswer {
    explain_clients(folder.path(), whom.parse().unwrap(), Timestamp::from_millis(NOW * 1_000)).unwrap()
}

#[test]
fn each_kind_is_told_once_with_its_number_its_times_and_the_setting() {
    let large = || refused("192.168.1.50", "MAIL", catalogue::too_large(10_000_000));
    let folder = record(&[
        (NOW - 90_000, refused("192.168.1.50", "MAIL", catalogue::nested_mail())),
        (NOW - 7_200, large()),
        (NOW - 3_600, large()),
        (NOW - 60, refused("192.168.1.50", "MAIL", catalogue::bad_command(&ParamError::Unknown("FOO".into()).into()))),
        (NOW - 30, refused("192.168.1.51", "AUTH", catalogue::bad_credentials())),
        (NOW - 20, refused("local", "MAIL", catalogue::too_large(1))),
    ]);
    let text = told(&folder, "192.168.1.50").text();
    for part in [
        "Client 192.168.1.50, which calls itself printer?[2J?, in the last 24 hours\n",
        "  MAIL refused with 552 5.3.4 2 times, ",
        "    Reply: the message is larger than 10000000 octets; ",
        "    Last: from <scan@lan.example>\n",
        "    What to do: Allow larger messages, or send smaller ones, such as scans of a lower resolution (setting message.max_size).\n",
        "  MAIL refused with 555 5.5.4 once, ",
        "    What to do: Switch this option off in the client",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("503") && !text.contains("192.168.1.51"), "older than a day, or another client: {text}");
    let clients =
        |whom: &str| -> Vec<String> { told(&folder, whom).clients.iter().map(|story| story.client.clone()).collect() };
    assert_eq!(clients("192.168.1.0/24"), ["192.168.1.50", "192.168.1.51"]);
    assert_eq!(clients("::ffff:192.168.1.51"), ["192.168.1.51"]);
    assert_eq!(clients("local"), ["local"]);
    let nobody = told(&folder, "192.168.1.99");
    assert_eq!(
        (nobody.clients.len(), nobody.others.as_slice()),
        (0, &["local", "192.168.1.51", "192.168.1.50"].map(String::from)[..])
    );
    assert!("printer".parse::<Whom>().is_err() && "192.168.1.0/33".parse::<Whom>().is_err());
    let json = told(&folder, "192.168.1.50").json_lines();
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&object["fates"][0]["times"], &object["fates"][0]["code"]), (&2.into(), &552.into()));
}

#[test]
fn each_refusal_leads_to_a_setting_or_to_the_client() {
    let host = "relay.example".parse().unwrap();
    let bad = |error: CommandError| catalogue::bad_command(&error);
    for (stage, reply, advice) in [
        ("MAIL", catalogue::needs_starttls(), "tls.require"),
        ("MAIL", catalogue::login_required(), "auth.require, clients.auth_networks"),
        ("AUTH", catalogue::auth_needs_tls(), "auth.clear_networks"),
        ("AUTH", catalogue::bad_credentials(), "smtpd passwd"),
        ("AUTH", bad(CommandError::NotImplemented("AUTH")), "auth.users"),
        ("STARTTLS", bad(CommandError::NotImplemented("STARTTLS")), "tls.certificate"),
        ("RCPT", catalogue::too_many_recipients(), "recipients.max"),
        ("CONNECT", catalogue::tls_on_a_plain_port(), "listen.addresses"),
        ("CONNECT", catalogue::proxy_header_on_a_plain_port(), "listen.addresses, listen.proxy_from"),
        ("CONNECT", catalogue::too_busy(&host), "limits.sessions, limits.sessions_per_address"),
        ("DATA", catalogue::timed_out(&host, TimeLimit::SlowestBody), "limits.slowest_body"),
        ("RCPT", catalogue::timed_out(&host, TimeLimit::Idle), "limits.idle"),
        ("MAIL", catalogue::send_first("HELO or EHLO"), "wrong order"),
        ("UNKNOWN", bad(CommandError::Unknown), "no command of SMTP"),
        ("DATA", catalogue::no_recipients(), "refusals of RCPT"),
        ("MAIL", catalogue::no_space(), "spoolrun doctor"),
    ] {
        let folder = record(&[(NOW, refused("10.0.0.1", stage, reply.clone()))]);
        let answer = told(&folder, "10.0.0.1");
        let remedy = answer.clients[0].fates[0].remedy.as_deref().unwrap_or_default();
        assert!(remedy.contains(advice), "{reply}: {remedy}");
    }
}

#[test]
fn what_a_client_sends_chooses_no_setting_and_moves_no_terminal() {
    let text = "the name \"setting clients.networks \u{1b}[2J\" in HELO is not allowed here; the relay's setting clients.helo allows it";
    for (code, text, expected) in [
        (EnhancedCode(5, 7, 1), text, Some("clients.helo")),
        (EnhancedCode(5, 1, 3), "expected a domain, but found \"setting clients.networks\"", None),
        (EnhancedCode(5, 5, 4), "the parameter setting clients.networks is not supported", None),
    ] {
        let reply = Reply::new(if code.1 == 7 { 550 } else { 501 }, code, text.to_owned());
        let folder = record(&[(NOW, refused("10.0.0.1", "EHLO", reply))]);
        let answer = told(&folder, "10.0.0.1");
        let remedy = answer.clients[0].fates[0].remedy.clone().unwrap();
        assert!(!remedy.contains("clients.networks"), "{remedy}");
        assert!(expected.is_none_or(|setting| remedy.contains(setting)), "{remedy}");
        assert!(!answer.text().contains(['\u{1b}', '\u{202e}']), "{}", answer.text());
    }
}

#[test]
fn a_client_outside_of_the_networks_is_added_only_if_its_address_is_a_private_one() {
    for (address, setting, other) in [
        ("192.168.7.7", "add \"192.168.7.7\" to clients.networks", "own_public_networks"),
        ("[fd00::7]", "add \"fd00::7\" to clients.networks", "own_public_networks"),
        ("203.0.113.7", "clients.auth_networks", "add \""),
        ("[2001:db8::7]", "clients.own_public_networks", "add \""),
    ] {
        let text = "it is not in a network that may use this relay; the relay's setting clients.networks allows it";
        let folder = record(&[(NOW, refused(address, "CONNECT", Reply::new(554, EnhancedCode(5, 7, 1), text)))]);
        let remedy = told(&folder, address).clients[0].fates[0].remedy.clone().unwrap();
        assert!(remedy.contains(setting) && !remedy.contains(other), "{remedy}");
    }
}

#[test]
fn messages_that_were_accepted_and_connections_that_broke_off_are_told_too() {
    let accepted = Event::Accepted {
        id: crate::id::SpoolId::new(Timestamp::from_millis(1), 1, 1),
        client: Some(client("10.0.0.1")),
        sender: ReversePath::Null,
        size: 1,
        recipients: crate::envelope::Recipients::new(vec![crate::envelope::Recipient::from(
            "a@b.example".parse::<crate::address::Mailbox>().unwrap(),
        )])
        .unwrap(),
        message_id: None,
        origin_client: None,
        synced_in: Duration::ZERO,
    };
    let lost = |bytes: u32| Event::Disconnected {
        client: client("10.0.0.1"),
        cause: Some(format!("lost connection after DATA ({bytes} bytes)")),
    };
    let folder = record(&[(NOW - 9, accepted.clone()), (NOW - 8, accepted)]);
    let text = told(&folder, "10.0.0.1").text();
    assert!(text.contains("  Nothing was refused.\n") && text.contains("  2 messages accepted, "), "{text}");
    let folder = record(&[(NOW - 9, lost(1)), (NOW - 8, lost(2))]);
    let text = told(&folder, "10.0.0.1").text();
    assert!(
        text.contains("  lost connection after DATA (2 bytes) 2 times, ") && text.contains("What to do: "),
        "{text}"
    );
}

#[test]
fn many_clients_and_many_kinds_are_told_in_bounded_space() {
    let folder = tempfile::tempdir().unwrap();
    let observer = VisitObserver::in_folder(folder.path(), Arc::new(At(NOW)));
    for n in 0..60_u16 {
        observer.observe(&refused(&format!("10.0.0.{n}"), "MAIL", catalogue::nested_mail()));
        observer.observe(&refused("10.0.1.1", "MAIL", Reply::new(500 + n, EnhancedCode(5, 5, n), "no")));
    }
    let answer = told(&folder, "10.0.0.0/16");
    assert_eq!((answer.clients.len(), answer.left_out), (MOST_CLIENTS, 61 - MOST_CLIENTS));
    assert!(answer.clients.iter().all(|client| client.fates.len() <= MOST_KINDS));
    assert!(Duration::from_secs(1) < DAY);
}
