//! Attacks on the page: the classic ones of the web, and what peers of the relay may have written into its files.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::page_client::{Answered, PageServer};
use crate::site::{PATIENCE, Site};

/// Texts that would be markup, a script, an attribute, or a change of direction, were they shown as they are.
pub(crate) const HOSTILE: [&str; 5] = [
    "\"<script>window.hacked=1</script>\"",
    "\"<img/src=x/onerror=window.hacked=1>\"",
    "\"'onmouseover='window.hacked=1\"",
    "\"</td></table><h1>hacked\"",
    "\"{{7*7}}${7*7}&lt;b&gt;\"",
];

/// A site whose queue, record of clients and history have those texts in them.
pub(crate) fn hostile_site() -> Site {
    let site = Site::new("[recipients]\ndeny = [\"@denied.example\"]");
    let smtpd = site.listen(&[]);
    for text in HOSTILE {
        let sender = format!("{text}@evil.example");
        let mut client = smtpd.client();
        client.submit(
            &sender,
            &["bob@example.net"],
            b"Subject: <script>window.hacked=1</script>\r\nMessage-ID: <<b>x@y>\r\n",
        );
        let mut stream = TcpStream::connect(smtpd.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let dialogue = format!(
            "EHLO <script>window.hacked=1</script>\r\nEHLO x\r\nMAIL FROM:<{sender}>\r\nRCPT TO:<{text}@denied.example>\r\nQUIT\r\n"
        );
        for line in dialogue.split_inclusive('\n') {
            stream.write_all(line.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        let _ = stream.read_to_end(&mut Vec::new());
    }
    drop(smtpd);
    let why = format!("{} \u{202e}\u{7}", HOSTILE[0]);
    assert!(site.run(&["hold", "--sender", &format!("{}@evil.example", HOSTILE[1]), "--why", &why]).status.success());
    assert!(site.run(&["remove", "--sender", &format!("{}@evil.example", HOSTILE[2]), "--why", &why]).status.success());
    site
}

#[test]
fn text_of_peers_is_never_markup_on_any_page() {
    let site = hostile_site();
    let page = PageServer::start(&site, &[]);
    let ids = [site.shelf("queue"), site.shelf("hold")].concat();
    let messages: Vec<String> = ids.iter().map(|id| format!("/messages/{id}")).collect();
    let others =
        ["/", "/queue", "/queue?folder=hold", "/routes", "/clients", "/search", "/settings"].map(str::to_owned);
    let hostile = "%22%3E%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E";
    let reflected = [
        "queue?sender=",
        "queue?reason=",
        "queue?route=",
        "queue?folder=",
        "search?recipient=",
        "search?id=",
        "clients?client=",
        "",
    ]
    .map(|path| format!("/{path}{hostile}"));
    let mut shown = 0;
    for path in messages.into_iter().chain(others).chain(reflected) {
        let body = page.get(&path).body;
        for markup in ["<script>", "<img", "<h1>hacked", "<b>", "\u{202e}", "\u{7}"] {
            assert!(!body.contains(markup), "{path} has {markup}:\n{body}");
        }
        shown += body.matches("window.hacked").count();
    }
    assert!(shown > 10, "the texts are shown: {shown}");
}

#[test]
fn requests_of_wrong_form_are_refused_and_the_next_visitor_is_served() {
    let site = Site::new("");
    drop(site.listen(&[]));
    let page = PageServer::start(&site, &[]);
    let long = "a".repeat(100_000);
    let many: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    let host = "Host: localhost\r\n";
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("a way up", format!("GET /../../etc/passwd HTTP/1.1\r\n{host}\r\n"), &[400]),
        ("an encoded way up", format!("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n{host}\r\n"), &[400]),
        ("an encoded slash", format!("GET /messages/..%2f..%2fetc HTTP/1.1\r\n{host}\r\n"), &[400]),
        ("a NUL", format!("GET /messages/%00 HTTP/1.1\r\n{host}\r\n"), &[400]),
        ("another host in the target", format!("GET http://evil.example/ HTTP/1.1\r\n{host}\r\n"), &[400]),
        ("a tunnel", format!("CONNECT evil.example:25 HTTP/1.1\r\n{host}\r\n"), &[400, 405]),
        ("TRACE", format!("TRACE / HTTP/1.1\r\n{host}\r\n"), &[405]),
        ("PUT", format!("PUT / HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"), &[405]),
        ("an unknown method", format!("BREW / HTTP/1.1\r\n{host}\r\n"), &[405]),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("two hosts", format!("GET / HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n"), &[400]),
        ("a long target", format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), &[400, 414, 431]),
        ("a long header", format!("GET / HTTP/1.1\r\n{host}X: {long}\r\n\r\n"), &[400, 431]),
        ("many headers", format!("GET / HTTP/1.1\r\n{host}{many}\r\n"), &[400, 431]),
        (
            "two lengths",
            format!("POST /queue/act HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nact=xGET"),
            &[400],
        ),
        (
            "a length and chunks",
            format!(
                "POST /queue/act HTTP/1.1\r\n{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n{host}\r\n"
            ),
            &[400],
        ),
        (
            "an unknown coding",
            format!("POST /queue/act HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\nx"),
            &[400, 501],
        ),
        (
            "a bad chunk",
            format!("POST /queue/act HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n"),
            &[400, 413],
        ),
        (
            "a huge chunk",
            format!("POST /queue/act HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx"),
            &[400, 413],
        ),
        ("a large form", format!("POST /queue/act HTTP/1.1\r\n{host}Content-Length: 100000\r\n\r\n{long}"), &[413]),
        ("content of a GET", format!("GET / HTTP/1.1\r\n{host}Content-Length: 5\r\n\r\nhello"), &[400]),
        ("a blank before the colon", format!("GET / HTTP/1.1\r\n{host}X : y\r\n\r\n"), &[400]),
        ("a folded header", format!("GET / HTTP/1.1\r\n{host}X: y\r\n z\r\n\r\n"), &[400]),
        ("no HTTP", "EHLO evil.example\r\nMAIL FROM:<>\r\n\r\n".to_owned(), &[400, 0]),
        (
            "another kind of content",
            format!("POST /queue/act HTTP/1.1\r\n{host}Content-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>"),
            &[415],
        ),
    ];
    for (what, octets, expected) in cases {
        // All of them end the connection, or ask for it.
        let octets = octets.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let answer = page.raw(octets.as_bytes());
        assert!(expected.contains(&answer.status), "{what}: {answer:?}");
        assert!(!answer.body.contains("root:"), "{what}: {answer:?}");
        assert!(!answer.body.contains("HTTP/1.1"), "{what} has two answers: {answer:?}");
        assert_eq!(page.get("/").status, 200, "after {what}");
    }
}

#[test]
fn what_follows_a_refused_request_on_its_connection_is_not_answered() {
    let site = Site::new("");
    drop(site.listen(&[]));
    let page = PageServer::start(&site, &[]);
    let smuggled = "POST /queue/act HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /settings HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = page.raw(smuggled.as_bytes());
    assert!(answer.status == 400 && !answer.body.contains("HTTP/1.1 200"), "{answer:?}");
}

#[test]
fn slow_visitors_lose_their_connection_and_hold_nobody_up() {
    let site = Site::new("");
    drop(site.listen(&[]));
    let page = PageServer::start(&site, &[]);
    let mut slow: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(page.address).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
    }
    assert_eq!(page.get("/").status, 200, "others are served meanwhile");
    let begun = Instant::now();
    for mut stream in slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let status = Answered::parse(&answer).status;
        assert!(matches!(status, 0 | 408), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(page.get("/").status, 200);
}
