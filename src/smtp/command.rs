//! Commands: one line becomes one value, or an error that becomes a reply (RFC 5321 4.1.1).
//!
//! Parsing does not know the order of commands, nor whether one is allowed; the session decides that.

mod error;
mod grammar;
mod hello;
mod path;

use super::params::{MailParams, RcptParams};
use super::{Mechanism, Secret};
use crate::address::{Mailbox, ReversePath};
pub use error::CommandError;
pub use grammar::{Dialect, Grammar};

/// A command line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedCommand {
    /// What it means.
    pub command: Command,
    /// What was odd about it, for the log.
    pub remark: Option<&'static str>,
}

/// One command of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// HELO, with what the client calls itself.
    Helo(String),
    /// EHLO, with what the client calls itself.
    Ehlo(String),
    /// MAIL FROM.
    Mail(ReversePath, MailParams),
    /// RCPT TO.
    Rcpt(Mailbox, RcptParams),
    /// DATA.
    Data,
    /// BDAT (RFC 3030 2).
    Bdat(Chunk),
    /// RSET.
    Rset,
    /// NOOP; its argument means nothing.
    Noop,
    /// QUIT.
    Quit,
    /// HELP; about what is not looked at.
    Help,
    /// VRFY.
    Vrfy(String),
    /// EXPN.
    Expn(String),
    /// XCLIENT; its argument is read only where it is offered, see [`super::xclient`].
    Xclient(String),
    /// XFORWARD, likewise.
    Xforward(String),
    /// XMAILQ, of this project: its argument is read only from users whom the kernel names.
    Xmailq(String),
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH with its mechanism, where it is one that we know, and the initial response, still in base64 (RFC 4954 4).
    Auth(Option<Mechanism>, Option<Secret>),
}

/// How many octets follow a BDAT command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Octets, from the one after the command's line end.
    pub size: u64,
    /// Whether the message ends with them.
    pub last: bool,
}

impl From<Command> for ParsedCommand {
    fn from(command: Command) -> Self {
        Self { command, remark: None }
    }
}

/// A path that is not of the form of RFC 5321.
const DRESSED: &str =
    "sent an address with a display name, doubled brackets or spaces in MAIL or RCPT; only the address was taken";

impl Command {
    /// Parses a line without its line end.
    ///
    /// # Errors
    /// A [`CommandError`], each kind with a reply of its own.
    pub fn parse(line: &[u8], grammar: &Grammar<'_>) -> Result<ParsedCommand, CommandError> {
        let Grammar { dialect, .. } = *grammar;
        if let Some((extended, name)) = grammar.is_lenient().then(|| hello::split(line)).flatten() {
            let name = hello::name_as_text(name)?;
            return Ok(if extended { Self::Ehlo(name) } else { Self::Helo(name) }.into());
        }
        let text = path::readable(line, grammar.syntax()).ok_or(CommandError::Octets)?;
        let text = text.as_ref();
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::Octets);
        }
        let text = text.trim_end_matches([' ', '\t']);
        let (verb, argument) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let argument = argument.trim_matches([' ', '\t']);
        let verb = verb.to_ascii_uppercase();
        match verb.as_str() {
            "MAIL" => parse_mail(argument, grammar),
            "RCPT" => parse_rcpt(argument, grammar),
            _ => Self::parse_other(&verb, argument, dialect).map(ParsedCommand::from),
        }
    }

    fn parse_other(verb: &str, argument: &str, dialect: Dialect) -> Result<Self, CommandError> {
        match verb {
            "HELO" => hello::name(argument).map(Self::Helo),
            "EHLO" if dialect == Dialect::Rfc821 => Err(CommandError::NotImplemented("EHLO")),
            "EHLO" => hello::name(argument).map(Self::Ehlo),
            "DATA" => alone(argument, "DATA").map(|()| Self::Data),
            "BDAT" if dialect == Dialect::Esmtp => parse_bdat(argument).map(Self::Bdat),
            "RSET" => alone(argument, "RSET").map(|()| Self::Rset),
            "QUIT" => alone(argument, "QUIT").map(|()| Self::Quit),
            "NOOP" => Ok(Self::Noop),
            "STARTTLS" if dialect == Dialect::Rfc821 => Err(CommandError::NotImplemented("STARTTLS")),
            "AUTH" if dialect == Dialect::Rfc821 => Err(CommandError::NotImplemented("AUTH")),
            "STARTTLS" => alone(argument, "STARTTLS").map(|()| Self::StartTls),
            "AUTH" => parse_auth(argument),
            "HELP" if dialect == Dialect::Rfc821 => Err(CommandError::NotImplemented("HELP")),
            "VRFY" if dialect == Dialect::Rfc821 => Err(CommandError::NotImplemented("VRFY")),
            "EXPN" if dialect == Dialect::Rfc821 => Err(CommandError::NotImplemented("EXPN")),
            "HELP" => Ok(Self::Help),
            "VRFY" if argument.is_empty() => Err(CommandError::Syntax("VRFY name")),
            "VRFY" => Ok(Self::Vrfy(argument.to_owned())),
            "EXPN" if argument.is_empty() => Err(CommandError::Syntax("EXPN list")),
            "EXPN" => Ok(Self::Expn(argument.to_owned())),
            "XCLIENT" if dialect == Dialect::Esmtp => Ok(Self::Xclient(argument.to_owned())),
            "XFORWARD" if dialect == Dialect::Esmtp => Ok(Self::Xforward(argument.to_owned())),
            "XMAILQ" => Ok(Self::Xmailq(argument.to_owned())),
            other => Err(unusable_verb(other)),
        }
    }
}

impl Command {
    /// Whether a client must wait for the reply before it sends more (RFC 2920 3.1). What came early is answered in order all
    /// the same, so that no reply depends on how the octets were cut.
    pub fn ends_group(&self) -> bool {
        matches!(self, Self::Ehlo(_) | Self::Data | Self::Vrfy(_) | Self::Expn(_) | Self::Noop | Self::Quit)
    }
}

fn unusable_verb(verb: &str) -> CommandError {
    /// Of RFC 821 and of extensions that are not offered.
    const KNOWN: [&str; 8] = ["TURN", "SEND", "SOML", "SAML", "ETRN", "BDAT", "XCLIENT", "XFORWARD"];
    const HTTP: [&str; 8] = ["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "PATCH"];
    match KNOWN.iter().find(|known| **known == verb) {
        Some(known) => CommandError::NotImplemented(known),
        None if HTTP.contains(&verb) => CommandError::Http,
        None => CommandError::Unknown,
    }
}

/// Neither part is repeated in an error: people mistake one for the other, and either may be a password.
fn parse_auth(argument: &str) -> Result<Command, CommandError> {
    let mut words = argument.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(name), initial, None) => Ok(Command::Auth(Mechanism::of_name(name), initial.map(Secret::new))),
        _ => Err(CommandError::Syntax("AUTH mechanism [response]")),
    }
}

fn alone(argument: &str, form: &'static str) -> Result<(), CommandError> {
    if argument.is_empty() { Ok(()) } else { Err(CommandError::Syntax(form)) }
}

/// RFC 3030 2: `BDAT SP chunk-size [ SP "LAST" ]`.
fn parse_bdat(argument: &str) -> Result<Chunk, CommandError> {
    const FORM: CommandError = CommandError::Syntax("BDAT octets [LAST]");
    let (size, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    let last = rest.trim_start_matches(' ');
    let digits = !size.is_empty() && size.bytes().all(|octet| octet.is_ascii_digit());
    if !digits || !(last.is_empty() || last.eq_ignore_ascii_case("LAST")) {
        return Err(FORM);
    }
    Ok(Chunk { size: size.parse().map_err(|_| FORM)?, last: !last.is_empty() })
}

fn parse_mail(argument: &str, grammar: &Grammar<'_>) -> Result<ParsedCommand, CommandError> {
    const FORM: CommandError = CommandError::Syntax("MAIL FROM:<address>");
    let Split { path, params, remark } = split(argument, "FROM:", grammar)?.ok_or(FORM)?;
    let path = ReversePath::parse_as(path, Some(grammar.default_domain), grammar.syntax())?;
    Ok(ParsedCommand { command: Command::Mail(path, MailParams::parse(params, grammar.syntax())?), remark })
}

fn parse_rcpt(argument: &str, grammar: &Grammar<'_>) -> Result<ParsedCommand, CommandError> {
    const FORM: CommandError = CommandError::Syntax("RCPT TO:<address>");
    let Split { path, params, remark } = split(argument, "TO:", grammar)?.ok_or(FORM)?;
    let path = Mailbox::parse_path_as(path, Some(grammar.default_domain), grammar.syntax())?;
    Ok(ParsedCommand { command: Command::Rcpt(path, RcptParams::parse(params, grammar.syntax())?), remark })
}

/// The two parts of MAIL and RCPT.
struct Split<'a> {
    path: &'a str,
    params: &'a str,
    remark: Option<&'static str>,
}

/// Octets that are not UTF-8 may be in a display name only, which is dropped.
fn split<'a>(argument: &'a str, keyword: &str, grammar: &Grammar<'_>) -> Result<Option<Split<'a>>, CommandError> {
    let dressed = if grammar.is_lenient() { path::split_dressed(argument, keyword) } else { None };
    let split = match dressed {
        Some((path, params)) => Some(Split { path, params, remark: Some(DRESSED) }),
        None => {
            path::split(argument, keyword, grammar.dialect).map(|(path, params)| Split { path, params, remark: None })
        }
    };
    let is_readable = |split: &Split<'_>| !path::is_unreadable(split.path) && !path::is_unreadable(split.params);
    match split {
        Some(split) if !is_readable(&split) => Err(CommandError::Octets),
        None if path::is_unreadable(argument) => Err(CommandError::Octets),
        split => Ok(split),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Syntax;
    use crate::smtp::ParamError;
    use proptest::prelude::*;

    fn read(line: &[u8], dialect: Dialect, syntax: Syntax) -> Result<ParsedCommand, CommandError> {
        Command::parse(line, &Grammar { dialect, syntax, default_domain: &"lan".parse().unwrap() })
    }

    fn parse_as(line: &str, dialect: Dialect) -> Result<Command, CommandError> {
        read(line.as_bytes(), dialect, Syntax::Lenient).map(|reading| reading.command)
    }

    fn parse_strictly(line: &str) -> Result<Command, CommandError> {
        read(line.as_bytes(), Dialect::Esmtp, Syntax::Strict).map(|reading| reading.command)
    }

    fn parse(line: &str) -> Result<Command, CommandError> {
        parse_as(line, Dialect::Esmtp)
    }

    fn sender(line: &str) -> String {
        match parse(line) {
            Ok(Command::Mail(path, _)) => format!("<{path}>"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn verbs_are_read_in_any_case() {
        assert_eq!(parse("quit"), Ok(Command::Quit));
        assert_eq!(parse("eHlO there "), Ok(Command::Ehlo("there".to_owned())));
        assert_eq!(parse("NOOP whatever"), Ok(Command::Noop));
        assert_eq!(parse("VRFY joe"), Ok(Command::Vrfy("joe".to_owned())));
    }

    #[test]
    fn a_chunk_has_a_size_that_fits_and_perhaps_is_the_last() {
        assert_eq!(parse("BDAT 86"), Ok(Command::Bdat(Chunk { size: 86, last: false })));
        assert_eq!(parse("bdat 0 last"), Ok(Command::Bdat(Chunk { size: 0, last: true })));
        assert_eq!(parse("BDAT 18446744073709551615"), Ok(Command::Bdat(Chunk { size: u64::MAX, last: false })));
        for line in ["BDAT", "BDAT LAST", "BDAT -1", "BDAT +1", "BDAT 1x", "BDAT 1 FIRST", "BDAT 18446744073709551616"]
        {
            assert!(matches!(parse(line), Err(CommandError::Syntax(_))), "{line}");
        }
        assert_eq!(parse_as("BDAT 1", Dialect::Rfc821), Err(CommandError::NotImplemented("BDAT")));
    }

    #[test]
    fn paths_are_read_as_people_write_them() {
        assert_eq!(sender("MAIL FROM:<a@b>"), "<a@b>");
        assert_eq!(sender("mail from: <a@b> SIZE=10"), "<a@b>");
        assert_eq!(sender("MAIL FROM:a@b SIZE=10"), "<a@b>");
        assert_eq!(sender("MAIL FROM:<>"), "<>");
        assert_eq!(sender("MAIL FROM:<root>"), "<root@lan>");
        assert_eq!(sender("MAIL FROM:<\"a>b\\\"\"@c>"), "<\"a>b\\\"\"@c>");
        assert_eq!(sender("MAIL FROM:<@x,@y:a@b>"), "<a@b>");
        assert!(matches!(parse("RCPT TO:<postmaster>"), Ok(Command::Rcpt(to, _)) if to.is_postmaster()));
    }

    #[test]
    fn rfc_821_is_read_to_the_letter() {
        for line in ["MAIL FROM: <a@b>", "MAIL FROM:a@b", "MAIL FROM:<a@b> SIZE=1"] {
            assert!(matches!(parse_as(line, Dialect::Rfc821), Err(CommandError::Syntax(_))), "{line}");
        }
        assert_eq!(parse_as("EHLO x", Dialect::Rfc821), Err(CommandError::NotImplemented("EHLO")));
        assert!(parse_as("MAIL FROM:<a@b>", Dialect::Rfc821).is_ok());
    }

    #[test]
    fn what_devices_send_is_read_but_not_in_strict_syntax() {
        let sender = |text: &str| Command::Mail(text.parse().map(ReversePath::Mailbox).unwrap(), MailParams::default());
        let hello = |name: &str| Command::Ehlo(name.to_owned());
        for (line, command) in [
            (&b"EHLO"[..], hello("")),
            (b"ehlo  ", hello("")),
            (b"EHLO M\xdcLLER-PC", hello("M\\xDCLLER-PC")),
            (b"EHLO my\tprinter", hello("my\\x09printer")),
            (b"MAIL FROM:<taro..x@docomo.example>", sender("taro..x@docomo.example")),
            (b"MAIL FROM:taro.@docomo.example", sender("taro.@docomo.example")),
            (b"MAIL FROM:<root@nas.example.com.>", sender("root@nas.example.com")),
            (b"MAIL FROM:<@relay.lan.:root@nas.lan.>", sender("root@nas.lan")),
            (b"MAIL FROM:< a@b >", sender("a@b")),
            (b"MAIL FROM:<<a@b>>", sender("a@b")),
            (b"MAIL FROM:Ops <root>", sender("root@lan")),
            (b"MAIL FROM:\"B\xfcro\" <a@b>", sender("a@b")),
        ] {
            let read_as = |syntax| read(line, Dialect::Esmtp, syntax).map(|reading| reading.command);
            assert_eq!(read_as(Syntax::Lenient), Ok(command), "{}", line.escape_ascii());
            assert!(read_as(Syntax::Strict).is_err(), "{}", line.escape_ascii());
            assert!(read(line, Dialect::Rfc821, Syntax::Lenient).is_err(), "{}", line.escape_ascii());
        }
        let remark = |line: &str| read(line.as_bytes(), Dialect::Esmtp, Syntax::Lenient).unwrap().remark.is_some();
        assert!(remark("MAIL FROM:Ops <a@b>") && remark("RCPT TO:<<a@b>>") && remark("RCPT TO:< a@b>"));
        assert!(!remark("MAIL FROM:<a@b>") && !remark("RCPT TO:a@b") && !remark("EHLO"));
        for two in
            ["Ops <a@b>, Eve <c@d>", "<a@b,c@d>", "<a@b> <c@d>", "a@b <c@d>", "<<a@b> <c@d>>", "a@b,c@d", "a@b c@d"]
        {
            assert!(parse(&format!("RCPT TO:{two}")).is_err(), "{two}");
        }
    }

    #[test]
    fn each_error_is_of_its_kind() {
        assert_eq!(parse("FOO"), Err(CommandError::Unknown));
        assert_eq!(parse(""), Err(CommandError::Unknown));
        assert_eq!(parse("TURN"), Err(CommandError::NotImplemented("TURN")));
        assert_eq!(parse("GET / HTTP/1.1"), Err(CommandError::Http));
        assert_eq!(parse("NOOP \u{0}"), Err(CommandError::Octets));
        assert_eq!(parse("HELO a\rb"), Err(CommandError::Octets));
        for (line, syntax) in [
            (&b"HELO \xff"[..], Syntax::Strict),
            (b"VRFY \xff", Syntax::Lenient),
            (b"MAIL FROM:<\xff@b>", Syntax::Lenient),
            (b"MAIL FROM:a\xff@b", Syntax::Lenient),
            (b"MAIL FROM:\"\xff\" <\xff@b>", Syntax::Lenient),
            (b"MAIL FROM:\"\xff\" <a@b> ENVID=\xff", Syntax::Lenient),
            (b"RCPT TO:\"\xff\" <a@b>", Syntax::Strict),
            (b"\xff", Syntax::Lenient),
        ] {
            assert_eq!(read(line, Dialect::Esmtp, syntax), Err(CommandError::Octets), "{}", line.escape_ascii());
        }
        for line in ["HELO", "EHLO", "HELO a\tb"] {
            assert!(matches!(parse_strictly(line), Err(CommandError::Syntax(_))), "{line}");
        }
        for line in
            ["MAIL", "MAIL FROM", "MAIL FROM:", "MAIL TO:<a@b>", "RCPT TO:<a@b", "DATA x", "RCPT TO:<a@b>x", "VRFY"]
        {
            assert!(matches!(parse(line), Err(CommandError::Syntax(_))), "{line}: {:?}", parse(line));
        }
        for line in ["RCPT TO:<>", "RCPT TO:<a b@c>", "MAIL FROM:<a@>", "MAIL FROM:<a@b@c>"] {
            assert!(matches!(parse(line), Err(CommandError::Address(_))), "{line}");
        }
        assert!(matches!(parse("MAIL FROM:<a@b> X=1"), Err(CommandError::Parameter(ParamError::Unknown(_)))));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..80), verb in "(MAIL FROM:|RCPT TO:|HELO |)(<|<<| <|a <|<a@b>|)") {
            let line = [verb.as_bytes(), &line].concat();
            let lenient = read(&line, Dialect::Esmtp, Syntax::Lenient).map(|reading| reading.command);
            match read(&line, Dialect::Esmtp, Syntax::Strict).map(|reading| reading.command) {
                Ok(Command::Helo(_) | Command::Ehlo(_)) | Err(_) => {}
                // What is of the grammar is never read as something else.
                strict => prop_assert_eq!(lenient, strict),
            }
        }
    }
}
