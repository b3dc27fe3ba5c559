//! `smtpd passwd`: stores a user's password. It is read from standard input, without an echo where that is a terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::thread;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use leafmail::address::escaped;
use leafmail::auth::{Form, SALT, UserFile, Verifier};
use leafmail::config::Config;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use sysexits::ExitCode;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{self, OrExit};

/// Whose password, and how it is kept.
#[derive(Debug, Args)]
pub(crate) struct PasswdOptions {
    /// Name of the user, as it logs in
    user: String,
    /// Form in which the password is stored; it decides which mechanisms can be used
    #[arg(long, value_enum, value_name = "FORM", default_value = "argon2")]
    form: FormName,
    /// Remove the user instead
    #[arg(long)]
    remove: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormName {
    /// Hashed, the safest: PLAIN and LOGIN
    Argon2,
    /// Hashed: PLAIN, LOGIN and SCRAM-SHA-256
    Scram,
    /// The password itself: PLAIN, LOGIN, SCRAM-SHA-256 and CRAM-MD5
    Cram,
}

/// Stores or removes a user.
pub(crate) fn passwd(config: &Config, options: &PasswdOptions) -> anyhow::Result<()> {
    let path =
        config.auth.users.clone().ok_or_else(|| anyhow!("auth.users names no file")).or_exit(ExitCode::Config)?;
    let file = UserFile::new(path.clone());
    if options.remove {
        let was_there = file.store(&options.user, None).or_exit(ExitCode::CantCreat)?;
        cli::confine::hand_over(config, &path)?;
        return if was_there { Ok(()) } else { Err(anyhow!("there is no such user")).or_exit(ExitCode::NoUser) };
    }
    let password = ask(&options.user)?;
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).or_exit(ExitCode::OsErr)?;
    let form = match options.form {
        FormName::Argon2 => Form::Argon2,
        FormName::Scram => Form::Scram,
        FormName::Cram => Form::Cram,
    };
    let verifier = Verifier::new(&password, form, salt)
        .map_err(|_| anyhow!("expected a password without control characters, and not an empty one"))
        .or_exit(ExitCode::DataErr)?;
    file.store(&options.user, Some(&verifier)).or_exit(ExitCode::CantCreat)?;
    cli::confine::hand_over(config, &path)
}

fn ask(user: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let _silence = Silence::begin().or_exit(ExitCode::OsErr)?;
    let password = prompt(&format!("New password for {}: ", escaped(user)))?;
    if password != prompt("The same again: ")? {
        return Err(anyhow!("the two are not the same")).or_exit(ExitCode::DataErr);
    }
    Ok(password)
}

fn prompt(text: &str) -> anyhow::Result<String> {
    write!(io::stderr(), "{text}").or_exit(ExitCode::IoErr)?;
    let line = read_line();
    // The line end that was not echoed.
    writeln!(io::stderr()).or_exit(ExitCode::IoErr)?;
    line
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).or_exit(ExitCode::IoErr)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whoever gives up by Ctrl-C gets a terminal that echoes, too.
fn restore_at_signals(before: Termios) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let inside = runtime.enter();
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    drop(inside);
    let restore = move || {
        let number = runtime.block_on(async {
            tokio::select! {
                _ = int.recv() => 2,
                _ = term.recv() => 15,
            }
        });
        drop(Silence(before));
        let _ = writeln!(io::stderr());
        // As a shell counts those that a signal ended.
        std::process::exit(128 + number);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(restore)?;
    Ok(())
}

/// A terminal that does not echo; when dropped, it does again.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        restore_at_signals(before.clone())?;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
