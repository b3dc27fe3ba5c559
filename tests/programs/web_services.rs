//! Routes to web services, from inside of the sandbox: what a service gets, and what its answers do.

use std::fs;
use std::process::Output;

use crate::fake_smarthost::Identity;
use crate::site::Site;
use crate::web_server::{WebServer, answer};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.hello \xff\r\n";

/// A site whose `[relay]` is this URL, with further keys.
fn site(url: &str, keys: &str) -> Site {
    let site = Site::new("");
    set_relay(&site, url, keys);
    site
}

fn set_relay(site: &Site, url: &str, keys: &str) {
    let text = fs::read_to_string(site.config()).unwrap();
    let (before, rest) = text.split_once("[relay]\n").unwrap();
    let after = rest.split_once("[reserve]").unwrap().1;
    fs::write(site.config(), format!("{before}[relay]\nurl = \"{url}\"\n{keys}\n[reserve]{after}")).unwrap();
}

fn submit(site: &Site, recipients: &[&str]) {
    site.listen(&[]).client().submit("me@example.com", recipients, MESSAGE);
}

fn said(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn flush(site: &Site) -> String {
    said(site.run(&["--sandbox", "auto", "flush"]))
}

#[test]
fn a_service_gets_a_message_for_each_recipient_by_a_key_that_repetitions_keep() {
    let server = WebServer::start(|number, _| match number {
        0 => answer(500, "", "out of order"),
        // It has the message, and nobody knows.
        2 => String::new(),
        _ => answer(202, "", "queued as 7\nmore"),
    });
    let site = site(&format!("http://{}/in/{{recipient}}?u={{user}}", server.address), "connections = 1");
    submit(&site, &["Amy+x@example.com", "\"b/../c\"@example.com"]);
    let mut flushed = String::new();
    for _ in 0..3 {
        flushed += &flush(&site);
    }
    assert!(site.shelf("queue").is_empty(), "{flushed}");
    assert!(
        flushed.contains("out of order") && flushed.contains("queued as 7") && !flushed.contains("more"),
        "{flushed}"
    );
    let seen = server.seen();
    for request in &seen {
        assert_eq!((request.method.as_str(), request.field("content-type")), ("POST", "message/rfc822"));
        assert!(request.body.ends_with(MESSAGE), "{request:?}");
        assert_eq!(request.field("x-envelope-from"), "me@example.com");
        assert_eq!(request.field("authorization"), "");
    }
    let of = |recipient: &str| {
        let found = seen.iter().filter(|request| request.field("x-envelope-to") == recipient);
        let mut keys: Vec<_> = found.map(|request| request.field("idempotency-key").to_owned()).collect();
        let times = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), 1, "{recipient}");
        (keys.remove(0), times)
    };
    let ((amy, amys), (bob, bobs)) = (of("Amy+x@example.com"), of("\"b/../c\"@example.com"));
    assert_ne!(amy, bob);
    assert_eq!(amys + bobs, 4, "two of them once more");
    let targets: Vec<_> = seen.iter().map(|request| request.target.as_str()).collect();
    assert!(targets.contains(&"/in/Amy%2Bx%40example.com?u=Amy"), "{targets:?}");
    assert!(targets.iter().any(|target| target.contains("b%2F..%2Fc")), "{targets:?}");
}

#[test]
fn answers_about_the_message_return_it_and_answers_about_us_pause_the_route() {
    for (status, pauses) in [(301, true), (401, true), (404, true), (410, true), (415, true), (429, true), (400, false)]
    {
        let server = WebServer::start(move |number, request| {
            assert!(!request.target.contains("elsewhere"), "a redirection was followed");
            let field = "Location: /elsewhere\r\nRetry-After: 600\r\n";
            if number == 0 { answer(status, field, "so it is") } else { answer(200, "", "") }
        });
        let site = site(&format!("http://{}/in", server.address), "");
        submit(&site, &["amy@example.com"]);
        let flushed = flush(&site);
        assert!(flushed.contains(&format!("{status}: so it is")), "{flushed}");
        assert_eq!(site.states().contains("so it is"), pauses, "{status}: {}", site.states());
        if !pauses {
            // The notification to the sender went the same way.
            let last = server.seen().pop().unwrap();
            assert!(String::from_utf8_lossy(&last.body).contains("so it is"), "{flushed}");
            continue;
        }
        assert_eq!(site.shelf("queue").len(), 1, "{flushed}");
        let id = site.shelf("queue").remove(0);
        let explained = said(site.run(&["explain", &id]));
        assert!(explained.contains("so it is"), "{explained}");
        assert!(!flushed.contains("bounce") && site.shelf("failed").is_empty(), "{flushed}");
    }
}

#[test]
fn a_service_that_is_busy_is_asked_again_when_it_says() {
    let pause = |fields: &'static str, body: &'static str| {
        let server = WebServer::start(move |_, _| answer(503, fields, body));
        let site = site(&format!("http://{}/", server.address), "");
        submit(&site, &["amy@example.com"]);
        let flushed = flush(&site);
        let state = fs::read_to_string(site.spool().join("routes/relay.json")).unwrap_or_else(|_| panic!("{flushed}"));
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        (state["until"].as_u64().unwrap() - state["last"].as_u64().unwrap()) / 1000
    };
    assert_eq!(pause("Retry-After: 7\r\n", ""), 7);
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:40 GMT\r\n";
    assert_eq!(pause(date, ""), 63);
    assert_eq!(pause("Retry-After: 86400\r\n", ""), 900, "not for longer than without its word");
    assert_eq!(pause("", "{\"parameters\":{\"retry_after\":11}}"), 11);
}

#[test]
fn a_secret_goes_to_the_service_and_nowhere_else() {
    let server = WebServer::start(|_, request| match request.target.as_str() {
        "/refuse" => answer(403, "", "no"),
        _ => answer(200, "", ""),
    });
    let site = site(&format!("http://{}/", server.address), "");
    fs::write(site.path("secret"), "hush:T0/B1\n").unwrap();
    let key = format!("password_file = \"{}\"", site.path("secret").display());
    let mut shown = String::new();
    for (url, path, field) in [
        ("http://{}/plain", "/plain", "Bearer hush:T0/B1"),
        ("http://me%40x@{}/user", "/user", "Basic bWVAeDpodXNoOlQwL0Ix"),
        ("http://{}/bot{password}/send", "/bothush:T0/B1/send", ""),
        ("http://{}/refuse", "/refuse", "Bearer hush:T0/B1"),
    ] {
        set_relay(&site, &url.replace("{}", &server.address.to_string()), &key);
        submit(&site, &["amy@example.com"]);
        shown += &said(site.run(&["-vv", "--sandbox", "auto", "flush"]));
        let request = server.seen().pop().unwrap();
        assert_eq!((request.target.as_str(), request.field("authorization")), (path, field), "{shown}");
        let doctor = said(site.run(&["doctor"]));
        let looked = server.seen().pop().unwrap();
        assert_eq!((looked.method.as_str(), looked.target.as_str()), ("HEAD", path), "{doctor}");
        shown += &doctor;
        shown += &said(site.run(&["--check"]));
    }
    assert!(shown.contains("refuses the login with 403"), "{shown}");
    let id = site.shelf("queue").remove(0);
    shown += &said(site.run(&["explain", &id]));
    assert!(!shown.contains("hush") && !shown.contains("bWVAeDp") && !site.states().contains("hush"), "{shown}");
    fs::remove_file(site.path("secret")).unwrap();
    let flushed = flush(&site);
    assert!(flushed.contains("password file") && site.shelf("queue").len() == 1, "{flushed}");
}

#[test]
fn a_service_is_trusted_by_its_certificate_only() {
    let identity = Identity::valid_for(&["localhost"]);
    let server = WebServer::with(Some(identity.server()), |_, _| answer(200, "", ""));
    let url = format!("https://localhost:{}/", server.address.port());
    let site = site(&url, "");
    submit(&site, &["amy@example.com"]);
    let flushed = flush(&site);
    assert!(flushed.contains("unknown issuer") && server.seen().is_empty(), "{flushed}");
    let doctor = said(site.run(&["doctor"]));
    assert!(doctor.contains("unknown issuer"), "{doctor}");
    let roots = site.path("roots.pem");
    fs::write(&roots, &identity.authority_pem).unwrap();
    set_relay(&site, &url, &format!("tls_roots = \"{}\"", roots.display()));
    let flushed = flush(&site);
    assert!(site.shelf("queue").is_empty() && server.seen().len() == 1, "{flushed}");
    set_relay(&site, &url, &format!("tls_pin = \"{}\"", identity.pin));
    let checked = said(site.run(&["--check"]));
    assert!(checked.contains("tls_pin is set, but relay.url leads to no SMTP server"), "{checked}");
}

#[test]
fn the_json_of_a_message_has_its_envelope_and_its_fields() {
    let server = WebServer::start(|_, _| answer(200, "", ""));
    let site = site(&format!("http://{}/#body=json&method=put", server.address), "");
    submit(&site, &["amy@example.com"]);
    let flushed = flush(&site);
    let request = server.seen().pop().unwrap_or_else(|| panic!("{flushed}"));
    assert_eq!((request.method.as_str(), request.target.as_str()), ("PUT", "/"));
    let json = request.json();
    assert_eq!(json["envelope"]["from"]["address"], "me@example.com");
    assert_eq!(json["envelope"]["to"][0]["address"], "amy@example.com");
    assert_eq!(json["message"]["contents"], ".hello \u{fffd}\r\n");
    let headers = json["message"]["headers"].as_array().unwrap();
    assert!(headers.contains(&serde_json::json!(["Subject", "x"])), "{headers:?}");
    assert_eq!(json["context"]["queue"]["key"], request.field("idempotency-key"));
}

#[test]
fn mail_in_the_clear_goes_to_this_host_or_by_an_explicit_word() {
    let site = site("http://gate.example/in", "");
    let checked = said(site.run(&["--check"]));
    assert!(checked.contains("expected https:") && checked.contains("tls=none"), "{checked}");
    set_relay(&site, "http://gate.example/in#tls=none", "");
    let checked = said(site.run(&["--check"]));
    assert!(!checked.contains("expected https:"), "{checked}");
    set_relay(&site, "http://127.0.0.1:9/#template=/nowhere/chat.json", "");
    let checked = said(site.run(&["--check"]));
    assert!(checked.contains("the template /nowhere/chat.json: "), "{checked}");
    submit(&site, &["amy@example.com"]);
    let flushed = flush(&site);
    assert!(site.shelf("queue").len() == 1 && site.states().contains("template"), "{flushed}");
}
