//! Command lines, addresses, parameters, and the replies of a smarthost.
//!
//! What is parsed has no control character in it and reads the same once it is written; what is not is answered by one
//! well-formed reply.

use leafmail::address::{Domain, Mailbox, ReversePath, Syntax};
use leafmail::receipt::Reason;
use leafmail::smtp::xclient::{Attribute, Xclient, Xforward};
use leafmail::smtp::{
    Command, Dialect, Enhanced, Grammar, MailParams, ParsedCommand, RcptParams, Reply, ReplyReader, catalogue, xtext,
};
use leafmail::transport::meaning;

pub(super) fn command(octets: &[u8]) {
    let home: Domain = "lan.example".parse().expect("it is a domain");
    let read = |dialect, syntax| {
        let read = Command::parse(octets, &Grammar { dialect, syntax, default_domain: &home });
        read.map(|ParsedCommand { command, .. }| command)
    };
    // What is of the grammar is never read as something else; names are shown otherwise.
    if let Ok(strict) = read(Dialect::Esmtp, Syntax::Strict)
        && !matches!(strict, Command::Helo(_) | Command::Ehlo(_))
    {
        assert_eq!(read(Dialect::Esmtp, Syntax::Lenient), Ok(strict));
    }
    for (dialect, syntax) in
        [(Dialect::Esmtp, Syntax::Lenient), (Dialect::Esmtp, Syntax::Strict), (Dialect::Rfc821, Syntax::Strict)]
    {
        match read(dialect, syntax) {
            Ok(Command::Helo(name) | Command::Ehlo(name) | Command::Vrfy(name) | Command::Expn(name)) => {
                assert!(harmless(&name) || name.contains('\t'), "{name:?}");
            }
            Ok(Command::Mail(path, _)) => reads_again(&path),
            Ok(Command::Rcpt(mailbox, _)) => reads_again(&ReversePath::Mailbox(mailbox)),
            Ok(Command::Xclient(argument)) => told_of_a_client(&argument),
            Ok(Command::Xforward(argument)) => {
                let told = Xforward::parse(&argument).map(|Xforward(told)| told).unwrap_or_default();
                assert!(told.iter().filter_map(|(_, value)| value.as_ref()).all(|value| harmless(value)), "{told:?}");
            }
            Ok(_) => {}
            Err(error) => is_well_formed(&catalogue::bad_command(&error)),
        }
    }
}

fn told_of_a_client(argument: &str) {
    let Ok(client) = Xclient::parse(argument) else { return };
    for told in [client.helo, client.login] {
        if let Attribute::Is(text) = told {
            assert!(harmless(&text), "{text:?}");
        }
    }
}

/// Addresses, and the parameters of MAIL and RCPT.
pub(super) fn address(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(domain) = text.parse::<Domain>() {
        assert!(harmless(&domain.to_string()), "{domain}");
        assert_eq!(domain.to_string().parse(), Ok(domain));
    }
    if let Ok(mailbox) = Mailbox::parse(&text, None) {
        assert!(harmless(&mailbox.to_string()), "{mailbox}");
        assert_eq!(Mailbox::parse(&mailbox.to_string(), None), Ok(mailbox));
    }
    if let Ok(path) = ReversePath::parse(&text, None) {
        reads_again(&path);
    }
    if let Ok(params) = MailParams::parse(&text, Syntax::Lenient) {
        assert!(params.auth.is_none_or(|submitter| submitter == "<>" || submitter.parse::<Mailbox>().is_ok()));
        assert!(params.envid.is_none_or(|envid| harmless(&envid) && xtext::capitalised(&envid) == envid));
    }
    if let Ok(params) = RcptParams::parse(&text, Syntax::Lenient) {
        assert!(params.orcpt.is_none_or(|orcpt| harmless(&orcpt) && xtext::capitalised(&orcpt) == orcpt));
    }
    let encoded = xtext::encode(&text);
    assert_eq!(xtext::decode(&encoded).as_deref(), Some(text.as_bytes()));
    if let Some(decoded) = xtext::decode_printable(&text) {
        assert!(harmless(&decoded), "{decoded:?}");
    }
}

fn reads_again(path: &ReversePath) {
    let written = path.to_string();
    assert!(harmless(&written), "{written:?}");
    assert_eq!(ReversePath::parse(&written, None).as_ref(), Ok(path));
    assert_eq!(ReversePath::parse(&written, None).map(|again| again.to_string()), Ok(written));
}

/// What a smarthost says.
pub(super) fn reply(octets: &[u8]) {
    for whole in [true, false] {
        let mut reader = ReplyReader::default();
        reader.feed(octets);
        let mut next = || if whole { reader.next_reply() } else { reader.next_lone_reply() };
        while let Ok(Some(reply)) = next() {
            is_well_formed(&reply);
        }
        assert!(harmless(&reader.rest()));
    }
    let Ok(reply) = Reply::parse(octets) else { return };
    assert!((200..600).contains(&reply.code()));
    is_well_formed(&reply);
    let reason = Reason::reply(&reply);
    assert!(harmless(&reason.text), "{:?}", reason.text);
    if let Some(meaning) = meaning(&reason) {
        assert!(!format!("{meaning:?}").is_empty());
    }
    let mut written = Vec::new();
    reply.write(&mut written, Enhanced::Shown);
    let again = Reply::parse(&written).expect("what we write is a reply");
    assert_eq!(again.code(), reply.code());
}

/// RFC 5321 4.2: code, then `-` or a space, then text; no line over 512 octets.
pub(super) fn is_well_formed(reply: &Reply) {
    let mut written = Vec::new();
    reply.write(&mut written, Enhanced::Shown);
    replies_are_well_formed(&written);
}

pub(super) fn replies_are_well_formed(written: &[u8]) {
    let text = str::from_utf8(written).expect("replies are UTF-8");
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
    for line in text.split_terminator("\r\n") {
        assert!(line.len() <= 510, "{} octets: {line}", line.len());
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok()).expect("it has a code");
        assert!((200..600).contains(&code) && matches!(line.as_bytes().get(3), Some(b' ' | b'-')), "{line:?}");
        assert!(harmless(line), "{line:?}");
    }
}

fn harmless(text: &str) -> bool {
    !text.contains(char::is_control)
}
