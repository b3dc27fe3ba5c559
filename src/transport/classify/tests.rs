//! Replies of providers and servers, and what each comes to: `replies/`.
//!
//! `docs/replies.md` is made from the same rows: `LEAFMAIL_WRITE=1 cargo test --lib the_page_of_replies` writes it.

use super::*;

const FILES: [&str; 2] = [include_str!("replies/providers.txt"), include_str!("replies/servers.txt")];
/// Where replies may be from.
const KINDS: [&str; 5] = ["documentation", "code", "collection", "thread", "example"];

/// A row of a file of `replies/`.
struct Row<'a> {
    provider: &'a str,
    step: &'a str,
    about: &'a str,
    outcome: &'a str,
    why: &'a str,
    source: &'a str,
    reply: &'a str,
}

/// Key, kind and name of each source.
fn sources() -> Vec<[&'static str; 3]> {
    let lines = include_str!("replies/sources.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let source = |line: &'static str| line.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("key, kind and name");
    lines.map(source).collect()
}

fn rows() -> Vec<Row<'static>> {
    let (mut rows, mut provider) = (Vec::new(), "");
    let lines = FILES.iter().flat_map(|file| file.lines());
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("= ") {
            provider = name;
            continue;
        }
        let mut words = line.splitn(6, ' ');
        let mut next = || words.next().unwrap_or_else(|| panic!("a row has six columns: {line}"));
        let (step, about, outcome, why, source, reply) = (next(), next(), next(), next(), next(), next());
        rows.push(Row { provider, step, about, outcome, why, source, reply });
    }
    rows
}

fn parsed(text: &str) -> Reply {
    Reply::parse(text.replace("\\n", "\r\n").as_bytes()).unwrap()
}

impl Row<'_> {
    fn stage(&self) -> Option<Stage> {
        match self.step {
            "mail" => Some(Stage::Mail),
            "rcpt" => Some(Stage::Rcpt),
            "data" => Some(Stage::Data),
            "end" => Some(Stage::EndOfData),
            "greeting" | "ehlo" | "starttls" | "auth" => None,
            other => panic!("expected a step, but found {other}"),
        }
    }

    /// What the transport keeps as the reason at this step.
    fn reason(&self) -> Reason {
        let mut reason = Reason::reply(&parsed(self.reply));
        match self.step {
            "auth" => reason.text = format!("mx.example[192.0.2.1]:587 refused the login of limit@x: {}", reason.text),
            "starttls" => reason.text = format!("mx.example refused STARTTLS: {}", reason.text),
            "ehlo" => reason.text = format!("mx.example refused EHLO: {}", reason.text),
            "greeting" => reason.text = format!("mx.example refused the greeting: {}", reason.text),
            _ => {}
        }
        reason
    }
}

#[test]
fn the_rows_are_many_and_of_many_providers() {
    let rows = rows();
    let mut providers: Vec<_> = rows.iter().map(|row| row.provider).collect();
    providers.dedup();
    assert!(rows.len() >= 450 && providers.len() >= 35, "{} rows of {} providers", rows.len(), providers.len());
    for row in &rows {
        let twice = rows
            .iter()
            .filter(|other| (other.provider, other.step, other.reply) == (row.provider, row.step, row.reply));
        assert_eq!(twice.count(), 1, "{} {}", row.provider, row.reply);
    }
}

#[test]
fn each_row_names_a_source_of_a_known_kind_and_most_are_no_examples() {
    let (rows, sources) = (rows(), sources());
    for [key, kind, name] in &sources {
        assert!(KINDS.contains(kind) && !name.is_empty(), "{key} {kind} {name}");
        assert!(rows.iter().any(|row| row.source == *key), "no row is from {key}");
        assert_eq!(sources.iter().filter(|source| source[0] == *key).count(), 1, "{key}");
    }
    let unknown = |row: &&Row<'_>| !sources.iter().any(|source| source[0] == row.source);
    let unknown: Vec<_> = rows.iter().filter(unknown).map(|row| format!("{} {}", row.source, row.reply)).collect();
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    let examples = rows.iter().filter(|row| row.source == "example").count();
    assert!(examples * 8 < rows.len(), "{examples} of {}", rows.len());
}

/// The rows of which a provider's refusal has to be believed at once: nobody waits days for it.
#[test]
fn what_is_said_of_a_recipient_or_a_message_is_believed_of_many_providers() {
    for meanings in [
        &["NoSuchRecipient"][..],
        &["MailboxFull", "MailboxShut"],
        &["TooLarge"],
        &["Spam", "Content", "Unauthenticated"],
    ] {
        let believed = |row: &&Row<'_>| row.outcome == "bounced" && meanings.contains(&row.why);
        let mut providers: Vec<_> = rows().iter().filter(believed).map(|row| row.provider).collect();
        providers.dedup();
        let least = if meanings.contains(&"MailboxFull") { 9 } else { 8 };
        assert!(providers.len() >= least, "{meanings:?}: {providers:?}");
    }
    let kinds = ["NoSuchRecipient", "MailboxFull", "MailboxShut", "TooLarge", "Spam", "Content", "Unauthenticated"];
    let mut providers: Vec<_> = rows()
        .iter()
        .filter(|row| row.outcome == "bounced" && kinds.contains(&row.why))
        .map(|row| row.provider)
        .collect();
    providers.dedup();
    assert!(providers.len() >= 25, "{providers:?}");
}

#[test]
fn addresses_in_a_reply_have_no_say() {
    let why = |text: &str| meaning::why(&Reason::reply(&parsed(text))).map(|why| format!("{why:?}")).unwrap();
    for text in [
        "550 5.1.1 <dmarc@x.example>: Recipient address rejected: User unknown",
        "550 <no.relay-helo+quota@dnsbl.example>... User unknown",
        "550 No such user (relay@spam.example)",
    ] {
        assert_eq!(why(text), "NoSuchRecipient", "{text}");
        assert_eq!(disposition(Stage::Rcpt, &parsed(text)), Disposition::Failed, "{text}");
        assert!(!may_be_ours(&Reason::reply(&parsed(text))), "{text}");
    }
    assert_eq!(table::spoken("A <b@c>, d@e \u{fc}@x @y z@ (g=h@i:550 x"), "a <>,   @y z@ (:550 x");
}

#[test]
fn each_reply_is_judged_as_its_row_says() {
    let mut wrong = Vec::new();
    for row in rows() {
        let Some(stage) = row.stage() else {
            // Before MAIL nothing is about a message.
            assert!(row.about != "message" && row.outcome == "paused", "{}", row.reply);
            continue;
        };
        let reply = parsed(row.reply);
        let about = match scope(stage, &reply) {
            Scope::Account => "account",
            Scope::Service => "service",
            Scope::Relay => "relay",
            _ if may_be_ours(&Reason::reply(&reply)) => "unknown",
            Scope::Message => "message",
            Scope::Recipient => "recipient",
        };
        let outcome = match disposition(stage, &reply) {
            Disposition::Route => "paused",
            _ if route_trouble(&reply).is_some() && stage == Stage::EndOfData => "paused",
            _ if about == "relay" => "paused",
            _ if about == "unknown" => "deferred",
            Disposition::Deferred => "deferred",
            Disposition::Failed => "bounced",
            other => panic!("{other:?}: {}", row.reply),
        };
        if (about, outcome) != (row.about, row.outcome) {
            wrong.push(format!(
                "{} {}: {about} {outcome}, not {} {}: {}",
                row.provider, row.step, row.about, row.outcome, row.reply
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_reply_is_explained_as_its_row_says() {
    let place = Place { heading: "[relay]".to_owned(), credential: "password_file" };
    let mut wrong = Vec::new();
    for row in rows() {
        let found = meaning::why(&row.reason()).map(|why| format!("{why:?}")).unwrap_or_default();
        let remedy = meaning(&row.reason()).unwrap().remedy(&place);
        if found != row.why || remedy.contains("reply above") || remedy.contains("words above") {
            wrong.push(format!("{} {}: {found}, not {}: {}: {remedy}", row.provider, row.step, row.why, row.reply));
        }
        // A deferral keeps the reply, so it means the same.
        if row.stage().is_some() {
            assert_eq!(meaning(&row.reason().deferred()), meaning(&row.reason()), "{}", row.reply);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `LoginRefused` as `login refused`.
fn name(why: &str) -> String {
    let letter = |c: char| if c.is_ascii_uppercase() { format!(" {}", c.to_ascii_lowercase()) } else { c.to_string() };
    why.chars().map(letter).collect::<String>().trim().to_owned()
}

/// What `docs/replies.md` has below its mark.
fn page() -> String {
    let mut page = String::from("## The replies\n");
    let mut provider = "";
    for row in rows() {
        if row.provider != provider {
            provider = row.provider;
            page += &format!(
                "\n### {provider}\n\n| step | reply | about | becomes | meaning | source |\n|---|---|---|---|---|---|\n"
            );
        }
        let reply = row.reply.replace("\\n", " ").replace('|', "/");
        let Row { step, about, outcome, source, .. } = row;
        page += &format!("| {step} | `{reply}` | {about} | {outcome} | {} | {source} |\n", name(row.why));
    }
    page += "\n## The sources\n\n| source | kind | name |\n|---|---|---|\n";
    for [key, kind, name] in sources() {
        page += &format!("| {key} | {kind} | {name} |\n");
    }
    page += "\n## The meanings\n\n`{place}` is the heading of the route's settings, `{credential}` the key of its password or token.\n\n";
    page += "| meaning | what happened | what to do |\n|---|---|---|\n";
    let mut meanings: Vec<_> = rows().iter().map(|row| (name(row.why), meaning(&row.reason()).unwrap())).collect();
    meanings.sort_by(|one, other| one.0.cmp(&other.0));
    meanings.dedup();
    let place = Place { heading: "{place}".to_owned(), credential: "{credential}" };
    for (name, meaning) in meanings {
        page += &format!("| {name} | {} | {} |\n", meaning.what, meaning.remedy(&place));
    }
    page
}

#[test]
fn the_page_of_replies_is_made_from_the_rows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/replies.md");
    const MARK: &str = "<!-- What follows is made from src/transport/classify/replies. -->\n\n";
    let written = std::fs::read_to_string(path).unwrap();
    let (head, body) = written.split_once(MARK).unwrap();
    if std::env::var_os("LEAFMAIL_WRITE").is_some() {
        std::fs::write(path, format!("{head}{MARK}{}", page())).unwrap();
        return;
    }
    assert!(body == page(), "run: LEAFMAIL_WRITE=1 cargo test --lib the_page_of_replies");
}

#[test]
fn a_relay_that_is_denied_to_all_is_ours_and_to_some_is_theirs() {
    let denied = |text: &str| outcome(disposition(Stage::Rcpt, &parsed(text)), &parsed(text));
    let (never, later) =
        (denied("554 5.7.1 <a@x>: Relay access denied"), denied("454 4.7.1 <a@x>: Relay access denied"));
    let delivered = Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "ok"));
    let unknown = denied("550 5.1.1 no such user");
    assert!(relays_to_nobody(std::slice::from_ref(&never)).is_some());
    assert!(relays_to_nobody(&[never.clone(), later.clone()]).is_some());
    assert_eq!(relays_to_nobody(&[never.clone(), delivered]), None);
    assert_eq!(relays_to_nobody(&[never, unknown]), None);
    assert_eq!(relays_to_nobody(&[]), None);
}

#[test]
fn only_words_of_their_own_make_a_refusal_doubtful() {
    let doubtful = |text: &str| may_be_ours(&Reason::reply(&parsed(text)));
    for text in [
        "550 5.7.1 your account is on hold",
        "554 Authentication problem",
        "550 5.7.1 quota of the day",
        "550 IP address unknown",
    ] {
        assert!(doubtful(text), "{text}");
    }
    for text in [
        "550 5.1.1 no such account",
        "550 5.7.1 not you",
        "550 the prelogin collaborate",
        "450 4.7.1 your account is on hold",
        "552 5.2.2 account is full",
        "550 user unknown in this account",
        "554 5.6.0 Message content rejected by account policy",
        "554 5.6.7 no such characters on this relay",
        "554 5.4.6 mail loop: 101 Received fields; the relay's setting message.max_hops allows fewer",
        "552 5.3.4 larger than this relay takes",
    ] {
        assert!(!doubtful(text), "{text}");
    }
}

#[test]
fn a_refusal_of_ours_is_never_a_bounce() {
    for text in ["550 5.4.5 x", "550 5.1.90 x", "550 5.7.705 x", "554 5.2.0 a:OutboundSpamException; x", "535 5.7.8 x"]
    {
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Chunk, Stage::EndOfData] {
            assert!(
                matches!(disposition(stage, &parsed(text)), Disposition::Route | Disposition::Deferred),
                "{stage:?} {text}"
            );
        }
    }
}

#[test]
fn a_plain_reply_is_judged_by_the_command_that_it_answers() {
    use Disposition::{Accepted, Deferred, Failed, OutOfStep, Route};
    use Stage::{Chunk, Data, EndOfData, Mail, Rcpt};
    for (stage, text, expected) in [
        (Mail, "250 ok", Accepted),
        (Mail, "451 4.7.1 try again", Deferred),
        (Mail, "552 too big", Failed),
        (Mail, "550 5.7.1 not you", Failed),
        (Mail, "354 what", OutOfStep),
        (Rcpt, "251 forwarded", Accepted),
        (Rcpt, "252 cannot verify", Accepted),
        (Rcpt, "450 busy", Deferred),
        (Rcpt, "452 4.5.3 too many", Deferred),
        (Rcpt, "552 too many", Deferred),
        (Rcpt, "552 5.5.3 too many", Deferred),
        (Rcpt, "552 5.2.2 full", Failed),
        (Rcpt, "571 blocked", Failed),
        (Rcpt, "421 bye", Route),
        (Chunk, "250 ok", Accepted),
        (Chunk, "552 5.3.4 too big", Failed),
        (Chunk, "354 what", OutOfStep),
        (Data, "354 go on", Accepted),
        (Data, "250 what", OutOfStep),
        (Data, "451 later", Deferred),
        (Data, "554 no valid recipients", Failed),
        (Data, "538 encryption required", Route),
        (EndOfData, "250 queued", Accepted),
        (EndOfData, "354 what", OutOfStep),
        (EndOfData, "421 4.3.0 closing", Deferred),
        (EndOfData, "552 5.2.3 too big", Failed),
    ] {
        assert_eq!(disposition(stage, &parsed(text)), expected, "{stage:?} {text}");
    }
}

#[test]
fn a_deferral_never_carries_a_permanent_status() {
    let reply = parsed("550 5.4.5 Daily user sending limit exceeded");
    let Outcome::Deferred(reason) = outcome(Disposition::Deferred, &reply) else { panic!() };
    assert_eq!((reason.status, reason.reply_code), (EnhancedCode(4, 4, 5), Some(550)));
    assert_eq!(route_trouble(&reply), Some(reason.clone()));
    assert_eq!(reason.text, "550 5.4.5 Daily user sending limit exceeded");
}
