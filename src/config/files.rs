//! Whether the files that the configuration names can be read. Only `--check` asks: a program that runs reads them when it
//! needs them, and what they hold is shown nowhere. Commands are not run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::check::Fault;
use super::{Config, ConfigError};
use crate::transport::{Roots, Secret};

impl Config {
    /// Tries to read the files of passwords, tokens, certificates, keys, users and aliases.
    ///
    /// # Errors
    /// The first that cannot be read, or holds no password where one is expected.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        let fault = self.secret_files().or_else(|| self.readable_files());
        fault.map_or(Ok(()), |fault| {
            Err(ConfigError::new(self.origin.path.as_deref(), self.origin.line(&fault.key), fault.reason))
        })
    }

    /// Of the files that are read again and again while a program runs, the first that this user cannot read: all but the
    /// certificate that clients are shown, which is read at the start.
    pub fn unreadable_later(&self) -> Option<String> {
        let fault = self.secret_files().or_else(|| self.files_of_hops()).or_else(|| self.lists());
        fault.map(|fault| fault.reason)
    }

    fn secret_files(&self) -> Option<Fault> {
        self.hops().iter().find_map(|hop| {
            let table = hop.table;
            let files = [
                ("password_file", &table.password_file),
                ("token_file", &table.token_file),
                ("oauth2.client_secret_file", &table.oauth2.client_secret_file),
                ("oauth2.refresh_token_file", &table.oauth2.refresh_token_file),
            ];
            named(&hop.key, &files).find_map(|(key, path)| {
                let reason = Secret::File(path.to_owned()).check().err()?;
                Some(Fault::new(&key, format!("{key}: {reason}")))
            })
        })
    }

    fn files_of_hops(&self) -> Option<Fault> {
        self.hops().iter().find_map(|hop| {
            let table = hop.table;
            let roots = match &table.tls_roots {
                Some(Roots::File(path)) => Some(path.clone()),
                _ => None,
            };
            unreadable(&hop.key, &[("tls_roots", &roots), ("tls_cert", &table.tls_cert), ("tls_key", &table.tls_key)])
        })
    }

    fn lists(&self) -> Option<Fault> {
        let users = unreadable("auth", &[("users", &self.auth.users)]);
        users.or_else(|| unreadable("aliases", &[("file", &self.aliases.file)]))
    }

    fn readable_files(&self) -> Option<Fault> {
        let tls = [("certificate", &self.tls.certificate), ("key", &self.tls.key), ("client_ca", &self.tls.client_ca)];
        self.files_of_hops().or_else(|| unreadable("tls", &tls)).or_else(|| self.lists())
    }
}

/// Files by the last parts of their keys.
type Files<'a> = [(&'static str, &'a Option<PathBuf>)];

fn unreadable(place: &str, files: &Files<'_>) -> Option<Fault> {
    named(place, files).find_map(|(key, path)| {
        let error = try_to_read(path).err()?;
        Some(Fault::new(&key, format!("{key}: reading {}: {error}", path.display())))
    })
}

/// Those that are set, by their whole keys.
fn named<'a>(place: &str, files: &'a Files<'a>) -> impl Iterator<Item = (String, &'a Path)> {
    files.iter().filter_map(move |(key, path)| Some((format!("{place}.{key}"), path.as_deref()?)))
}

/// A folder can be opened, but not read.
fn try_to_read(path: &Path) -> io::Result<()> {
    File::open(path)?.read(&mut [0]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        let config = Config::parse(text, "leafmail.toml".as_ref()).unwrap();
        config.check_files().map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_line() {
        for (text, expected) in [
            ("[relay]\nurl = \"smtp://u@h\"\npassword_file = \"/nowhere/p\"", "leafmail.toml:3: relay.password_file: "),
            ("[relay]\nurl = \"smtp://u@h\"\ntoken_file = \"/nowhere/t\"", "leafmail.toml:3: relay.token_file: "),
            ("[relay]\nurl = \"smtps://h\"\ntls_roots = \"/nowhere/ca\"", "leafmail.toml:3: relay.tls_roots: "),
            ("[relay]\nurl = \"smtps://h\"\ntls_cert = \"/nowhere/c\"", "leafmail.toml:3: relay.tls_cert: "),
            ("[relay]\nurl = \"smtps://h\"\ntls_key = \"/\"", "leafmail.toml:3: relay.tls_key: reading /: "),
            ("[tls]\ncertificate = \"/nowhere/c\"\nkey = \"/nowhere/k\"", "leafmail.toml:2: tls.certificate: "),
            ("[tls]\nkey = \"/nowhere/k\"", "leafmail.toml:2: tls.key: reading /nowhere/k: No such file"),
            ("[auth]\nusers = \"/nowhere/u\"", "leafmail.toml:2: auth.users: "),
            (
                "[relay.oauth2]\nclient_secret_file = \"/nowhere/s\"",
                "leafmail.toml:2: relay.oauth2.client_secret_file: ",
            ),
        ] {
            let reason = checked(text).expect_err(text);
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn commands_and_variables_are_not_looked_at() {
        let command = "[relay]\nurl = \"smtp://u@h\"\npassword_command = \"exit 3\"";
        assert_eq!(checked(command), Ok(()));
        assert_eq!(checked("[relay]\nurl = \"smtp://u@h\"\npassword_env = \"LEAFMAIL_TEST_UNSET\""), Ok(()));
        assert_eq!(checked(""), Ok(()));
    }
}
