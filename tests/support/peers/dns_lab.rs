//! The DNS laboratory: one unbound that serves zones, signs for them and validates them, at a port of its own on the loopback.
//!
//! [`DnsLab::start`] takes the zones of a test. Each is *secure* (signed), *insecure* (not signed) or *bogus* (signed with a key
//! that its parent does not know: SERVFAIL). Besides them there are always `silent.test`, where nothing is ever answered, and
//! `servfail.test`, whose zone cannot be had. Every other name does not exist, which is signed. Nothing leaves this host.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::super::have::have;
use super::super::site::{Running, free_port, wait_until};

/// How a zone is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    Secure,
    Insecure,
    Bogus,
}

/// A zone: its name without the last dot, how it is signed, and its records as in a zone file (`@ MX 10 mx`), without SOA and
/// NS.
pub(crate) type Zone<'a> = (&'a str, Signed, &'a str);

/// A name server, as long as this value lives.
pub(crate) struct DnsLab {
    folder: TempDir,
    unbound: Running,
    /// Where it answers, by UDP and TCP.
    pub(crate) address: SocketAddr,
}

impl DnsLab {
    /// A name server with these zones; `None`, and told as a skip, where its programs are not installed.
    pub(crate) fn start(zones: &[Zone<'_>]) -> Option<Self> {
        Self::start_also_at(zones, None)
    }

    /// The same, which answers at this address as well.
    pub(crate) fn start_also_at(zones: &[Zone<'_>], also: Option<SocketAddr>) -> Option<Self> {
        if !have("unbound") || !have("ldns-keygen") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut root = "ns. IN A 127.0.0.1\n".to_owned();
        let mut config = server(folder.path(), address);
        if let Some(also) = also {
            let (ip, port) = (also.ip(), also.port());
            let _ = writeln!(config, "interface: {ip}@{port}\naccess-control: {ip} allow");
        }
        for (name, signed, records) in zones {
            let file = write_zone(folder.path(), name, &format!("@ IN NS ns.\n{records}\n"));
            let _ = writeln!(root, "{name}. IN NS ns.");
            let file = match signed {
                Signed::Insecure => file,
                Signed::Secure | Signed::Bogus => {
                    let key = make_key(folder.path(), name);
                    let known = if *signed == Signed::Secure { key.clone() } else { make_key(folder.path(), name) };
                    root += &made(folder.path(), "ldns-key2ds", &["-n", "-2", &format!("{known}.key")]);
                    sign(folder.path(), &file, &key)
                }
            };
            let _ = writeln!(config, "local-zone: \"{name}.\" nodefault");
            config = add_zone(config, name, &format!("zonefile: \"{file}\""));
        }
        root += "servfail.test. IN NS ns.\nsilent.test. IN NS ns.\n";
        root += &names_above(zones);
        // From a server that does not answer.
        config = add_zone(config, "servfail.test", "primary: 127.0.0.1@1");
        let file = write_zone(folder.path(), "", &format!("@ IN NS ns.\n{root}"));
        let key = make_key(folder.path(), "");
        let signed = sign(folder.path(), &file, &key);
        fs::write(
            folder.path().join("anchor"),
            made(folder.path(), "ldns-key2ds", &["-n", "-2", &format!("{key}.key")]),
        )
        .unwrap();
        config = add_zone(config, "", &format!("zonefile: \"{signed}\""));
        fs::write(folder.path().join("unbound.conf"), config).unwrap();
        let mut command = Command::new("unbound");
        command.args(["-d", "-c"]).arg(folder.path().join("unbound.conf"));
        let unbound = Running::start(command);
        wait_until("unbound serves or ends", || {
            let log = unbound.log();
            assert!(!log.contains("fatal error"), "{log}");
            log.contains("start of service")
        });
        Some(Self { folder, unbound, address })
    }

    /// The `[dns]` section of a configuration that asks it.
    pub(crate) fn section(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]\n", self.address)
    }

    /// Ends it: from then on nobody answers at its address.
    pub(crate) fn kill(self) {
        self.unbound.kill();
    }
}

/// Records at the names above the zones: unbound proves nothing about the names below one that has none.
fn names_above(zones: &[Zone<'_>]) -> String {
    let above = |name: &&str| name.split_once('.').map(|(_, above)| above.to_owned());
    let mut names: BTreeSet<String> = BTreeSet::from(["test".to_owned()]);
    for (name, ..) in zones {
        let mut at = above(name);
        while let Some(name) = at {
            at = above(&name.as_str());
            names.insert(name);
        }
    }
    names.retain(|name| zones.iter().all(|(zone, ..)| zone != name));
    names.iter().map(|name| format!("{name}. IN TXT \"above zones\"\n")).collect()
}

/// The first section of its configuration, to which lines of that section may be added.
fn server(folder: &Path, address: SocketAddr) -> String {
    format!(
        "server:\ndirectory: \"{}\"\nchroot: \"\"\nusername: \"\"\npidfile: \"\"\nuse-syslog: no\nlogfile: \"\"\nverbosity: 1\n\
         interface: {}@{}\nport: {}\ndo-ip6: no\nnum-threads: 1\ndo-not-query-localhost: no\naccess-control: 127.0.0.0/8 allow\n\
         trust-anchor-file: \"anchor\"\nmodule-config: \"validator iterator\"\nlocal-zone: \"test.\" nodefault\n\
         local-zone: \"silent.test.\" deny\n",
        folder.display(),
        address.ip(),
        address.port(),
        address.port(),
    )
}

/// Zones that the validator looks at, as they are asked like those of others.
fn add_zone(config: String, name: &str, from: &str) -> String {
    let zone = format!(
        "auth-zone:\nname: \"{name}.\"\n{from}\nfor-upstream: yes\nfor-downstream: no\nfallback-enabled: no\n\
         server:\n"
    );
    config + &zone
}

fn write_zone(folder: &Path, name: &str, records: &str) -> String {
    let file = format!("zone.{name}");
    let text = format!("$ORIGIN {name}.\n$TTL 60\n@ IN SOA ns. hostmaster.{name}. 1 3600 600 86400 60\n{records}");
    fs::write(folder.join(&file), text.replace("hostmaster.. ", "hostmaster. ")).unwrap();
    file
}

fn make_key(folder: &Path, name: &str) -> String {
    made(folder, "ldns-keygen", &["-a", "ECDSAP256SHA256", "-k", &format!("{name}.")]).trim().to_owned()
}

fn sign(folder: &Path, file: &str, key: &str) -> String {
    let signed = format!("{file}.signed");
    made(folder, "ldns-signzone", &["-f", &signed, file, key]);
    signed
}

/// What a program says.
fn made(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
