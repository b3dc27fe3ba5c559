//! The templates for chat services: what is posted is what the API of each service wants, whatever a message has in it.

use std::fs;

use serde_json::{Value, json};

use crate::site::Site;
use crate::web_server::{WebRequest, WebServer, answer};

/// A mail that tries to be more than a text.
const HOSTILE: &str = "From: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <ups@example.com>\r\nSubject: \"},\"x\":\"{id} <!channel> @room\r\n\
                       Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                       T=FCr *a* [b](http://x) <b>&amp;\r\n\\\"\r\n";

/// Sends mails to a chat over a route with these parts, and returns the requests.
fn posted(template: &str, path: &str, more: &str, mails: &[String]) -> (Vec<WebRequest>, String) {
    let server = WebServer::start(|_, _| answer(200, "", "{\"ok\":true}"));
    let site = Site::new("");
    let file = format!("{}/contrib/chat/{template}.json", env!("CARGO_MANIFEST_DIR"));
    fs::write(site.path("token"), "1:a/b\n").unwrap();
    let text = fs::read_to_string(site.config()).unwrap();
    let (before, rest) = text.split_once("[relay]\n").unwrap();
    let after = rest.split_once("[reserve]").unwrap().1;
    let key = if path.contains("{password}") || more.contains("token") {
        format!("password_file = \"{}\"", site.path("token").display())
    } else {
        String::new()
    };
    let relay = format!(
        "[relay]\nurl = \"http://{}{path}#template={file}{}\"\n{key}\n",
        server.address,
        more.replace("token", "")
    );
    fs::write(site.config(), format!("{before}{relay}[reserve]{after}")).unwrap();
    let smtpd = site.listen(&[]);
    for mail in mails {
        smtpd.client().submit("ups@example.com", &["chat@example.com"], mail.as_bytes());
    }
    let output = site.run(&["--sandbox", "auto", "flush"]);
    let flushed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(site.shelf("queue").is_empty(), "{flushed}");
    (server.seen(), flushed)
}

/// What a hostile, a long and an empty mail become.
fn three(template: &str, path: &str, more: &str) -> Vec<WebRequest> {
    let long = format!("Subject: {}\r\n\r\n{}\r\n", "s".repeat(900), "\u{1f600} long ".repeat(10_000));
    let mails = [HOSTILE.to_owned(), long, "X: y\r\n\r\n".to_owned()];
    let (seen, flushed) = posted(template, path, more, &mails);
    assert_eq!(seen.len(), 3, "{flushed}");
    for request in &seen {
        assert_eq!(request.field("content-type"), "application/json");
    }
    seen
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The names of the members.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The hostile mail is among these texts, whole and as it is.
fn has_the_hostile_text<'a>(texts: impl Iterator<Item = &'a str>) -> bool {
    texts.into_iter().any(|text| text.contains("T\u{fc}r *a* [b](http://x) <b>&amp;\n\\\""))
}

#[test]
fn telegram_gets_plain_text_that_is_short_enough() {
    let seen = three("telegram", "/bot{password}/sendMessage", "");
    for request in &seen {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/bot1:a/b/sendMessage"));
        let json = request.json();
        // With a parse_mode, signs of the text would be read as formats.
        assert_eq!(members(&json), ["chat_id", "link_preview_options", "text"]);
        let length = text(&json["text"]).encode_utf16().count();
        assert!((1..=4096).contains(&length), "{length}");
    }
    assert!(has_the_hostile_text(
        seen.iter()
            .map(|request| request.json()["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
    ));
    assert!(
        seen.iter().any(|request| text(&request.json()["text"]).starts_with("Gr\u{fc}\u{df}e <ups@example.com>\n"))
    );
}

#[test]
fn matrix_gets_an_event_by_its_transaction_and_nobody_is_called() {
    let path = "/_matrix/client/v3/rooms/!room%3Aexample.com/send/m.room.message/{key}";
    let seen = three("matrix", path, "&method=puttoken");
    let mut transactions = Vec::new();
    for request in &seen {
        assert_eq!((request.method.as_str(), request.field("authorization")), ("PUT", "Bearer 1:a/b"));
        let (room, transaction) = request.target.rsplit_once('/').unwrap();
        assert_eq!(format!("{room}/{{key}}"), path);
        transactions.push(transaction.to_owned());
        let json = request.json();
        assert_eq!(members(&json), ["body", "m.mentions", "msgtype"]);
        assert_eq!((&json["msgtype"], &json["m.mentions"]), (&json!("m.text"), &json!({})));
        assert!(request.body.len() < 60_000 && !text(&json["body"]).is_empty());
    }
    transactions.sort();
    transactions.dedup();
    assert_eq!(transactions.len(), 3);
}

#[test]
fn ntfy_gets_a_message_for_its_topic_with_the_subject_as_title() {
    for request in three("ntfy", "/", "token") {
        assert_eq!((request.target.as_str(), request.field("authorization")), ("/", "Bearer 1:a/b"));
        let json = request.json();
        assert_eq!(members(&json), ["message", "title", "topic"]);
        // A longer one becomes an attachment.
        assert!((1..=4096).contains(&text(&json["message"]).len()), "{}", text(&json["message"]).len());
        assert!((1..=256).contains(&text(&json["title"]).len()));
    }
}

#[test]
fn slack_gets_text_in_which_nobody_can_be_called() {
    for request in three("slack", "/services/{password}", "") {
        assert_eq!(request.target, "/services/1:a/b");
        let json = request.json();
        // What Slack reads for mentions has nothing of the mail; plain_text is not read for them.
        assert_eq!(json["text"], "A message has come.");
        let section = &json["blocks"][0];
        assert_eq!((&section["type"], &section["text"]["type"]), (&json!("section"), &json!("plain_text")));
        assert!((1..=3000).contains(&text(&section["text"]["text"]).chars().count()));
    }
}

#[test]
fn teams_gets_an_adaptive_card_of_text_runs_only() {
    let seen = three("teams", "/workflows/x/triggers/manual/paths/invoke?sig={password}", "");
    for request in &seen {
        let json = request.json();
        assert_eq!(json["type"], "message");
        let attachment = &json["attachments"][0];
        assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
        assert_eq!(attachment["content"]["type"], "AdaptiveCard");
        let body = attachment["content"]["body"].as_array().unwrap();
        // A TextBlock would read Markdown.
        assert!(body.iter().all(|block| block["type"] == "RichTextBlock"));
        assert!(request.body.len() < 28 * 1024, "{}", request.body.len());
    }
    let texts: Vec<_> = seen.iter().map(|request| request.json().to_string()).collect();
    assert!(texts.iter().any(|text| text.contains("*a* [b](http://x)")));
}
