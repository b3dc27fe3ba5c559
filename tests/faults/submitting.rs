//! A client that keeps its letters until they are acknowledged, and hands them in to a session on a socket.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::sample_messages::{Letter, SENDER};
use crate::site::Site;
use crate::strace::{PATIENCE, end_of};

/// What the client knows at the end of a session.
#[derive(Debug, Default)]
pub(crate) struct HandedIn {
    /// The numbers of the letters that were acknowledged, with their ids.
    pub(crate) acknowledged: Vec<(usize, String)>,
    /// The letters whose end was sent, and not answered.
    pub(crate) unanswered: Vec<usize>,
    /// What was said against others.
    pub(crate) refusals: Vec<String>,
}

impl HandedIn {
    pub(crate) fn has(&self, letter: Letter) -> bool {
        self.acknowledged.iter().any(|(number, _)| *number == letter.number)
    }

    pub(crate) fn numbers(&self) -> Vec<usize> {
        self.acknowledged.iter().map(|(number, _)| *number).collect()
    }
}

/// The other side is gone.
struct Gone;

/// One session of `program`, however it ends.
pub(crate) fn hand_in(site: &Site, mut program: Command, letters: &[Letter]) -> HandedIn {
    let what = format!("{program:?}");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let log = OpenOptions::new().create(true).append(true).open(site.path("log")).unwrap();
    program.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs)).stderr(log);
    let mut child = program.spawn().unwrap();
    // It holds the other end of the socket.
    drop(program);
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    ours.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut line = Line { stream: BufReader::new(ours), what: &what };
    let mut handed = HandedIn::default();
    // However far it comes.
    let _ = line.dialogue(letters, &mut handed);
    drop(line);
    end_of(&mut child, &what);
    handed
}

struct Line<'a> {
    stream: BufReader<UnixStream>,
    what: &'a str,
}

impl Line<'_> {
    fn dialogue(&mut self, letters: &[Letter], handed: &mut HandedIn) -> Result<(), Gone> {
        self.reply()?;
        self.say("EHLO client.example\r\n")?;
        for letter in letters {
            if let Err(refusal) = self.letter(*letter, handed)? {
                let over = refusal.starts_with("421");
                handed.refusals.push(refusal);
                if over {
                    return Ok(());
                }
                self.say("RSET\r\n")?;
            }
        }
        self.say("QUIT\r\n").map(|_| ())
    }

    fn letter(&mut self, letter: Letter, handed: &mut HandedIn) -> Result<Result<(), String>, Gone> {
        let rcpt = |recipient: &&str| format!("RCPT TO:<{recipient}>\r\n");
        let mail = format!("MAIL FROM:<{SENDER}>\r\n");
        let commands = std::iter::once(mail).chain(letter.recipients.iter().map(rcpt)).chain(["DATA\r\n".to_owned()]);
        for command in commands {
            let reply = self.say(&command)?;
            if !reply.starts_with(['2', '3']) {
                return Ok(Err(reply));
            }
        }
        self.send(&format!("{}.\r\n", letter.text()))?;
        handed.unanswered.push(letter.number);
        let reply = self.reply()?;
        handed.unanswered.retain(|number| *number != letter.number);
        if !reply.starts_with("250 ") {
            return Ok(Err(reply));
        }
        let id = reply.trim_end().rsplit(' ').next().unwrap_or_default().to_owned();
        handed.acknowledged.push((letter.number, id));
        Ok(Ok(()))
    }

    fn say(&mut self, command: &str) -> Result<String, Gone> {
        self.send(command)?;
        self.reply()
    }

    fn send(&mut self, text: &str) -> Result<(), Gone> {
        let sent = self.stream.get_mut().write_all(text.as_bytes());
        sent.map_err(|error| self.gone(&error))
    }

    fn reply(&mut self) -> Result<String, Gone> {
        loop {
            let mut line = String::new();
            match self.stream.read_line(&mut line) {
                Ok(_) if !line.ends_with("\r\n") => return Err(Gone),
                Ok(_) if line.as_bytes().get(3) == Some(&b'-') => {}
                Ok(_) => return Ok(line),
                Err(error) => return Err(self.gone(&error)),
            }
        }
    }

    fn gone(&self, error: &std::io::Error) -> Gone {
        let waited = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!waited, "{}: no answer", self.what);
        Gone
    }
}
