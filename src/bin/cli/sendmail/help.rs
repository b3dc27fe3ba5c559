//! What `sendmail --help` says.

pub(super) const TEXT: &str = "\
Takes a message from standard input and hands it to the relay of this host

Usage: sendmail [OPTIONS] [RECIPIENT]...
       mailq [-j] | sendmail -bp
       newaliases | sendmail -bi

  -t             Send to those in To:, Cc: and Bcc: too (or in Resent-To:, -Cc:, -Bcc: where
                 there are such); Bcc: is always removed
  -i, -oi        A line with a single dot does not end the message
  -f, -r ADDRESS The sender, to whom failures come back; <> for none
  -F NAME        The full name in a From: that is added
  -N EVENTS      Of what the sender is told: never, or some of success,failure,delay
  -R full|hdrs   How much of the message comes back
  -V ID          The envelope id in notifications
  -bs            Speak SMTP on standard input and output
  -bp            List the queue; mailq -j: as JSON
  -q...          Nothing: the queue is worked on anyway
  --             What follows is a recipient, whatever it looks like

Other options of sendmail are taken and change nothing; unknown ones cost a warning. Addresses
without a domain get the configured one. The message goes to the relay's Unix socket (the first
in listen.addresses, else submission.socket); where nobody listens, straight into the spool if
that belongs to the caller.

Configuration: $LEAFMAIL_CONFIG or /etc/leafmail/leafmail.toml.
Exit codes: 0 the relay has it, 64 no recipients or a wrong mode, 65 recipients that cannot be read,
67 a recipient was refused, 69 or 77 the message was refused, 75 try again.
";
