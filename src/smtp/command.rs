//! Commands: one line becomes one value, or an error that becomes a reply (RFC 5321 4.1.1).
//!
//! Parsing does not know the order of commands, nor whether one is allowed; the session decides that.

use super::params::{MailParams, ParamError, RcptParams};
use super::{Mechanism, Secret};
use crate::address::{AddressError, Domain, Mailbox, ReversePath};

/// Which language a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// RFC 5321 with extensions, lenient where real devices are sloppy.
    #[default]
    Esmtp,
    /// The minimum implementation of RFC 821 4.5.1, to the letter.
    Rfc821,
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

/// Why a line is not a command that we carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// No verb that we know.
    Unknown,
    /// A known verb that is not implemented (RFC 5321 4.2.4).
    NotImplemented(&'static str),
    /// A verb of HTTP: a browser or a forged request, not a mail client.
    Http,
    /// Octets that no command may hold: control characters, or not UTF-8.
    Octets,
    /// The form is wrong; how it should be.
    Syntax(&'static str),
    /// The address is wrong.
    Address(AddressError),
    /// A parameter is wrong.
    Parameter(ParamError),
}

impl From<AddressError> for CommandError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<ParamError> for CommandError {
    fn from(error: ParamError) -> Self {
        Self::Parameter(error)
    }
}

/// Room for a domain, and for the sentences that devices send instead.
const MAX_HELO: usize = 255;

impl Command {
    /// Parses a line without its line end; an address without a domain gets `default_domain`.
    ///
    /// # Errors
    /// A [`CommandError`], each kind with a reply of its own.
    pub fn parse(line: &[u8], dialect: Dialect, default_domain: &Domain) -> Result<Self, CommandError> {
        let text = str::from_utf8(line).map_err(|_| CommandError::Octets)?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(CommandError::Octets);
        }
        let text = text.trim_end_matches([' ', '\t']);
        let (verb, argument) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let argument = argument.trim_matches([' ', '\t']);
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => parse_helo(argument).map(Self::Helo),
            "EHLO" if dialect == Dialect::Rfc821 => Err(CommandError::NotImplemented("EHLO")),
            "EHLO" => parse_helo(argument).map(Self::Ehlo),
            "MAIL" => parse_mail(argument, dialect, default_domain),
            "RCPT" => parse_rcpt(argument, dialect, default_domain),
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

fn parse_helo(argument: &str) -> Result<String, CommandError> {
    if argument.is_empty() || argument.len() > MAX_HELO || argument.contains('\t') {
        return Err(CommandError::Syntax("HELO or EHLO and the name of the client"));
    }
    Ok(argument.to_owned())
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

fn parse_mail(argument: &str, dialect: Dialect, default_domain: &Domain) -> Result<Command, CommandError> {
    const FORM: CommandError = CommandError::Syntax("MAIL FROM:<address>");
    let (path, params) = split_path(argument, "FROM:", dialect).ok_or(FORM)?;
    let path = ReversePath::parse(path, Some(default_domain))?;
    Ok(Command::Mail(path, MailParams::parse(params)?))
}

fn parse_rcpt(argument: &str, dialect: Dialect, default_domain: &Domain) -> Result<Command, CommandError> {
    const FORM: CommandError = CommandError::Syntax("RCPT TO:<address>");
    let (path, params) = split_path(argument, "TO:", dialect).ok_or(FORM)?;
    let path = Mailbox::parse_path(path, Some(default_domain))?;
    Ok(Command::Rcpt(path, RcptParams::parse(params)?))
}

/// Splits `FROM:<path> parameters` into the inside of the path and the parameters. Devices put a space after the colon
/// and leave the angle brackets out; except in RFC 821, that is read.
fn split_path<'a>(argument: &'a str, keyword: &str, dialect: Dialect) -> Option<(&'a str, &'a str)> {
    let start = argument.get(..keyword.len()).filter(|start| start.eq_ignore_ascii_case(keyword))?;
    let mut rest = &argument[start.len()..];
    if dialect == Dialect::Esmtp {
        rest = rest.trim_start_matches(' ');
    }
    let Some(inside) = rest.strip_prefix('<') else {
        let (path, params) = rest.split_once(' ').unwrap_or((rest, ""));
        return (dialect == Dialect::Esmtp && !path.is_empty()).then_some((path, params));
    };
    let end = end_of_path(inside)?;
    let params = &inside[end + 1..];
    let fits = params.is_empty() || (params.starts_with(' ') && dialect == Dialect::Esmtp);
    fits.then_some((&inside[..end], params))
}

/// The first `>` that is not within quotes.
fn end_of_path(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_as(line: &str, dialect: Dialect) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes(), dialect, &"lan".parse().unwrap())
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
    fn each_error_is_of_its_kind() {
        assert_eq!(parse("FOO"), Err(CommandError::Unknown));
        assert_eq!(parse(""), Err(CommandError::Unknown));
        assert_eq!(parse("TURN"), Err(CommandError::NotImplemented("TURN")));
        assert_eq!(parse("GET / HTTP/1.1"), Err(CommandError::Http));
        assert_eq!(parse("NOOP \u{0}"), Err(CommandError::Octets));
        assert_eq!(parse("HELO a\rb"), Err(CommandError::Octets));
        assert_eq!(Command::parse(b"HELO \xff", Dialect::Esmtp, &"lan".parse().unwrap()), Err(CommandError::Octets));
        for line in [
            "HELO",
            "EHLO",
            "MAIL",
            "MAIL FROM",
            "MAIL FROM:",
            "MAIL TO:<a@b>",
            "RCPT TO:<a@b",
            "DATA x",
            "RCPT TO:<a@b>x",
            "VRFY",
        ] {
            assert!(matches!(parse(line), Err(CommandError::Syntax(_))), "{line}: {:?}", parse(line));
        }
        for line in ["RCPT TO:<>", "RCPT TO:<a b@c>", "MAIL FROM:<a@>", "MAIL FROM:<a@b@c>"] {
            assert!(matches!(parse(line), Err(CommandError::Address(_))), "{line}");
        }
        assert!(matches!(parse("MAIL FROM:<a@b> X=1"), Err(CommandError::Parameter(ParamError::Unknown(_)))));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..80), verb in "(MAIL FROM:|RCPT TO:|HELO |)<?") {
            let line = [verb.as_bytes(), &line].concat();
            let _ = Command::parse(&line, Dialect::Esmtp, &"lan".parse().unwrap());
        }
    }
}
