//! Examples, notes and exit codes in the help of `spoolrun` and of each of its verbs.

use crate::cli::help::{ExitLine, Page};

const DONE: ExitLine = (0, "Done, or nothing to do");
const USAGE: ExitLine = (64, "The command line is wrong, or does not say which messages");
const BAD_MESSAGE: ExitLine = (65, "A message is damaged, or its state does not allow this action");
const BAD_KEY: ExitLine = (65, "The file holds no key that can be used");
const NO_KEY: ExitLine = (66, "The file of the key cannot be read");
const NO_OPENSSL: ExitLine = (69, "openssl is not there, or failed");
const NO_MESSAGE: ExitLine = (66, "No such message, or no such spool");
const NO_FILTER: ExitLine = (69, "The spam filter did not learn a message");
const FAULT: ExitLine = (69, "doctor found a fault");
const UNHEALTHY: ExitLine = (69, "Mail is not delivered, or the spool accepts none");
const REFUSED: ExitLine = (71, "The system refused something, such as another user or the sandbox");
const CANNOT_CREATE: ExitLine = (73, "A folder or the log cannot be created or opened");
const IO_FAILED: ExitLine = (74, "Reading or writing failed: the disk, or standard output");
const BUSY: ExitLine = (75, "A message is being delivered at the moment: try again");
const NOT_PERMITTED: ExitLine = (77, "The spool belongs to another user");
const CONFIGURATION: ExitLine = (78, "The configuration is wrong");

/// Common options without a meaning for verbs that only look.
const LOOKING: &[&str] = &["relay", "log", "log_format", "sandbox", "check", "trace"];
/// For those that also use the routes.
const LOOKING_AT_ROUTES: &[&str] = &["log", "log_format", "sandbox", "check", "trace"];
/// For those that change messages or routes.
const ACTING: &[&str] = &["relay", "sandbox", "check", "trace"];
/// For those that deliver.
const DELIVERING: &[&str] = &["check"];

const LOOK_CODES: &[ExitLine] = &[DONE, USAGE, BAD_MESSAGE, NO_MESSAGE, IO_FAILED, NOT_PERMITTED, CONFIGURATION];
const ACT_CODES: &[ExitLine] = &[DONE, USAGE, BAD_MESSAGE, NO_MESSAGE, IO_FAILED, BUSY, NOT_PERMITTED, CONFIGURATION];
const DELIVER_CODES: &[ExitLine] = &[DONE, USAGE, REFUSED, CANNOT_CREATE, IO_FAILED, NOT_PERMITTED, CONFIGURATION];
const WORST: &str = "If several messages fail, the exit code is that of the most serious failure.";

const fn looking(verb: &'static str, examples: &'static [(&'static str, &'static str)]) -> Page {
    Page { verb, examples, notes: "", codes: LOOK_CODES, brief: &[], hidden: LOOKING }
}

const fn acting(verb: &'static str, examples: &'static [(&'static str, &'static str)]) -> Page {
    Page { verb, examples, notes: WORST, codes: ACT_CODES, brief: &[], hidden: ACTING }
}

/// The page of `list` under the name `mailq`.
pub(crate) const MAILQ: Page = Page {
    verb: "list",
    examples: &[
        ("mailq", "All queued and held messages"),
        ("mailq --older 4h", "Waiting for 4 hours"),
        ("mailq -j | jq -r .queue_id", "Only the IDs"),
    ],
    notes: "mailq is a link to spoolrun, and the same as `spoolrun list`.",
    codes: LOOK_CODES,
    brief: &[],
    hidden: LOOKING,
};

/// The pages of `spoolrun`.
pub(crate) const PAGES: &[Page] = &[
    Page {
        verb: "",
        examples: &[
            ("spoolrun list", "Which mail waits, and why"),
            ("spoolrun doctor", "Can mail be delivered?"),
        ],
        notes: "\
Without a command, spoolrun tries once to deliver the mail that is due, and exits: for cron. Mail that stays deferred is no \
error. It prints nothing unless something fails in spoolrun itself; -v reports each step, and -l FILE keeps a log.

If spoolrun is called by the name mailq (a link), it runs list.",
        codes: &[DONE, USAGE, BAD_MESSAGE, NO_MESSAGE, FAULT, REFUSED, CANNOT_CREATE, IO_FAILED, BUSY, NOT_PERMITTED, CONFIGURATION],
        brief: &[],
        hidden: &[],
    },
    Page {
        verb: "watch",
        examples: &[
            ("spoolrun watch", "With a live view of the queue"),
            ("spoolrun watch --plain -v", "Log lines, with the SMTP dialogue"),
            ("spoolrun watch -l /var/log/leafmail/log", "As a service"),
        ],
        notes: "TERM and INT finish the deliveries in progress, then exit. HUP reopens the log file.",
        codes: DELIVER_CODES,
        brief: &[],
        hidden: DELIVERING,
    },
    Page {
        verb: "flush",
        examples: &[
            ("spoolrun flush", "The whole queue"),
            ("spoolrun flush --recipient @example.com -v", "One domain, with the dialogue"),
            ("spoolrun flush 01M7XXG7GK0000700000000001", "One message"),
        ],
        notes: "A route that was paused by hand stays paused.",
        codes: &[DONE, USAGE, BAD_MESSAGE, NO_MESSAGE, REFUSED, CANNOT_CREATE, IO_FAILED, BUSY, NOT_PERMITTED, CONFIGURATION],
        brief: &[],
        hidden: DELIVERING,
    },
    looking(
        "list",
        &[
            ("spoolrun list", "All queued and held messages"),
            ("spoolrun list --older 4h --route relay", "On one route, for 4 hours"),
            ("spoolrun list --json | jq -r .queue_id", "Only the IDs"),
        ],
    ),
    looking(
        "show",
        &[
            ("spoolrun show 01M7XXG7GK0000700000000001", "One message"),
            ("spoolrun show --json 01M7XXG7GK0000700000000001", "For a program"),
        ],
    ),
    Page {
        verb: "explain",
        examples: &[
            ("spoolrun explain 01M7XXG7GK0000700000000001", "One message"),
            ("spoolrun explain --recipient bob@example.com", "All mail to bob"),
            ("spoolrun explain --client 192.168.1.20", "Why a device sends no mail"),
        ],
        notes: "",
        codes: LOOK_CODES,
        brief: &[],
        hidden: LOOKING_AT_ROUTES,
    },
    Page {
        verb: "doctor",
        examples: &[
            ("spoolrun doctor", "Everything"),
            ("spoolrun doctor --recipient bob@example.com", "Would bob be accepted?"),
            ("spoolrun doctor --to bob@example.com", "May this host send directly?"),
        ],
        notes: "No message is sent: each dialogue with a next hop ends after RCPT.",
        codes: &[DONE, USAGE, FAULT, IO_FAILED, NOT_PERMITTED, CONFIGURATION],
        brief: &[],
        hidden: LOOKING_AT_ROUTES,
    },
    Page {
        verb: "dkim-key",
        examples: &[
            ("spoolrun dkim-key example.com mail2026 --key-file dkim.pem", "New, or as it is"),
            ("spoolrun dkim-key example.com ed2026 --ed25519", "On the terminal"),
        ],
        notes: "An RSA key is made by the program openssl. A file that is there is never overwritten.",
        codes: &[DONE, USAGE, BAD_KEY, NO_KEY, NO_OPENSSL, CANNOT_CREATE, IO_FAILED, CONFIGURATION],
        brief: &[],
        hidden: LOOKING,
    },
    Page {
        verb: "sql-schema",
        examples: &[
            ("spoolrun sql-schema postgres | psql mail", "In PostgreSQL"),
            ("spoolrun sql-schema mysql | mariadb mail", "In MariaDB"),
        ],
        notes: "A file of SQLite gets its table at the first delivery.",
        codes: &[DONE, USAGE, IO_FAILED, CONFIGURATION],
        brief: &[],
        hidden: LOOKING,
    },
    looking(
        "cat",
        &[
            ("spoolrun cat 01M7XXG7GK0000700000000001", "On the terminal"),
            ("spoolrun cat 01M7XXG7GK0000700000000001 | less", "Page by page"),
        ],
    ),
    Page {
        verb: "learn",
        examples: &[
            ("spoolrun learn spam 01M7XXG7GK0000700000000001", "One in the spool"),
            ("spoolrun learn ham - < mail.eml", "One from a file"),
        ],
        notes: "What is learnt is kept by the filter of [spam]; the message itself stays where it is.",
        codes: &[DONE, USAGE, BAD_MESSAGE, NO_MESSAGE, NO_FILTER, IO_FAILED, NOT_PERMITTED, CONFIGURATION],
        brief: &[],
        hidden: LOOKING,
    },
    looking(
        "shape",
        &[
            ("spoolrun shape", "Which domains hold up the queue?"),
            ("spoolrun shape --senders", "Which senders fill the queue?"),
            ("spoolrun shape --route relay --json", "One route, for a program"),
        ],
    ),
    Page {
        verb: "stats",
        examples: &[
            ("spoolrun stats", "The whole spool"),
            ("spoolrun stats --older 1d", "Only mail of a day or older"),
            ("spoolrun stats --json", "For a monitor"),
        ],
        notes: "",
        codes: LOOK_CODES,
        brief: &[],
        hidden: LOOKING_AT_ROUTES,
    },
    acting(
        "hold",
        &[
            ("spoolrun hold 01M7XXG7GK0000700000000001", "One message"),
            ("spoolrun hold --sender printer@lan.example", "A printer that went mad"),
            ("spoolrun hold --all --why \"audit\" --dry-run", "Show what would be held"),
        ],
    ),
    Page {
        verb: "metrics",
        examples: &[
            ("spoolrun metrics", "For a look, or for a scraper"),
            ("spoolrun metrics -o /run/leafmail.prom", "From cron, for node_exporter"),
            ("spoolrun metrics --openmetrics", "OpenMetrics 1.0"),
        ],
        notes: "",
        codes: &[DONE, USAGE, NO_MESSAGE, CANNOT_CREATE, IO_FAILED, NOT_PERMITTED, CONFIGURATION],
        brief: &[],
        hidden: LOOKING,
    },
    Page {
        verb: "health",
        examples: &[
            ("spoolrun health", "Is due mail tried, and is there room?"),
            ("spoolrun health --strict", "Is every route open, and no message old?"),
        ],
        notes: "A smarthost that does not work is no fault of this relay, and no restart would mend it: only --strict reports it.",
        codes: &[DONE, USAGE, NO_MESSAGE, UNHEALTHY, IO_FAILED, NOT_PERMITTED, CONFIGURATION],
        brief: &[],
        hidden: LOOKING,
    },
    acting(
        "release",
        &[
            ("spoolrun release 01M7XXG7GK0000700000000001", "One message"),
            ("spoolrun release --sender printer@lan.example", "Of one sender"),
            ("spoolrun release --all", "All held messages"),
        ],
    ),
    acting(
        "requeue",
        &[
            ("spoolrun requeue 01M7XXG7GK0000700000000001", "One message"),
            ("spoolrun requeue --reason \"mailbox full\"", "The mailbox was emptied"),
            ("spoolrun requeue --folder failed --all", "All that failed"),
        ],
    ),
    acting(
        "expire",
        &[
            ("spoolrun expire --recipient @gone.example", "A domain that is gone"),
            ("spoolrun expire --older 2d --dry-run", "Show what would be given up"),
        ],
    ),
    acting(
        "remove",
        &[
            ("spoolrun remove 01M7XXG7GK0000700000000001", "One message"),
            ("spoolrun remove --sender printer@lan.example", "All mail of one sender"),
            ("spoolrun remove --all --dry-run", "Show what would be removed"),
        ],
    ),
    acting(
        "pause",
        &[
            ("spoolrun pause relay", "Until it is resumed"),
            ("spoolrun pause relay --why \"the provider moves\"", "With a reason, for explain"),
        ],
    ),
    acting(
        "resume",
        &[("spoolrun resume relay", "Use the route again"), ("spoolrun resume relay --dry-run", "Is it paused?")],
    ),
    acting(
        "export",
        &[
            ("spoolrun export /mnt/usb/mail --all", "This host is replaced"),
            ("spoolrun export /tmp/mail 01M7XXG7GK0000700000000001", "One message"),
        ],
    ),
    acting(
        "import",
        &[
            ("spoolrun import /mnt/usb/mail --all", "Everything in that folder"),
            ("spoolrun import /mnt/usb/mail --all --dry-run", "Show what would be imported"),
        ],
    ),
    #[cfg(feature = "page")]
    Page {
        verb: "serve",
        examples: &[
            ("spoolrun serve", "http://127.0.0.1:8025/"),
            ("spoolrun serve unix:/run/leafmail/page.sock", "For ssh -L"),
        ],
        notes: "\
Other addresses than the loopback need serve.certificate, serve.key and a token. TERM and INT end it; HUP reopens the log file. It \
never connects to another host.",
        codes: DELIVER_CODES,
        brief: &[],
        hidden: &["check", "trace"],
    },
    #[cfg(feature = "page")]
    Page {
        verb: "token",
        examples: &[
            ("spoolrun token new monitor", "May read"),
            ("spoolrun token new ops --role act", "May read and act"),
            ("spoolrun token revoke ops", "From the next request on"),
        ],
        notes: "",
        codes: &[DONE, USAGE, NO_MESSAGE, IO_FAILED, NOT_PERMITTED, CONFIGURATION],
        brief: &[],
        hidden: LOOKING,
    },
    looking("verify", &[("spoolrun verify", "The whole spool"), ("spoolrun verify --json", "For a program")]),
];
