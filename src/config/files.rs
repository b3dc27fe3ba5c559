//! Whether the files that the configuration names can be read. Only `--check` asks: a running program reads them when
//! it needs them. Their content is never shown. Commands are not run.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::Fault;
use super::route::Hop;
use super::{Config, ConfigError, ListenAddress, RouteSection};
use crate::config::SourceText;
use crate::dkim::PrivateKey;
use crate::recipients::RecipientFile;
use crate::transport::{Roots, RouteSettings, SecretSource};

impl Config {
    /// Tries to read the files of passwords, tokens, certificates, keys, users and aliases.
    ///
    /// # Errors
    /// Those that cannot be read, or hold no password where one is expected.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        self.check_with(self.certificate_files())
    }

    /// The same but for the files of `[tls]`, which are read at the start, when `smtpd` may be another user yet.
    ///
    /// # Errors
    /// As those of [`Config::check_files`].
    pub fn check_files_read_later(&self) -> Result<(), ConfigError> {
        self.check_with(Vec::new())
    }

    fn check_with(&self, more: Vec<Fault>) -> Result<(), ConfigError> {
        let log_folder = self.log_folder().into_iter().collect();
        let of_serve = unreadable("serve", &[("certificate", &self.serve.certificate), ("key", &self.serve.key)]);
        let faults =
            [self.secret_files(), self.files_of_hops(), self.unusable_keys(), more, of_serve, self.lists(), log_folder];
        ConfigError::unless_none(&self.origin, faults.into_iter().flatten().collect())
    }

    /// The files of `[tls]` that this user cannot read: in words, and what kind of error it is.
    pub fn unreadable_at_start(&self) -> Vec<(String, io::ErrorKind)> {
        let tls = &self.tls;
        let files = [("certificate", &tls.certificate), ("key", &tls.key), ("client_ca", &tls.client_ca)];
        let fault = |(key, path): (String, &Path)| {
            let error = try_to_read(path).err()?;
            Some((format!("{key}: reading {}: {error}", path.display()), error.kind()))
        };
        named("tls", &files).filter_map(fault).collect()
    }

    /// Of the files that are read again and again while a program runs, the first that this user cannot read: all but the
    /// certificate that clients are shown, which is read at the start.
    pub fn unreadable_later(&self) -> Option<String> {
        let faults = [self.secret_files(), self.files_of_hops(), self.unusable_keys(), self.lists()];
        faults.into_iter().flatten().next().map(|fault| fault.reason)
    }

    /// What is no error, but will perhaps not work, or not as it was meant, for a program that runs as the user `uid`: secrets
    /// that others can read, a spool of another user, folders that are not there. In words.
    pub fn remarks(&self, uid: u32) -> Vec<String> {
        let exposed = self.exposed().into_iter().map(|(found, remedy)| format!("{found}: {remedy}"));
        let names = self.short_names().into_iter().map(|(found, remedy)| format!("{found}: {remedy}"));
        exposed.chain(names).chain(self.foreign_spool(uid)).chain(self.missing_folders()).collect()
    }

    /// The names for EHLO that smarthosts refuse, in words, and what to do.
    pub fn short_names(&self) -> Vec<(String, String)> {
        let hops = self.routes().into_iter().flat_map(|plan| plan.hops);
        let names: BTreeSet<_> = hops
            .filter(|hop| hop.next_hop.hears_ehlo() && !hop.helo.is_full_name())
            .map(|hop| hop.helo.as_str().to_owned())
            .collect();
        let told = |name: String| {
            let key = if name == self.hostname.as_str() { "hostname" } else { "relay.helo" };
            let what = if name.contains('.') { "is no host name that the DNS can have" } else { "has no dot" };
            let found = format!(
                "{key}: \"{name}\" {what}, and many smarthosts refuse mail after EHLO with such a name; the address of the \
                 connection is said instead"
            );
            (found, "set hostname or relay.helo to the full name of this host, such as mail.example.com".to_owned())
        };
        names.into_iter().map(told).collect()
    }

    /// The files with secrets that other users of this host can read, in words, and what to do; that of the users is not taken
    /// then.
    pub fn exposed(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for hop in self.hops() {
            found.extend(named(&hop.key, &secrets_of(hop.table)).filter_map(|(key, path)| open_to_others(&key, path)));
            found.extend(
                named(&hop.key, &[("tls_key", &hop.table.tls_key)])
                    .filter_map(|(key, path)| open_to_others(&key, path)),
            );
        }
        for (key, path) in self.dkim_files() {
            found.extend(open_to_others(&key, path));
        }
        found.extend(self.tls.key.as_deref().and_then(|path| open_to_others("tls.key", path)));
        let password = self.recipients.source_password_file.as_deref();
        found.extend(password.and_then(|path| open_to_others("recipients.source_password_file", path)));
        for (index, list) in self.list.iter().enumerate() {
            let (key, path) = (format!("list[{index}].members_password_file"), list.members_password_file.as_deref());
            found.extend(path.and_then(|path| open_to_others(&key, path)));
        }
        found
    }

    /// Nobody but its owner opens a spool.
    fn foreign_spool(&self, uid: u32) -> Option<String> {
        let owner = self.spool.metadata().ok()?.uid();
        (owner != uid).then(|| {
            let spool = self.spool.display();
            format!("the spool {spool} belongs to the user with uid {owner}, but this would run as uid {uid}: run it as that \
                     user, or set process.user")
        })
    }

    fn missing_folders(&self) -> Vec<String> {
        let spool = [("spool".to_owned(), self.spool.clone())];
        let sockets = self.listen.addresses.iter().filter_map(|address| match address {
            ListenAddress::Unix(path) => Some(("listen.addresses".to_owned(), path.clone())),
            ListenAddress::Tcp(..) => None,
        });
        let tokens = self
            .hops()
            .into_iter()
            .filter_map(|hop| Some((format!("{}.oauth2.keep_in", hop.key), hop.table.oauth2.keep_in.clone()?)));
        let of_file = |(key, path): (String, PathBuf)| {
            let folder = missing_folder(&path)?;
            Some(format!("{key}: the folder {} is not there, in which {} is to be", folder.display(), path.display()))
        };
        let files = spool.into_iter().chain(sockets).chain(tokens).filter_map(of_file);
        let of_agent = |hop: RouteSettings| {
            let next_hop = hop.next_hop;
            let folders = next_hop.agent().map(|agent| agent.needs().write).unwrap_or_default();
            let missing = folders.iter().filter_map(|folder| missing_folder(folder)).map(|folder| {
                let folder = folder.display();
                format!("the folder {folder} is not there; it is made when mail is delivered to {next_hop}, if that user may")
            });
            let lacking = next_hop.agent().and_then(|agent| agent.lacks());
            missing.chain(lacking).collect::<Vec<_>>()
        };
        let folders = self.routes().into_iter().flat_map(|plan| plan.hops).flat_map(of_agent);
        files.chain(folders).collect()
    }

    fn secret_files(&self) -> Vec<Fault> {
        let of_hop = |hop: &Hop<'_>| {
            let files = secrets_of(hop.table);
            let fault = |(key, path): (String, &Path)| {
                let reason = SecretSource::File(path.to_owned()).check().err()?;
                Some(Fault::new(&key, format!("{key}: {reason}")))
            };
            named(&hop.key, &files).filter_map(fault).collect::<Vec<_>>()
        };
        self.hops().iter().flat_map(of_hop).collect()
    }

    fn files_of_hops(&self) -> Vec<Fault> {
        let of_hop = |hop: &Hop<'_>| {
            let table = hop.table;
            let roots = match &table.tls_roots {
                Some(Roots::File(path)) => Some(path.clone()),
                _ => None,
            };
            unreadable(&hop.key, &[("tls_roots", &roots), ("tls_cert", &table.tls_cert), ("tls_key", &table.tls_key)])
        };
        self.hops().iter().flat_map(of_hop).collect()
    }

    /// The files of the keys that sign, by their whole names in the configuration.
    fn dkim_files(&self) -> impl Iterator<Item = (String, &Path)> {
        let files = self.dkim.iter().enumerate();
        files.filter_map(|(index, key)| Some((format!("dkim[{index}].key_file"), key.key_file.as_deref()?)))
    }

    fn unusable_keys(&self) -> Vec<Fault> {
        let fault = |(key, path): (String, &Path)| {
            let reason = PrivateKey::read(path).err()?;
            Some(Fault::new(&key, format!("{key}: {reason}; \"spoolrun dkim-key DOMAIN SELECTOR\" makes a key")))
        };
        self.dkim_files().filter_map(fault).collect()
    }

    fn lists(&self) -> Vec<Fault> {
        let mut faults = unreadable("auth", &[("users", &self.auth.users)]);
        for fault in &mut faults {
            fault.reason.push_str("; \"smtpd passwd USER\" makes it");
        }
        faults.extend(unreadable("aliases", &[("file", &self.aliases.file)]));
        for (index, list) in self.list.iter().enumerate() {
            let files = [("members_file", &list.members_file), ("members_password_file", &list.members_password_file)];
            faults.extend(unreadable(&format!("list[{index}]"), &files));
        }
        let password = [("source_password_file", &self.recipients.source_password_file)];
        faults.extend(unreadable("recipients", &password));
        if let Some(SourceText::File(path)) = &self.recipients.source
            && let Err(reason) = RecipientFile::check(path)
        {
            faults.push(Fault::new("recipients.source", format!("recipients.source: {reason}")));
        }
        faults
    }

    fn certificate_files(&self) -> Vec<Fault> {
        let tls = &self.tls;
        unreadable("tls", &[("certificate", &tls.certificate), ("key", &tls.key), ("client_ca", &tls.client_ca)])
    }

    /// Without its folder the log cannot begin, and no program starts.
    fn log_folder(&self) -> Option<Fault> {
        let (key, path) = ("log.file", self.log.file.as_ref()?);
        let reason = missing_folder(path).map(|folder| format!("the folder {} is not there", folder.display()));
        let reason = reason.or_else(|| path.is_dir().then(|| "it is a folder".to_owned()))?;
        Some(Fault::new(key, format!("{key}: writing {}: {reason}", path.display())))
    }
}

/// Files by the last parts of their keys.
type Files<'a> = [(&'static str, &'a Option<PathBuf>)];

fn secrets_of(table: &RouteSection) -> [(&'static str, &Option<PathBuf>); 4] {
    [
        ("password_file", &table.password_file),
        ("token_file", &table.token_file),
        ("oauth2.client_secret_file", &table.oauth2.client_secret_file),
        ("oauth2.refresh_token_file", &table.oauth2.refresh_token_file),
    ]
}

fn unreadable(place: &str, files: &Files<'_>) -> Vec<Fault> {
    let fault = |(key, path): (String, &Path)| {
        let error = try_to_read(path).err()?;
        Some(Fault::new(&key, format!("{key}: reading {}: {error}", path.display())))
    };
    named(place, files).filter_map(fault).collect()
}

/// Those that are set, by their whole keys.
fn named<'a>(place: &str, files: &'a Files<'a>) -> impl Iterator<Item = (String, &'a Path)> {
    files.iter().filter_map(move |(key, path)| Some((format!("{place}.{key}"), path.as_deref()?)))
}

/// A folder can be opened, but not read.
fn try_to_read(path: &Path) -> io::Result<()> {
    File::open(path)?.read(&mut [0]).map(|_| ())
}

/// The folder that a path is in, if it is not there.
fn missing_folder(path: &Path) -> Option<PathBuf> {
    let folder = super::sandbox_needs::folder_of(path);
    (!folder.is_dir()).then_some(folder)
}

/// That others than its owner and its group can read a file, or others than its owner can change it: more than 0640.
fn open_to_others(key: &str, path: &Path) -> Option<(String, String)> {
    let mode = path.metadata().ok().filter(Metadata::is_file)?.mode() & 0o777;
    let path = path.display();
    let found = || format!("{key}: every user of this host can read {path} (mode {mode:04o})");
    let changed = || format!("{key}: others than its owner can change {path} (mode {mode:04o})");
    match mode {
        _ if mode & 0o004 != 0 => Some((found(), format!("chmod 600 {path}"))),
        _ if mode & 0o033 != 0 => Some((changed(), format!("chmod 640 {path}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
    fn the_log_must_have_a_folder() {
        for (text, expected) in [
            (
                "[log]\nfile = \"/nowhere/log\"",
                "leafmail.toml:2: log.file: writing /nowhere/log: the folder /nowhere is not",
            ),
            ("[log]\nfile = \"/usr\"", "leafmail.toml:2: log.file: writing /usr: it is a folder"),
            (
                "[auth]\nusers = \"/nowhere/u\"\n[log]\nfile = \"/nowhere/log\"",
                "leafmail.toml:2: auth.users: reading /nowhere/u: No such file or directory (os error 2); \"smtpd passwd \
                 USER\" makes it\nleafmail.toml:4: log.file: ",
            ),
        ] {
            let reason = checked(text).expect_err(text);
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn what_will_perhaps_not_work_is_remarked() {
        let folder = tempfile::tempdir().unwrap();
        let [open, shared, closed] = ["open", "shared", "closed"].map(|name| folder.path().join(name));
        for (path, mode) in [(&open, 0o644), (&shared, 0o660), (&closed, 0o640)] {
            std::fs::write(path, "secret\n").unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let own = folder.path().metadata().unwrap().uid();
        let remarks = |text: &str, uid: u32| {
            let text = text.replace("OPEN", open.to_str().unwrap()).replace("CLOSED", closed.to_str().unwrap());
            let text = text.replace("SHARED", shared.to_str().unwrap());
            let text = if text.contains("hostname") { text } else { format!("hostname = \"relay.example\"\n{text}") };
            let text = format!("spool = \"{}\"\n{text}", folder.path().display());
            Config::parse(&text, "leafmail.toml".as_ref()).unwrap().remarks(uid)
        };
        for (text, expected) in [
            (
                "[relay]\nurl = \"smtp://u@h\"\npassword_file = \"OPEN\"",
                "relay.password_file: every user of this host can",
            ),
            (
                "[relay]\nurl = \"smtp://u@h\"\npassword_file = \"SHARED\"",
                "relay.password_file: others than its owner can change",
            ),
            ("hostname = \"nas\"\n[relay]\nurl = \"smtp://h\"", "hostname: \"nas\" has no dot, and many smarthosts"),
            ("hostname = \"my_relay.lan\"\n[relay]\nurl = \"smtp://h\"", "hostname: \"my_relay.lan\" is no host name"),
            ("[relay]\nurl = \"smtp://h\"\nhelo = \"nas\"", "relay.helo: \"nas\" has no dot"),
            ("[relay]\nurl = \"smtps://h\"\ntls_key = \"OPEN\"", "relay.tls_key: every user of this host can read"),
            ("[tls]\nkey = \"OPEN\"", "tls.key: every user of this host can read"),
            ("[listen]\naddresses = [\"unix:/nowhere/s\"]", "listen.addresses: the folder /nowhere is not there"),
            ("[relay]\nurl = \"maildir:/nowhere/m\"", "the folder /nowhere is not there; it is made when mail is"),
        ] {
            let found = remarks(text, own);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:?}");
        }
        let others = remarks("", own + 1);
        assert!(others.len() == 1 && others[0].contains("belongs to the user with uid"), "{others:?}");
        let quiet = "[relay]\nurl = \"smtp://u@h\"\npassword_file = \"CLOSED\"\ntls_cert = \"OPEN\"";
        assert_eq!(remarks(quiet, own), Vec::<String>::new());
        let spool = Config::parse("spool = \"/nowhere/s\"", "leafmail.toml".as_ref()).unwrap().remarks(own);
        assert!(
            spool[0].starts_with("spool: the folder /nowhere is not there, in which /nowhere/s is to be"),
            "{spool:?}"
        );
    }

    #[test]
    fn commands_and_variables_are_not_looked_at() {
        let command = "[relay]\nurl = \"smtp://u@h\"\npassword_command = \"exit 3\"";
        assert_eq!(checked(command), Ok(()));
        assert_eq!(checked("[relay]\nurl = \"smtp://u@h\"\npassword_env = \"LEAFMAIL_TEST_UNSET\""), Ok(()));
        assert_eq!(checked(""), Ok(()));
    }
}
