//! Events as log lines in the form of Postfix, which other programs read (pflogsumm, fail2ban, exporters).
//!
//! Every line about a message begins with its id. Unprintable characters are never written: text from peers has a
//! type without them, or is escaped.

use std::fmt::Write;
use std::time::Duration;

use log::Level;

use super::{Client, Delays, Event, Observer};
use crate::address::is_unprintable;
use crate::receipt::{Outcome, Reason};

/// The target of lines about the queue, whichever program writes them: programs that read logs take what comes from `smtpd` for
/// talk with clients, and pass over anything else in it.
pub const QUEUE: &str = "leafmail::spoolrun";

/// Writes each event to the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogObserver;

impl Observer for LogObserver {
    fn observe(&self, event: &Event) {
        let level = level(event);
        if log::log_enabled!(level) {
            for line in lines(event) {
                let target = if is_about_clients(event, &line) { module_path!() } else { QUEUE };
                log::log!(target: target, level, "{line}");
            }
        }
    }
}

/// Postfix tells of a message's sender and size by its queue manager.
fn is_about_clients(event: &Event, line: &str) -> bool {
    match event {
        Event::Accepted { .. } => !line.contains(": from=<"),
        Event::Connected { .. } | Event::Disconnected { .. } | Event::Rejected { .. } | Event::Remarked { .. } => true,
        Event::LoggedIn { .. } | Event::LoginFailed { .. } => true,
        Event::Overloaded { .. } | Event::Relieved { .. } | Event::Repeated { .. } => true,
        Event::Discarded { .. } => true,
        // It says itself what it was about.
        Event::Trouble { .. } => true,
        _ => false,
    }
}

pub(super) fn level(event: &Event) -> Level {
    match event {
        Event::Trouble { .. } | Event::SetAside { folder: "bad", .. } => Level::Error,
        Event::SetAside { .. } | Event::RoutePaused { .. } => Level::Warn,
        Event::NotNotified { .. } | Event::Withheld { .. } | Event::Alarm { .. } => Level::Warn,
        Event::Overloaded { .. } => Level::Warn,
        Event::Connected { .. } => Level::Debug,
        Event::Disconnected { cause, .. } if cause.is_none() => Level::Debug,
        _ => Level::Info,
    }
}

/// The lines of an event, without control characters.
pub fn lines(event: &Event) -> Vec<String> {
    let line = match event {
        Event::Connected { client } => format!("connect from {}", name(client)),
        Event::Disconnected { client, cause: None } => format!("disconnect from {}", name(client)),
        Event::Disconnected { client, cause: Some(cause) } => format!("{cause} from {}", name(client)),
        Event::Rejected { .. } => rejected(event),
        Event::Repeated { event, times } => repeated(event.as_deref(), *times),
        Event::LoggedIn { client, user, mechanism } => {
            format!("{}: sasl_method={mechanism}, sasl_username={user}", name(client))
        }
        Event::LoginFailed { client, user, mechanism } => {
            let user = user.as_deref().unwrap_or("(unknown)");
            let failed = "authentication failed";
            format!("warning: {}: SASL {mechanism} {failed}: sasl_username={user}", name(client))
        }
        Event::Remarked { client, remark } => format!("warning: {} {remark}", name(client)),
        Event::Accepted { .. } => return accepted(event).into_iter().map(printable).collect(),
        Event::Attempted { id, recipient, written, relay, delays, outcome, .. } => {
            let (status, text) = (status(outcome), &outcome.reason().text);
            let Reason { status: dsn, .. } = outcome.reason();
            let written = written.as_ref().map(|written| format!(" orig_to=<{written}>,")).unwrap_or_default();
            let took = took(delays);
            format!("{id}: to=<{recipient}>,{written} relay={relay}, {took}, dsn={dsn}, status={status} ({text})")
        }
        Event::Discarded { id, client, text } => format!("{id}: discard: from {}: {text}", name(client)),
        Event::Expired { id, recipient, text, .. } => format!("{id}: to=<{recipient}>, status=expired ({text})"),
        Event::Notified { id, notice } => format!("{id}: sender non-delivery notification: {notice}"),
        Event::Reported { id, notice } => format!("{id}: sender delivery status notification: {notice}"),
        Event::Expanded { id, into } => format!("{id}: expanded: {into}"),
        Event::DelayNotified { id, notice } => format!("{id}: sender delay notification: {notice}"),
        Event::CopiedToAdmin { id, notice } => format!("{id}: postmaster non-delivery notification: {notice}"),
        Event::NotNotified { id, text } => format!("warning: {id}: the sender is not notified: {text}"),
        Event::Withheld { withheld, digest } => {
            let digest = digest.map_or("there is no administrator to tell".to_owned(), |id| format!("digest: {id}"));
            format!("warning: {withheld} messages failed without notification: {digest}")
        }
        Event::Removed { id } => format!("{id}: removed"),
        Event::SetAside { name, folder, text } => format!("warning: {name}: moved to {folder}/: {text}"),
        Event::ByHand { id, what, uid } => format!("{id}: {what} by hand, uid={uid}"),
        Event::RouteByHand { route, paused: Some(why), uid } if why.is_empty() => {
            format!("route {route} is paused by hand, uid={uid}")
        }
        Event::RouteByHand { route, paused: Some(why), uid } => {
            format!("route {route} is paused by hand, uid={uid}: {why}")
        }
        Event::RouteByHand { route, paused: None, uid } => format!("route {route} is resumed by hand, uid={uid}"),
        Event::RoutePaused { route, text, retry_in } => {
            format!("warning: route {route} is paused: {text}; next try in {} s", retry_in.as_secs())
        }
        Event::RouteStillPaused { route, text, retry_in } => {
            format!("route {route} is still paused: {text}; next try in {} s", retry_in.as_secs())
        }
        Event::RouteResumed { route } => format!("route {route} works again"),
        Event::Alarm { text, .. } => format!("warning: alarm: {text}"),
        Event::AllClear { text, .. } => format!("all clear: {text}"),
        Event::Trouble { text } => format!("error: {text}"),
        Event::Overloaded { sessions, limit } => {
            format!(
                "warning: overloaded: {sessions} of {limit} sessions are in use; clients have less time and no errors"
            )
        }
        Event::Relieved { sessions, limit } => format!("overload is over: {sessions} of {limit} sessions are in use"),
    };
    vec![printable(line)]
}

fn accepted(event: &Event) -> Vec<String> {
    let Event::Accepted { id, client, sender, size, recipients, message_id, origin_client, synced_in: _ } = event
    else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let Some(client) = client {
        let origin = origin_client.as_ref().map_or(String::new(), |origin| format!(", {origin}"));
        lines.push(format!("{id}: client={}{origin}", name(client)));
    }
    if let Some(message_id) = message_id {
        lines.push(format!("{id}: message-id={message_id}"));
    }
    lines.push(format!("{id}: from=<{sender}>, size={size}, nrcpt={} (queue active)", recipients.len()));
    lines
}

fn rejected(event: &Event) -> String {
    let Event::Rejected { client, stage, reply, sender, recipient, helo, .. } = event else { return String::new() };
    let mut line = format!("NOQUEUE: reject: {stage} from {}: {reply};", name(client));
    if let Some(sender) = sender {
        let _ = write!(line, " from=<{sender}>");
    }
    if let Some(recipient) = recipient {
        let _ = write!(line, " to=<{recipient}>");
    }
    if let Some(helo) = helo {
        let _ = write!(line, " helo=<{helo}>");
    }
    line
}

/// What was held back within a minute.
fn repeated(event: Option<&Event>, times: u64) -> String {
    match event {
        Some(Event::Rejected { client, stage, reply, .. }) => {
            let status = reply.enhanced().map(|status| format!(" {status}")).unwrap_or_default();
            let kind = format!("{stage}: {}{status}", reply.code());
            format!("warning: {} was refused {times} times more in the last minute at {kind}", name(client))
        }
        Some(event) => lines(event).into_iter().map(|line| format!("{line} (and {times} times more)")).collect(),
        None => format!("warning: other clients were refused {times} times more in the last minute"),
    }
}

/// `name[address]`, as Postfix has it.
fn name(client: &Client) -> String {
    format!("{}[{}]", client.name.as_deref().unwrap_or("unknown"), client.peer)
}

pub(super) fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "sent",
        Outcome::Deferred(_) | Outcome::InDoubt(_) | Outcome::Postponed(_) => "deferred",
        Outcome::Failed(_) => "bounced",
    }
}

fn took(delays: &Delays) -> String {
    format!(
        "delay={}, delays={}/{}/{}/{}",
        seconds(delays.total()),
        seconds(delays.receiving),
        seconds(delays.queued),
        seconds(delays.connecting),
        seconds(delays.transmitting)
    )
}

/// Two significant digits below ten seconds, none of the fraction above.
fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        0.0 => "0".to_owned(),
        short if short < 10.0 => format!("{short:.2}"),
        long => format!("{long:.0}"),
    }
}

fn printable(line: String) -> String {
    if line.contains(is_unprintable) { line.replace(is_unprintable, "?") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::envelope::Peer;
    use crate::event::testing::attempted;
    use crate::id::SpoolId;
    use crate::smtp::EnhancedCode;

    fn id() -> SpoolId {
        SpoolId::new(Timestamp::from_millis(1), 1, 1)
    }

    #[test]
    fn an_attempt_reads_as_in_postfix() {
        let (_, event) = attempted("451 4.2.0 try\r\nagain");
        let line = format!(
            "{}: to=<bob@example.com>, relay=mx.example.com[192.0.2.9]:25, delay=61, delays=0.12/61/0/0, dsn=4.2.0, \
             status=deferred (451 4.2.0 try  again)",
            id()
        );
        assert_eq!(lines(&event), [line]);
    }

    #[test]
    fn a_hostile_helo_stays_on_its_line() {
        let event = Event::Rejected {
            client: Client { peer: Peer::tcp("192.0.2.1:9".parse().unwrap()), name: None },
            stage: "RCPT",
            by: crate::smtp::Refuser::Policy,
            reply: crate::smtp::Reply::new(554, EnhancedCode(5, 7, 1), "no"),
            sender: None,
            recipient: None,
            helo: Some("x\n01: removed\u{1b}".to_owned()),
        };
        let line = "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 no; helo=<x?01: removed?>";
        assert_eq!(lines(&event), [line]);
    }

    #[test]
    fn acceptance_tells_client_sender_and_size() {
        let to = |name| {
            crate::envelope::Recipient::from(format!("{name}@example.com").parse::<crate::address::Mailbox>().unwrap())
        };
        let event = Event::Accepted {
            id: id(),
            client: Some(Client { peer: Peer::Local, name: None }),
            sender: crate::address::ReversePath::Null,
            size: 10,
            recipients: crate::envelope::Recipients::new(vec![to("bob"), to("amy")]).unwrap(),
            message_id: Some("<a@b>".to_owned()),
            origin_client: Some("orig_client=a.lan[10.0.0.1]".to_owned()),
            synced_in: Duration::ZERO,
        };
        let id = id();
        let expected = [
            format!("{id}: client=unknown[local], orig_client=a.lan[10.0.0.1]"),
            format!("{id}: message-id=<a@b>"),
            format!("{id}: from=<>, size=10, nrcpt=2 (queue active)"),
        ];
        assert_eq!(lines(&event), expected);
    }
}
