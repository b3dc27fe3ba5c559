//! The command line of `sendmail`: a grammar of its own, older than getopt, which hundreds of programs rely on.
//!
//! Pure, and without errors: an option that is not known costs a warning, never the mail. The letters with a value are those
//! of the sendmail of Postfix (`A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:r:q:tvx`) and of Sendmail 8 (`D:`, `d`, `q` and `M`
//! with their value attached). As with them on Linux, options may follow recipients; `--` ends the options.

use leafmail::address::escaped;
use leafmail::smtp::{Notify, Ret};
use leafmail::submission::LoneDot;

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) mode: Mode,
    /// `-t`.
    pub(crate) from_header: bool,
    /// `-i`, `-oi`.
    pub(crate) dot: LoneDot,
    /// `-f`, `-r`; may be empty or `<>`.
    pub(crate) sender: Option<String>,
    /// `-F`.
    pub(crate) full_name: Option<String>,
    /// `-N`.
    pub(crate) notify: Option<Notify>,
    /// `-R`.
    pub(crate) ret: Option<Ret>,
    /// `-V`.
    pub(crate) envid: Option<String>,
    /// The operands, in order.
    pub(crate) recipients: Vec<String>,
    /// What was not understood, in words.
    pub(crate) warnings: Vec<String>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Take a message from standard input (`-bm`).
    Submit,
    /// SMTP on standard input and output (`-bs`).
    Dialogue,
    /// Show the queue (`-bp`).
    List,
    /// Work on the queue (`-q`).
    Flush,
    /// Make the alias database (`-bi`, `-I`).
    Aliases,
    /// A mode that this program has not.
    Unsupported(char),
    Help,
    Version,
}

/// Letters with a value, attached or in the next argument. `-a`, `-H`, `-S`, `-T` and `-w` are those of other submission programs
/// (ssmtp, msmtp, BusyBox, mini_sendmail); their values are no recipients, and nobody else's business.
const WITH_VALUE: &str = "ABCDFHLNORSTVXabefhoprw";
/// The long options of msmtp whose value may be in the next argument.
const LONG_WITH_VALUE: [&str; 24] = [
    "account",
    "aliases",
    "auth",
    "dsn-notify",
    "dsn-return",
    "domain",
    "eval",
    "file",
    "from",
    "from-full-name",
    "host",
    "logfile",
    "maildomain",
    "pass",
    "password",
    "passwordeval",
    "port",
    "protocol",
    "proxy-host",
    "proxy-port",
    "source-ip",
    "syslog",
    "timeout",
    "user",
];
/// Letters whose value can only be attached.
const ATTACHED: &str = "dqM";
/// Letters without a value that change nothing here.
const SWALLOWED: &str = "GUJcmnsvx";
/// Those of the letters with a value whose value may have an `@` in it. With another, it is an address that begins so.
const WITH_AT: &str = "CDFLOVXMfr";

/// RFC 3461 4.4: characters of an ENVID.
const MAX_ENVID: usize = 100;

/// Reads the arguments behind the program's name.
pub(crate) fn parse(arguments: &[String]) -> Invocation {
    let mut invocation = Invocation {
        mode: Mode::Submit,
        from_header: false,
        dot: LoneDot::Ends,
        sender: None,
        full_name: None,
        notify: None,
        ret: None,
        envid: None,
        recipients: Vec::new(),
        warnings: Vec::new(),
    };
    let mut flush = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--" => {
                invocation.recipients.extend(rest.cloned());
                break;
            }
            "--help" => invocation.mode = Mode::Help,
            "--version" => invocation.mode = Mode::Version,
            "-" => invocation.warn("-"),
            _ => match argument.strip_prefix('-').map(options) {
                Some(_) if is_long(argument) => invocation.long(argument, &mut rest),
                None => invocation.recipients.push(argument.clone()),
                Some(_) if is_address(argument) => invocation.recipients.push(argument.clone()),
                Some(options) => {
                    for option in options {
                        let value = match option {
                            Letter::Plain(_) | Letter::Value(_, Some(_)) => None,
                            Letter::Value(..) => rest.next().cloned(),
                            Letter::Login => {
                                let _nobodys_business = rest.next();
                                None
                            }
                            Letter::Unknown => {
                                invocation.warn(argument);
                                continue;
                            }
                        };
                        flush |= option.letter() == 'q';
                        invocation.apply(&option, value.as_deref());
                    }
                }
            },
        }
    }
    // Whoever names recipients has mail for them.
    if flush && invocation.mode == Mode::Submit && !invocation.from_header && invocation.recipients.is_empty() {
        invocation.mode = Mode::Flush;
    }
    invocation
}

/// One option of an argument such as `-tif`.
enum Letter<'a> {
    Plain(char),
    Value(char, Option<&'a str>),
    /// ssmtp's user, password or method (`-au`, `-ap`, `-am`), whose value is in the next argument.
    Login,
    /// And whatever follows it.
    Unknown,
}

impl Letter<'_> {
    fn letter(&self) -> char {
        match self {
            Self::Plain(letter) | Self::Value(letter, _) => *letter,
            Self::Unknown | Self::Login => '?',
        }
    }
}

fn options(cluster: &str) -> Vec<Letter<'_>> {
    let mut found = Vec::new();
    for (at, letter) in cluster.char_indices() {
        let attached = &cluster[at + letter.len_utf8()..];
        if letter == 'a' && matches!(attached, "u" | "p" | "m") {
            found.push(Letter::Login);
            break;
        }
        if WITH_VALUE.contains(letter) {
            found.push(Letter::Value(letter, (!attached.is_empty()).then_some(attached)));
            break;
        }
        if ATTACHED.contains(letter) {
            found.push(Letter::Value(letter, Some(attached)));
            break;
        }
        if "tiI".contains(letter) || SWALLOWED.contains(letter) {
            found.push(Letter::Plain(letter));
            continue;
        }
        found.push(Letter::Unknown);
        break;
    }
    found
}

/// Whether what begins with `-` is an address all the same: it has an `@` where no option has one.
fn is_address(argument: &str) -> bool {
    // A user or a password of ssmtp may have an `@` in it.
    argument.contains('@')
        && !argument.starts_with("-au")
        && !argument.starts_with("-ap")
        && options(&argument[1..]).last().is_some_and(|last| match last {
            Letter::Unknown => true,
            Letter::Value(letter, Some(value)) => value.contains('@') && !WITH_AT.contains(*letter),
            Letter::Value(_, None) | Letter::Plain(_) | Letter::Login => false,
        })
}

/// Whether it is a long option such as `--from=joe@x`, and no address that begins with two dashes.
fn is_long(argument: &str) -> bool {
    let Some(name) = argument.strip_prefix("--").and_then(|long| long.split('=').next()) else { return false };
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

impl Invocation {
    /// A long option. Its value may be a password, so it goes nowhere.
    fn long<'a>(&mut self, argument: &str, rest: &mut impl Iterator<Item = &'a String>) {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument, None),
        };
        let bare = name.trim_start_matches('-');
        let value = match attached {
            None if LONG_WITH_VALUE.contains(&bare) => rest.next().cloned(),
            attached => attached,
        };
        match (bare, value) {
            ("from", Some(value)) => self.sender = Some(value),
            ("read-recipients", _) => self.from_header = true,
            _ => self.warn(name),
        }
    }

    /// What is attached may be a password, so it is not told.
    fn warn(&mut self, argument: &str) {
        let name = argument.split('=').next().unwrap_or_default();
        let name = if name.starts_with("--") { name } else { name.get(..2).unwrap_or(name) };
        self.warnings.push(format!("the option \"{}\" is not known, and ignored", escaped(name)));
    }

    fn apply(&mut self, option: &Letter<'_>, next: Option<&str>) {
        let (letter, value) = match option {
            Letter::Plain('t') => return self.from_header = true,
            Letter::Plain('i') => return self.dot = LoneDot::IsText,
            Letter::Plain('I') => return self.mode = Mode::Aliases,
            Letter::Plain(_) | Letter::Unknown | Letter::Login => return,
            Letter::Value(letter, attached) => (*letter, attached.or(next)),
        };
        let Some(value) = value else {
            return self.warnings.push(format!("the option -{letter} is without its value, and ignored"));
        };
        match letter {
            'f' | 'r' => self.sender = Some(value.to_owned()),
            'F' => self.full_name = Some(value.to_owned()),
            'o' if value.starts_with('i') => self.dot = LoneDot::IsText,
            'b' => self.mode = mode(value),
            'N' => self.notify = self.checked(letter, value, value.parse().ok()),
            'R' => self.ret = self.checked(letter, value, value.parse().ok()),
            'V' => self.envid = self.checked(letter, value, envid(value)),
            _ => {}
        }
    }

    fn checked<T>(&mut self, letter: char, value: &str, parsed: Option<T>) -> Option<T> {
        if parsed.is_none() {
            self.warnings.push(format!("the option -{letter} has not the value {value:?}, and is ignored"));
        }
        parsed
    }
}

fn mode(value: &str) -> Mode {
    match value.chars().next() {
        None | Some('m') => Mode::Submit,
        Some('s') => Mode::Dialogue,
        Some('p') => Mode::List,
        Some('i') => Mode::Aliases,
        Some(other) => Mode::Unsupported(other),
    }
}

/// RFC 3461 4.4: printable, and its xtext of 100 characters at most.
fn envid(value: &str) -> Option<String> {
    let printable = value.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    let fits = (1..=MAX_ENVID).contains(&leafmail::smtp::xtext::encode(value).len());
    (printable && fits).then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
