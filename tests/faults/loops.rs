//! Mail that goes round in a circle: it ends, and its sender hears of it once; a next hop that is the relay itself is found
//! before the first message goes that way.

use std::fs;
use std::time::{Duration, Instant};

use crate::lab;
use crate::site::{Running, Site, free_port, wait_until};

/// Sets the relay's URL, and what else belongs to it.
fn relays_to(site: &Site, url: &str, more: &str) {
    let text = fs::read_to_string(site.config()).unwrap();
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    assert!(text.contains(&inbox), "{text}");
    fs::write(site.config(), text.replace(&inbox, &format!("url = \"{url}\"")) + more).unwrap();
}

fn on_port(site: &Site, port: u16, arguments: &[&str]) -> Running {
    let mut command = site.smtpd();
    command.args(["-p", &port.to_string()]).args(arguments);
    let running = Running::start(command);
    running.wait_for_log("listening on");
    running
}

#[test]
fn a_circle_of_two_relays_ends_after_a_hundred_hops_and_the_sender_hears_of_it() {
    let (one, other) = (Site::new(""), Site::new(""));
    let ports = [free_port(), free_port()];
    // The notice to the sender leaves the circle, as all mail for that domain does.
    let notices = format!(
        "\n[[route]]\nname = \"home\"\nrecipients = [\"@home.example\"]\nurl = \"maildir:{}\"\n",
        one.inbox().display()
    );
    relays_to(&one, &format!("smtp://127.0.0.1:{}?tls=none", ports[1]), &notices);
    relays_to(&other, &format!("smtp://127.0.0.1:{}?tls=none", ports[0]), &notices);
    let first = on_port(&one, ports[0], &["--deliver"]);
    let second = on_port(&other, ports[1], &["--deliver"]);
    let began = Instant::now();
    first.client().submit(
        "alice@home.example",
        &["bob@circle.example"],
        b"From: alice@home.example\r\nSubject: round\r\n\r\ntext\r\n",
    );
    let notices = || crate::site::names(&one.inbox().join("new"));
    wait_until("the notice", || !notices().is_empty());
    wait_until("empty queues", || one.shelf("queue").is_empty() && other.shelf("queue").is_empty());
    let logs = first.log() + &second.log();
    assert_eq!(notices().len(), 1, "{logs}");
    let notice = fs::read_to_string(one.inbox().join("new").join(&notices()[0])).unwrap();
    assert!(notice.contains("554 5.4.6 mail loop: 101 Received fields"), "{notice}");
    let hops = logs.matches("status=sent").count();
    assert!((100..=103).contains(&hops), "{hops} deliveries\n{logs}");
    for site in [&one, &other] {
        assert!(site.shelf("failed").is_empty() && site.shelf("bad").is_empty());
    }
    lab::report(
        "mail loop",
        &format!("ended at 101 Received fields after {:.1} s, one notice", began.elapsed().as_secs_f32()),
    );
}

#[test]
fn a_next_hop_that_is_the_relay_itself_pauses_the_route_and_loses_nothing() {
    let site = Site::new("");
    let port = free_port();
    let told = site.path("told");
    let alarm = format!(
        "\n[alarm]\nroute_paused = \"1s\"\ncommand = \"\"\"cat >> {}\"\"\"\n[queue]\nretry = [\"1s\"]\n",
        told.display()
    );
    let sound = fs::read_to_string(site.config()).unwrap();
    relays_to(&site, &format!("smtp://127.0.0.1:{port}?tls=none"), &alarm);
    let mut smtpd = on_port(&site, port, &["--deliver"]);
    let id = smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    smtpd.wait_for_log("is this relay itself");
    smtpd.wait_for_log("warning: route relay is paused: ");
    let explained = String::from_utf8(site.run(&["explain", &id]).stdout).unwrap();
    for words in ["The next hop is this relay itself", "Set [relay] url to the host that is to take the mail"] {
        assert!(explained.contains(words), "{explained}");
    }
    let doctor = site.run(&["doctor", "relay"]);
    let examined = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.status.code() == Some(69) && examined.contains("The next hop is this relay itself"), "{examined}");
    assert_eq!(site.shelf("queue"), [id.as_str()], "it waits, and there is one of it");
    let shown = String::from_utf8(site.run(&["list", "--json", &id]).stdout).unwrap();
    assert!(shown.contains("\"attempts\":0"), "{shown}");
    smtpd.terminate();
    smtpd.wait();
    // The pause is reported by the other channel, once it has lasted.
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(site.run(&[]).status.success());
    let alarm = fs::read_to_string(&told).unwrap();
    assert!(alarm.contains("route relay has been paused since"), "{alarm}");
    // The URL is repaired, and the mail goes.
    fs::write(site.config(), sound).unwrap();
    assert!(site.run(&["flush"]).status.success());
    assert_eq!((site.delivered().len(), site.shelf("queue").len()), (1, 0));
    lab::report("the smarthost is ourselves", "route paused, alarm, no attempt counted, nothing sent");
}

#[test]
fn another_relay_of_the_same_name_is_another_relay() {
    let (one, other) = (Site::new(""), Site::new(""));
    let receiver = other.listen(&[]);
    relays_to(&one, &format!("smtp://{}?tls=none", receiver.address()), "");
    one.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    assert!(one.run(&["flush"]).status.success());
    assert_eq!((one.shelf("queue").len(), other.shelf("queue").len()), (0, 1), "names are shared by accident");
}
