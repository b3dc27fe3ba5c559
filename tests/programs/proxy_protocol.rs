//! Behind a proxy that sends the PROXY protocol: whose address counts, who may be a proxy, and what becomes of others.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::client::Client;
use crate::have::have;
use crate::site::{PATIENCE, Running, Site};
use crate::tls_and_logins::{ENCODED, PASSWORD, secured, store, succeeded};

/// A relay behind a proxy at these addresses.
fn proxied(proxies: &str, more: &str) -> (Site, Running) {
    let site = Site::new(&format!("[listen]\nproxy_from = [{proxies}]\n{more}"));
    let mut command = site.smtpd();
    command.args(["-vv", "--listen", "proxy:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    (site, smtpd)
}

/// Everything that comes after these octets.
fn answer_to(smtpd: &Running, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(smtpd.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(octets).unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_address_that_a_proxy_tells_is_what_policy_and_log_see() {
    let (_site, smtpd) = proxied("\"127.0.0.1\"", "");
    let refused = answer_to(&smtpd, b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 25\r\n");
    assert!(refused.starts_with("554 5.7.1 203.0.113.9 "), "{refused}");
    smtpd.wait_for_log("unknown[203.0.113.9]");
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x0a\x7f\0\0\x01\x12\x67\0\x19";
    assert!(answer_to(&smtpd, v2).starts_with("554 5.7.1 203.0.113.10 "));
    // Octets right behind the header are early talk, and served as they are without a proxy.
    let early = answer_to(&smtpd, b"PROXY UNKNOWN\r\nEHLO x\r\nQUIT\r\n");
    assert!(early.starts_with("220 ") && early.contains("\r\n221 "), "{early}");
    for bad in [&b"EHLO there, server\r\n"[..], b"PROXY TCP4 x y 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"] {
        assert_eq!(answer_to(&smtpd, bad), "");
    }
    let mut local = TcpStream::connect(smtpd.address()).unwrap();
    local.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").unwrap();
    let mut greeting = [0; 4];
    local.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ");
}

#[test]
fn octets_behind_a_proxy_header_may_be_refused_as_early_talk() {
    let (_site, smtpd) = proxied("\"127.0.0.1\"", "[protocol]\nearly_talkers = \"refuse\"\n");
    let early = answer_to(&smtpd, b"PROXY UNKNOWN\r\nEHLO x\r\n");
    assert!(early.starts_with("554 5.5.0 ") && early.contains("protocol.early_talkers"), "{early}");
}

#[test]
fn curl_comes_through_a_proxy_and_tls_from_the_start() {
    if !have("curl") {
        return;
    }
    let site = secured("scram", "[listen]\nproxy_from = [\"127.0.0.1\"]\n");
    fs::write(site.path("mail"), "Subject: x\r\n\r\ntext\r\n").unwrap();
    let mut command = site.smtpd();
    command.args(["--listen", "proxy:tls:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    let url = format!("smtps://localhost:{}/client.example", smtpd.address().port());
    let curl = Command::new("curl")
        .args(["-sS", "-4", "--haproxy-protocol", &url, "--cacert", "cert", "--user", &format!("joe:{PASSWORD}")])
        .args(["--mail-from", "a@example.com", "--mail-rcpt", "b@example.com", "-T", "mail"])
        .current_dir(site.path(""))
        .output()
        .unwrap();
    succeeded(&curl);
    smtpd.wait_for_log("(queue active)");
}

#[test]
fn who_is_no_listed_proxy_is_closed_without_a_word() {
    let (_site, smtpd) = proxied("\"192.168.2.1\"", "");
    assert_eq!(answer_to(&smtpd, b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n"), "");
    smtpd.wait_for_log("is not a proxy that listen.proxy_from names");
}

#[test]
fn whoever_comes_from_elsewhere_may_log_in_and_then_send() {
    let more =
        "[clients]\nauth_networks = [\"0.0.0.0/0\"]\n[auth]\nusers = \"users\"\nclear_networks = [\"10.9.8.0/24\"]\n";
    let site = Site::new(&format!("[listen]\nproxy_from = [\"127.0.0.1\"]\n{more}"));
    store(&site, "joe", PASSWORD, "scram");
    let mut command = site.smtpd();
    command.args(["--listen", "proxy:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    let mut client = Client::connect_with(smtpd.address(), b"PROXY TCP4 10.9.8.7 127.0.0.1 4711 25\r\n");
    client.expect("EHLO x", "250");
    client.expect("MAIL FROM:<a@b>", "530");
    client.expect(&format!("AUTH PLAIN {}", ENCODED[1]), "235");
    client.submit("a@b", &["c@d"], b"Subject: x\r\n\r\n");
}
