//! Paths with the recipient in them, such as `/var/mail/{domain}/{local}/Maildir`.
//!
//! Invariant: what an address contributes is a part of one name. It has no slash, and makes no name that is `.` or `..`, so that no
//! recipient leads out of the folder that the configuration names, and none that is the lock file of an mbox. Different addresses contribute different text.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::address::Mailbox;
use crate::transport::settings::NextHopError;

/// The ending of an mbox's lock file.
pub(super) const LOCK: &str = ".lock";
/// POSIX: NAME_MAX, with room for the lock file.
const LONGEST_NAME: usize = 255 - LOCK.len();

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Template {
    /// For all recipients.
    Fixed(PathBuf),
    /// With at least one placeholder.
    Parts(Vec<Part>),
}

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// What is before the `@`.
    Local,
    /// The same up to a `+`.
    User,
    Domain,
}

/// The name would be longer than a file system takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooLong;

impl Template {
    /// Reads a path with placeholders.
    pub(super) fn parse(text: &str) -> Result<Self, NextHopError> {
        const EXPECTED: &str = "{local}, {user} or {domain} in the path";
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| NextHopError::unexpected(EXPECTED, after))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "local" => Part::Local,
                "user" => Part::User,
                "domain" => Part::Domain,
                other => return Err(NextHopError::unexpected(EXPECTED, other)),
            });
            rest = after;
        }
        if parts.is_empty() {
            return Ok(Self::Fixed(PathBuf::from(text)));
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self::Parts(parts);
        if template.root() == Path::new("/") {
            return Err(NextHopError::unexpected("a folder before the first {", text));
        }
        Ok(template)
    }

    /// Whether recipients have different paths.
    pub(super) fn is_per_recipient(&self) -> bool {
        matches!(self, Self::Parts(_))
    }

    /// How many recipients a transaction may have. Of several with different paths it could serve one only: the others would be handed
    /// over for nothing each time, and be in doubt should the process die.
    pub(super) fn most_recipients(&self) -> Option<usize> {
        self.is_per_recipient().then_some(1)
    }

    /// The folder that all paths are in, or the path where there is one only.
    pub(super) fn root(&self) -> PathBuf {
        let first = match self {
            Self::Fixed(path) => return path.clone(),
            Self::Parts(parts) => parts.first(),
        };
        let Some(Part::Text(first)) = first else { return PathBuf::from(".") };
        match first.rsplit_once('/') {
            Some(("", _)) => PathBuf::from("/"),
            Some((folder, _)) => PathBuf::from(folder),
            None => PathBuf::from("."),
        }
    }

    /// The path of a recipient.
    pub(super) fn path(&self, recipient: &Mailbox) -> Result<PathBuf, TooLong> {
        let parts = match self {
            Self::Fixed(path) => return Ok(path.clone()),
            Self::Parts(parts) => parts,
        };
        let mut path = String::new();
        for part in parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Local => path.push_str(&in_name(recipient.local())),
                Part::User => path.push_str(&in_name(user(recipient.local()))),
                Part::Domain => path.push_str(&in_name(recipient.domain().as_str())),
            }
            // It would be the lock of another recipient's mbox.
            if !matches!(part, Part::Text(_))
                && let Some(before) = path.strip_suffix(LOCK)
            {
                path.truncate(before.len());
                path.push_str("%2Elock");
            }
        }
        let fits = path.split('/').all(|name| name.len() <= LONGEST_NAME);
        if fits { Ok(PathBuf::from(path)) } else { Err(TooLong) }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = match self {
            Self::Fixed(path) => return path.display().fmt(f),
            Self::Parts(parts) => parts,
        };
        parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Local => f.write_str("{local}"),
            Part::User => f.write_str("{user}"),
            Part::Domain => f.write_str("{domain}"),
        })
    }
}

/// A local part up to its `+`, if there is anything before it.
pub(super) fn user(local: &str) -> &str {
    local.split_once('+').map_or(local, |(user, _)| if user.is_empty() { local } else { user })
}

/// In small letters, with `%XX` for every octet that is not plain, and for a dot at the beginning.
fn in_name(text: &str) -> String {
    if text.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::with_capacity(text.len());
    for (at, octet) in text.bytes().enumerate() {
        let octet = octet.to_ascii_lowercase();
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'+' | b'=') || octet == b'.' && at > 0 {
            name.push(char::from(octet));
        } else {
            name.push_str(&format!("%{octet:02X}"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(template: &str, recipient: &str) -> String {
        let found = Template::parse(template).unwrap().path(&recipient.parse().unwrap());
        found.map_or_else(|_| "too long".to_owned(), |path| path.display().to_string())
    }

    #[test]
    fn each_recipient_has_a_path_of_its_own() {
        let template = "/var/mail/{domain}/{user}/Maildir";
        assert_eq!(path(template, "Amy+news@Example.com"), "/var/mail/example.com/amy/Maildir");
        assert_eq!(path("/m/{local}", "Amy+news@example.com"), "/m/amy+news");
        assert_eq!(path("/m/{user}", "+x@example.com"), "/m/+x");
        assert_eq!(path("/m/box", "amy@example.com"), "/m/box");
        assert_eq!(path("/m/{local}", "Amy.Lock@example.com"), "/m/amy%2Elock");
        assert_eq!(path("/m/{user}.{domain}", "amy.example@lock"), "/m/amy.example%2Elock");
        assert_eq!(path("/m.lock/{local}/x.lock", "amy.locks@x"), "/m.lock/amy.locks/x.lock");
        assert_eq!(path("/m/{local}", "b\u{fc}cher@example.com"), "/m/b%C3%BCcher");
    }

    #[test]
    fn no_recipient_leads_out_of_the_folder() {
        for (local, name) in [
            ("\"..\"", "%2E."),
            ("\".\"", "%2E"),
            ("\"../../etc/passwd\"", "%2E.%2F..%2Fetc%2Fpasswd"),
            ("\"a/b\"", "a%2Fb"),
            ("a%2Fb", "a%252fb"),
            ("\"\"", "%"),
            ("\"a b\"", "a%20b"),
        ] {
            let found = path("/m/x{local}/new", &format!("{local}@example.com"));
            assert_eq!(found, format!("/m/x{name}/new"), "{local}");
            let found = PathBuf::from(path("/m/{local}", &format!("{local}@[127.0.0.1]")));
            let inside = found.strip_prefix("/m").unwrap().components().collect::<Vec<_>>();
            assert!(inside.iter().all(|part| matches!(part, std::path::Component::Normal(_))), "{found:?}");
            assert_eq!(inside.len(), 1, "{found:?}");
        }
        assert_eq!(path("/m/{local}", &format!("\"{}\"@x", "/".repeat(100))), "too long");
        assert_eq!(
            path("/m/{local}", &format!("{}@x", "a".repeat(251))),
            "too long",
            "the lock file has a longer name"
        );
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["/m/{recipient}", "/m/{local", "/{local}", "/m/{}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        for (text, root) in [("/m/x{local}/y", "/m"), ("m/{local}", "m"), ("{local}", "."), ("/m/x", "/m/x")] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.most_recipients(), text.contains('{').then_some(1), "{text}");
            assert_eq!((template.root(), template.to_string()), (PathBuf::from(root), text.to_owned()));
        }
    }
}
