//! Passwords and tokens: read from where the configuration says, again for each connection, and never shown.
//!
//! A [`Password`] has no `Display`, its `Debug` hides it, it is wiped when it goes, and the errors here name the place, never the content.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::sys::shell::ShellCommand;
use crate::transport::settings::SecretSource;

/// A password, or an access token, in memory.
pub(in crate::transport) struct Password(Zeroizing<String>);

impl Password {
    /// A secret that came from elsewhere than a [`SecretSource`].
    pub(in crate::transport) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The secret itself, for the one place that encodes it.
    pub(in crate::transport) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// A helper that asks a key ring or a vault may take a while, but must not hold up a queue.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tokens are a few kilobytes; nothing longer is a password.
const MAX_OCTETS: u64 = 64 * 1024;

impl SecretSource {
    /// Whether it could be read, without running a command.
    ///
    /// # Errors
    /// In words, as for a delivery.
    pub fn check(&self) -> Result<(), String> {
        if matches!(self, Self::Command(_)) { Ok(()) } else { self.read().map(|_| ()) }
    }

    /// Reads the password.
    ///
    /// # Errors
    /// In words: what could not be read, or why its content is no password.
    pub(in crate::transport) fn read(&self) -> Result<Password, String> {
        let (octets, place) = match self {
            Self::File(path) => (read_file(path)?, format!("password file {}", path.display())),
            Self::Environment(name) => {
                let place = format!("environment variable {name}");
                let value = std::env::var_os(name).ok_or_else(|| format!("{place}, the password, is not set"))?;
                (value.into_encoded_bytes(), place)
            }
            Self::Command(line) => (run(line, PATIENCE)?, "output of the password command".to_owned()),
        };
        let is_utf16 = octets.starts_with(&[0xff, 0xfe]) || octets.starts_with(&[0xfe, 0xff]);
        let found = if is_utf16 { ", but found UTF-16; save it as UTF-8" } else { "" };
        // So that it is wiped, also where it is no password.
        let text = Zeroizing::new(String::from_utf8(octets).map_err(|_| format!("{place}: expected UTF-8{found}"))?);
        // Editors of Windows begin a file with a byte order mark.
        let line = text.strip_prefix('\u{feff}').unwrap_or(&text).lines().next().unwrap_or("");
        // RFC 4616 2: a NUL cannot be part of a password.
        if line.is_empty() || line.contains('\0') {
            return Err(format!("{place}: expected a password on the first line, but found none"));
        }
        Ok(Password(Zeroizing::new(line.to_owned())))
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_OCTETS).read_to_end(&mut octets))
        .map_err(|error| format!("reading password file {}: {error}", path.display()))?;
    Ok(octets)
}

fn run(line: &str, patience: Duration) -> Result<Vec<u8>, String> {
    let command = ShellCommand {
        line: line.to_owned(),
        environment: Vec::new(),
        input: Vec::new(),
        wants_output: true,
        patience,
    };
    command.run().map_err(|error| format!("running the password command: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn command(line: &str) -> Result<String, String> {
        SecretSource::Command(line.to_owned()).read().map(|password| password.reveal().to_owned())
    }

    #[test]
    fn only_the_first_line_counts() {
        assert_eq!(command("printf 'p w\\r\\nsecond\\n'").unwrap(), "p w");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(SecretSource::File(path).read().unwrap().reveal(), "hunter2");
        let path = std::env::var("PATH").unwrap();
        assert_eq!(SecretSource::Environment("PATH".into()).read().unwrap().reveal(), path);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_password() {
        assert_eq!(command("printf '\\357\\273\\277secret\\r\\n'").unwrap(), "secret");
        assert_eq!(
            command("printf '\\357\\273\\277\\357\\273\\277secret'").unwrap(),
            "\u{feff}secret",
            "one mark, not two"
        );
        assert_eq!(command("printf 'a\\357\\273\\277b'").unwrap(), "a\u{feff}b");
        assert!(command("printf '\\357\\273\\277\\n'").unwrap_err().contains("found none"));
        assert!(command("printf '\\377\\376s\\000'").unwrap_err().contains("found UTF-16"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, b"\xef\xbb\xbfsecret\r\n").unwrap();
        assert_eq!(SecretSource::File(path).read().unwrap().reveal(), "secret");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(SecretSource::File("/nowhere/p".into()).read().unwrap_err().contains("/nowhere/p"));
        let unset = SecretSource::Environment("LEAFMAIL_TEST_UNSET".into());
        assert!(unset.read().unwrap_err().contains("LEAFMAIL_TEST_UNSET"));
        assert!(command("exit 3").unwrap_err().contains("exit status: 3"));
        assert!(command("true").unwrap_err().contains("found none"));
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let started = Instant::now();
        assert!(run("sleep 60; echo never", Duration::from_millis(100)).unwrap_err().contains("within 0.1 s"));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(format!("{:?}", Password(Zeroizing::new("hunter2".to_owned()))), "Password(***)");
    }
}
