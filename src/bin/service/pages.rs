//! Examples, notes and exit codes in the help of `smtpd` and its verbs.

use crate::cli::help::{ExitLine, Page};

const USAGE: ExitLine = (64, "The command line is wrong");
const CANNOT_CREATE: ExitLine = (73, "A folder, a file or the log cannot be created or opened");
const NOT_PERMITTED: ExitLine = (77, "The spool belongs to another user, or only root could do this");
const CONFIGURATION: ExitLine = (78, "The configuration is wrong");

/// The pages of `smtpd`.
pub(crate) const PAGES: &[Page] = &[
    Page {
        verb: "",
        examples: &[
            ("smtpd -p 2525 --deliver", "Try it: mail from this host, into ./inbox"),
            ("smtpd --check", "Is the configuration right?"),
            ("smtpd --supervise --daemon", "As a service, without systemd"),
        ],
        notes: "\
Without --listen, -p or addresses in the configuration, smtpd serves one session on standard input, if that is a socket or \
a pipe: for inetd, systemd (Accept=yes) and tcpserver.

If smtpd is called by the name sendmail, mailq or newaliases (a link), it runs that command.

Signals: TERM and INT finish the sessions in progress, then exit. HUP reopens the log file and reads the certificate \
again. With --supervise, HUP also reads the configuration again: a new worker takes over, and no connection is refused.",
        codes: &[
            (0, "Ended by a signal or after its session; --status: mail is accepted"),
            USAGE,
            (69, "Another process has the pid file; --status: no mail is accepted"),
            (71, "The system refused something, such as an address or another user"),
            CANNOT_CREATE,
            (74, "Reading or writing failed: the disk, or standard output"),
            NOT_PERMITTED,
            CONFIGURATION,
        ],
        brief: &["config", "spool", "relay", "verbose", "log", "check"],
        hidden: &[],
    },
    Page {
        verb: "passwd",
        examples: &[
            ("smtpd passwd alice", "Asks for the password, twice"),
            ("smtpd passwd alice --form scram < password.txt", "From a file"),
            ("smtpd passwd alice --remove", "Removes the user"),
        ],
        notes: "The configuration names the file of the users: auth.users.",
        codes: &[
            (0, "Done"),
            USAGE,
            (65, "The password cannot be used"),
            (67, "There is no such user to remove"),
            CANNOT_CREATE,
            NOT_PERMITTED,
            CONFIGURATION,
        ],
        hidden: &["spool", "relay", "verbose", "log", "log_format", "sandbox", "check"],
        brief: &[],
    },
];
