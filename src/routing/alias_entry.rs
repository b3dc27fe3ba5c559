//! One alias: its name and its targets, parsed but not yet resolved; or why it is invalid.

use std::fmt;

use crate::address::{Domain, Mailbox, is_unprintable};

/// Why aliases cannot be used: where, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct AliasError {
    pub(super) place: Place,
    pub(super) reason: String,
}

impl AliasError {
    /// The line of the text, from 1; `None` in a table of the configuration.
    pub fn line(&self) -> Option<usize> {
        match self.place {
            Place::Line(line) => Some(line),
            Place::Name(_) => None,
        }
    }
}

/// The place of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In this line of a text, from 1.
    Line(usize),
    /// In a table, under this name.
    Name(String),
}

impl Place {
    /// In a table, under this name.
    pub(super) fn of_table(name: &str) -> Self {
        Self::Name(shown(name))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Name(name) => write!(f, "alias \"{name}\""),
        }
    }
}

/// What an alias is for. The case of ASCII letters does not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// `alarm@nas.lan`: this address; the local part in lower case.
    Address(String, Domain),
    /// `root`: this local part, in lower case, in every local domain.
    Local(String),
    /// `@nas.lan`: everybody else in this domain.
    Domain(Domain),
    /// `*`: everybody else in all local domains.
    Everything,
}

impl Name {
    pub(super) fn address(local: &str, domain: &Domain) -> Self {
        Self::Address(local.to_ascii_lowercase(), domain.clone())
    }

    pub(super) fn local(local: &str) -> Self {
        Self::Local(local.to_ascii_lowercase())
    }
}

/// A target as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// With a domain.
    Address(Mailbox),
    /// A local part alone, at the default domain if it is no alias.
    Local(Mailbox),
    /// `\root`: no alias is looked up for it.
    Final(Mailbox),
}

/// An alias.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) name: Name,
    /// The address that is meant where another alias names this one and a copy stays: for names without a domain.
    pub(super) itself: Option<Mailbox>,
    pub(super) targets: Vec<Reference>,
}

/// How many targets one alias may name.
const MAX_REFERENCES: usize = 1_000;

impl Entry {
    /// Parses name and targets. Quotes around the whole of one of them are dropped, as is usual in files of aliases.
    pub(super) fn parse<'a>(
        place: Place,
        name: &str,
        targets: impl Iterator<Item = &'a str>,
        default_domain: &Domain,
    ) -> Result<Self, AliasError> {
        let fault = |reason: String| AliasError { place: place.clone(), reason };
        let (name, itself) = parse_name(name.trim(), default_domain).map_err(fault)?;
        let targets: Vec<Reference> = targets
            .take(MAX_REFERENCES + 1)
            .map(|target| parse_target(target.trim(), default_domain).map_err(fault))
            .collect::<Result<_, _>>()?;
        match targets.len() {
            0 => Err(fault("expected an address or another name as target, but found nothing".into())),
            1..=MAX_REFERENCES => Ok(Self { place, name, itself, targets }),
            _ => Err(fault(format!("expected at most {MAX_REFERENCES} targets"))),
        }
    }

    /// An error at this alias.
    pub(super) fn fault(&self, reason: String) -> AliasError {
        AliasError { place: self.place.clone(), reason }
    }
}

fn parse_name(text: &str, default_domain: &Domain) -> Result<(Name, Option<Mailbox>), String> {
    let expected = || {
        let forms =
            "a name such as root, an address such as alarm@nas.lan, @nas.lan for the rest of a domain, or * for all";
        format!("expected {forms}, but found \"{}\"", shown(text))
    };
    let text = unquoted(text);
    if text == "*" {
        return Ok((Name::Everything, None));
    }
    if let Some(domain) = text.strip_prefix('@') {
        return Ok((Name::Domain(domain.parse().map_err(|_| expected())?), None));
    }
    let mailbox = Mailbox::parse(text, Some(default_domain)).map_err(|_| expected())?;
    // Legal local parts, but whoever writes them means something else.
    if mailbox.local() == "*" || mailbox.local().starts_with(['|', '/', '\\', '#']) {
        return Err(expected());
    }
    Ok(match has_domain(text) {
        true => (Name::address(mailbox.local(), mailbox.domain()), None),
        false => (Name::local(mailbox.local()), Some(mailbox)),
    })
}

fn parse_target(text: &str, default_domain: &Domain) -> Result<Reference, String> {
    let text = unquoted(text);
    if text.starts_with(['|', '/', ':']) {
        let found = shown(text);
        return Err(format!(
            "leafmail only relays: it hands no mail to commands, files or lists, as \"{found}\" wants"
        ));
    }
    let (text, is_final) = text.strip_prefix('\\').map_or((text, false), |name| (name, true));
    let mailbox = Mailbox::parse(text, Some(default_domain)).map_err(|error| match text {
        "" => "expected an address or another name as target, but found nothing".to_owned(),
        _ => format!("{error}; targets are addresses or names of aliases, with commas between them"),
    })?;
    if mailbox.local() == "*" {
        return Err("* is no target: expected an address or another name".into());
    }
    Ok(match (is_final, has_domain(text)) {
        (true, _) => Reference::Final(mailbox),
        (false, true) => Reference::Address(mailbox),
        (false, false) => Reference::Local(mailbox),
    })
}

/// Whether a text that is a mailbox or a local part is the former.
fn has_domain(text: &str) -> bool {
    !text.ends_with('"') && text.contains('@')
}

/// Without the quotes around the whole, unless they are what makes it a local part, as in `"two words"`.
fn unquoted(text: &str) -> &str {
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inside {
        Some(inside)
            if !inside.contains(['"', '\\']) && (!inside.contains(' ') || inside.starts_with(['|', '/', ':'])) =>
        {
            inside
        }
        _ => text,
    }
}

/// A text of a file for an error: short, and without what could break a line.
fn shown(text: &str) -> String {
    text.chars().take(60).map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}
