//! What `sendmail --help`, `mailq --help` and `newaliases --help` print, also as verbs of `smtpd`.

use clap::Command;

use super::role::Role;

/// The help of a name.
pub(super) fn text(role: Role) -> &'static str {
    match role {
        Role::Sendmail => SENDMAIL,
        Role::Mailq => MAILQ,
        Role::Newaliases => NEWALIASES,
    }
}

/// The names as verbs of `smtpd`: for its help only, as clap cannot parse their options.
pub(crate) fn commands() -> [Command; 3] {
    let verb = |name, role, about| Command::new(name).about(about).override_help(text(role));
    [
        verb("sendmail", Role::Sendmail, "Submit a message from standard input, like Sendmail's program"),
        verb("mailq", Role::Mailq, "List the queue, like `spoolrun list`"),
        verb("newaliases", Role::Newaliases, "Do nothing: the aliases file is read as it is"),
    ]
}

/// The names with their help, for pages of the manual.
#[cfg(feature = "manual")]
pub(crate) const PAGES: [(&str, &str); 3] = [("sendmail", SENDMAIL), ("mailq", MAILQ), ("newaliases", NEWALIASES)];

const SENDMAIL: &str = "\
Submit a message from standard input to the relay of this host

Usage: sendmail [OPTIONS] [RECIPIENT]...
       mailq [-j] | sendmail -bp
       newaliases | sendmail -bi

Options:
  -t              Also send to the recipients in To:, Cc: and Bcc: (or in
                  Resent-To:, -Cc: and -Bcc:, if there are any). Bcc: is removed
  -i, -oi         Do not end the message at a line with a single dot
  -f, -r ADDRESS  Envelope sender, who gets the bounces; <> for none
  -F NAME         Full name, for a From: that has to be added
  -N EVENTS       Notify the sender of: never, or success,failure,delay
  -R full|hdrs    How much of the message a notice returns
  -V ID           Envelope ID, which notices quote
  -bs             Speak SMTP on standard input and output
  -bp             List the queue; as JSON: mailq -j
  -q...           Do nothing: the queue is always worked on
  --              End of the options: only recipients follow

Other options of Sendmail are ignored; unknown ones cause a warning.
The default domain is added to addresses without one. The message goes to the
relay's Unix socket: the first in listen.addresses, else submission.socket. If
no relay listens there, the message goes straight into the spool, if that
belongs to the caller.

Examples:
  echo Hello | sendmail bob@example.com       # From the calling user
  sendmail -t -i < message.eml                # To the recipients in its header
  sendmail -f \"<>\" bob@example.com < msg.eml  # Without bounces

Configuration: $LEAFMAIL_CONFIG or /etc/leafmail/leafmail.toml

Exit codes:
   0  The relay has the message
  64  No recipients, or an unsupported mode
  65  A recipient cannot be parsed
  67  A recipient was refused
  69  The message was refused
  75  Temporary failure: try again
  77  Not permitted
  78  The configuration is wrong
";

const MAILQ: &str = "\
List the queued and held messages

Usage: mailq [-j]

Options:
  -j, --json  Print JSON, one object per line
      --help  Print this help

The mark after an ID is * for a message that is being delivered, ! for a held
one, and # for one that was given up by hand. The text in parentheses is the
reason for the delay. `spoolrun list` has filters.

Root and the user of the spool see the whole queue. Other users see the mail
that they sent; the relay lists it over its Unix socket.

Examples:
  mailq                         # Which mail waits, and why
  mailq -j | jq -r .queue_id    # Only the IDs

Configuration: $LEAFMAIL_CONFIG or /etc/leafmail/leafmail.toml

Exit codes:
   0  Done
  65  A message is damaged
  66  No spool
  69  No relay listens, or it does not list mail
  75  Temporary failure: try again
";

const NEWALIASES: &str = "\
Do nothing: the relay reads the aliases file as it is, without a database

Usage: newaliases

For programs that expect the newaliases of other mail systems. `smtpd --check`
finds mistakes in the aliases file.

Examples:
  newaliases       # Always succeeds
  smtpd --check    # Is the aliases file right?

Exit codes:
   0  Always
";

#[cfg(test)]
mod tests {
    use super::super::arguments;
    use super::SENDMAIL;
    use crate::cli::help::words;

    #[test]
    fn the_examples_of_sendmail_cause_no_warnings() {
        let examples = SENDMAIL.split("Examples:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        for line in examples.lines() {
            let own =
                line.split(" # ").next().unwrap().split(['|', '<']).find(|part| part.contains("sendmail ")).unwrap();
            let words = words(own);
            assert_eq!(arguments::parse(&words[1..]).warnings, Vec::<String>::new(), "{line}");
        }
        assert!((2..=3).contains(&examples.lines().count()));
    }
}
