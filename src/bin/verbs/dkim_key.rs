//! `spoolrun dkim-key`: a key that signs mail, and the record that the DNS has to have for it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::anyhow;
use clap::Args;
use leafmail::address::{Domain, escaped};
use leafmail::config::Config;
use leafmail::dkim::{DkimRecord, PrivateKey, Selector};
use sysexits::ExitCode;

use super::listing::say;
use crate::cli::OrExit;
use crate::cli::confine::hand_over;

/// Options of the verb.
#[derive(Debug, Args)]
pub(crate) struct DkimKeyOptions {
    /// Domain of From: whose mail is to be signed
    domain: Domain,
    /// Name of the key in the DNS, such as mail2026
    selector: Selector,
    /// File of the key: it is made if it is not there; otherwise only its record is shown
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Make an Ed25519 key instead of RSA with 2048 bits
    ///
    /// Few receivers verify Ed25519 yet: use it together with an RSA key, with a selector of its own.
    #[arg(long)]
    ed25519: bool,
}

/// The bits of a new RSA key: what every receiver takes (RFC 8301), and fits into one answer of the DNS.
const BITS: u32 = 2048;

/// Makes a key, or reads the one that is there, and says what to put into the DNS.
pub(crate) fn dkim_key(config: &Config, options: &DkimKeyOptions) -> anyhow::Result<()> {
    let Some(file) = &options.key_file else {
        let pem = new_key(options)?;
        return say(&format!("{}{pem}", told(config, options, &pem, None)?));
    };
    let pem = match std::fs::read_to_string(file) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pem = new_key(options)?;
            // What is printed is of a key that works.
            let text = told(config, options, &pem, Some(file))?;
            write_new(file, &pem)
                .map_err(|error| anyhow!("writing {}: {error}", file.display()))
                .or_exit(ExitCode::CantCreat)?;
            hand_over(config, file)?;
            return say(&text);
        }
        Err(error) => return Err(anyhow!("reading {}: {error}", file.display())).or_exit(ExitCode::NoInput),
    };
    say(&told(config, options, &pem, Some(file))?)
}

/// The record, and the lines of the configuration, for a key.
fn told(config: &Config, options: &DkimKeyOptions, pem: &str, file: Option<&Path>) -> anyhow::Result<String> {
    let place = file.map_or_else(|| "the new key".to_owned(), |file| file.display().to_string());
    let key =
        PrivateKey::parse(pem.as_bytes()).map_err(|error| anyhow!("{place}: {error}")).or_exit(ExitCode::DataErr)?;
    let record = DkimRecord::new(&key, &options.selector, &options.domain)
        .ok_or_else(|| anyhow!("{} is no name that the DNS can have", options.domain))
        .or_exit(ExitCode::Usage)?;
    let is_set = config.dkim.iter().any(|section| {
        section.selector.as_ref() == Some(&options.selector) && section.domains.contains(&options.domain)
    });
    let mut text =
        format!("Key: {}\n\nRecord for the DNS, as a line of a zone file:\n\n{}\n", key.kind(), record.zone_line());
    text += &format!(
        "\nThe same for the form of a provider:\n\nname: {}\ntype: TXT\ntext: {}\n",
        record.name(),
        record.text()
    );
    if !is_set {
        let file = file.map_or_else(
            || "/etc/leafmail/dkim.pem".to_owned(),
            |file| escaped(&file.display().to_string()).into_owned(),
        );
        text += &format!(
            "\nOnce the record is published:\n\n[[dkim]]\ndomains = [\"{}\"]\nselector = \"{}\"\nkey_file = \"{file}\"\n\n",
            options.domain, options.selector
        );
    }
    Ok(text)
}

fn new_key(options: &DkimKeyOptions) -> anyhow::Result<String> {
    if options.ed25519 {
        return PrivateKey::new_ed25519().map_err(anyhow::Error::msg).or_exit(ExitCode::OsErr);
    }
    let bits = format!("rsa_keygen_bits:{BITS}");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let failed = |what: &dyn std::fmt::Display| {
        anyhow!(
            "making an RSA key needs the program openssl: {what}; install it, or make another kind of key with --ed25519"
        )
    };
    let output = made.map_err(|error| failed(&error)).or_exit(ExitCode::Unavailable)?;
    if !output.status.success() {
        return Err(failed(&output.status)).or_exit(ExitCode::Unavailable);
    }
    String::from_utf8(output.stdout).map_err(|error| failed(&error)).or_exit(ExitCode::Unavailable)
}

/// Nobody but its owner can read it, and no file is overwritten.
fn write_new(path: &Path, pem: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}
