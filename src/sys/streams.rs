//! The standard streams: what is behind them, and that nothing but replies reaches a client that a super-server put there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stderr, stderr, stdin, stdout};

use crate::mutant::{Mutant, planted};

/// What a super-server, a shell or nobody put on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardInput {
    /// A connected socket: inetd, systemd with `Accept=yes`, tcpserver.
    Socket,
    /// A pipe.
    Pipe,
    /// A terminal, a file, the null device.
    Other,
}

/// Looks at standard input.
pub fn standard_input() -> StandardInput {
    fstat(stdin()).map_or(StandardInput::Other, |stat| kind(&stat))
}

fn kind(stat: &Stat) -> StandardInput {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => StandardInput::Socket,
        FileType::Fifo => StandardInput::Pipe,
        _ => StandardInput::Other,
    }
}

/// Standard error as it was before it was led to the null device.
#[derive(Debug)]
#[must_use = "whoever does not serve the client gives standard error back"]
pub struct HiddenStderr(OwnedFd);

impl HiddenStderr {
    /// Leads standard error to where it was: it turned out that no client is served on standard input.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn give_back(self) -> io::Result<()> {
        Ok(dup2_stderr(self.0)?)
    }
}

/// Leads standard error to the null device where what is written there would reach the client as a reply: inetd gives the
/// client's socket as all three streams, and a super-server that relays octets through pipes may give one pipe as standard
/// output and error. `names_client` tells that such a super-server started this process. A terminal, a file and the null
/// device stay as they are: all three streams are the same there too, and a person reads them.
///
/// # Errors
/// When the null device cannot be opened.
pub fn keep_stderr_from_client(names_client: bool) -> io::Result<Option<HiddenStderr>> {
    let reaches = reaches_client(stdin(), stdout(), stderr(), names_client);
    if !reaches && !planted(Mutant::StderrHidden) {
        return Ok(None);
    }
    let before = fcntl_dupfd_cloexec(stderr(), 3)?;
    let null = open("/dev/null", OFlags::WRONLY, Mode::empty())?;
    dup2_stderr(null.as_fd())?;
    Ok(reaches.then_some(HiddenStderr(before)))
}

/// Whether what is written to `error` reaches the client behind `input` and `output`.
fn reaches_client(input: BorrowedFd<'_>, output: BorrowedFd<'_>, error: BorrowedFd<'_>, names_client: bool) -> bool {
    let (Ok(input), Ok(error)) = (fstat(input), fstat(error)) else { return false };
    let is_error = |stat: &Stat| (stat.st_dev, stat.st_ino) == (error.st_dev, error.st_ino);
    match kind(&input) {
        StandardInput::Other => false,
        // One pipe for input and error: what is said would come back as a command.
        StandardInput::Socket | StandardInput::Pipe if is_error(&input) => true,
        StandardInput::Socket => false,
        StandardInput::Pipe => names_client && fstat(output).is_ok_and(|output| is_error(&output)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::os::unix::net::UnixStream;

    use rustix::pipe::pipe;
    use rustix::pty::{OpenptFlags, openpt};

    use super::*;

    /// Whether it is hidden without and with a super-server that names its client.
    fn hidden(input: &impl AsFd, output: &impl AsFd, error: &impl AsFd) -> (bool, bool) {
        let reaches = |named| reaches_client(input.as_fd(), output.as_fd(), error.as_fd(), named);
        (reaches(false), reaches(true))
    }

    #[test]
    fn a_terminal_a_file_and_the_null_device_are_never_hidden() {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        let file = tempfile::tempfile().unwrap();
        assert_eq!(hidden(&terminal, &terminal, &terminal), (false, false));
        assert_eq!(hidden(&null, &null, &null), (false, false));
        assert_eq!(hidden(&file, &file, &file), (false, false));
        assert_eq!(hidden(&File::open("/dev/null").unwrap(), &terminal, &terminal), (false, false));
    }

    #[test]
    fn the_clients_socket_is_hidden_and_another_one_is_not() {
        let ((client, socket), (_, other)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let (_, log) = pipe().unwrap();
        let copy = socket.try_clone().unwrap();
        assert_eq!(hidden(&socket, &socket, &copy), (true, true));
        assert_eq!(hidden(&socket, &socket, &other), (false, false));
        assert_eq!(hidden(&socket, &socket, &log), (false, false));
        assert_eq!(hidden(&socket, &log, &log), (false, false), "replies go to the socket");
        drop(client);
    }

    #[test]
    fn a_pipe_is_hidden_where_a_client_reads_it_and_not_where_a_person_does() {
        let ((input, commands), (_, replies), (_, log)) = (pipe().unwrap(), pipe().unwrap(), pipe().unwrap());
        let both = replies.try_clone().unwrap();
        assert_eq!(hidden(&input, &replies, &log), (false, false));
        assert_eq!(hidden(&input, &replies, &both), (false, true), "smtpd --one 2>&1 | less, and socat with pipes");
        assert_eq!(hidden(&input, &replies, &commands), (true, true), "it would come back as a command");
    }
}
