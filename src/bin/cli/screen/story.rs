//! What happened, told as one line a message: its events are gathered until there is something to say of it. Pure.
//!
//! What is gathered is bounded; a message whose line was shown already, or that came before the start, is shown again when
//! something new happens to it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use leafmail::address::ReversePath;
use leafmail::event::{self, Client, Event};
use leafmail::id::SpoolId;
use leafmail::receipt::Outcome;
use leafmail::smtp::Reply;
use leafmail::transport::is_agent;

use super::paper::{Paper, StoryLine, Tone, shortened, size};

/// How long a message may take to go on before it is shown as waiting.
const SOON: Duration = Duration::from_secs(2);
/// How long outcomes of one message are gathered.
const TOGETHER: Duration = Duration::from_millis(200);
/// Messages that are known at a time.
const MOST: usize = 1_000;
/// Messages whose outcome came before the news that they were accepted.
const MOST_EARLY: usize = 100;

/// See the module.
pub(crate) struct Story {
    /// Whether this program delivers.
    delivers: bool,
    /// How many routes there are.
    routes: usize,
    /// Those that are paused.
    paused: BTreeMap<String, String>,
    messages: HashMap<SpoolId, Message>,
    /// Messages that were shown, and of which it may still be reported that they were accepted: the threads that take mail and
    /// those that deliver it report side by side.
    early: VecDeque<SpoolId>,
}

/// A message, as far as it was not told yet.
struct Message {
    sender: String,
    recipients: Vec<String>,
    size: Option<u64>,
    results: Vec<Result>,
    /// Whether the sender is notified of failures.
    told: Option<bool>,
    /// When something is to be said of it.
    due: Option<Instant>,
}

/// What came of one recipient.
struct Result {
    recipient: String,
    tone: Tone,
    word: &'static str,
    /// Where it went, or why not.
    text: String,
}

impl Story {
    pub(crate) fn new(delivers: bool, routes: usize, paused: BTreeMap<String, String>) -> Self {
        Self { delivers, routes, paused, messages: HashMap::new(), early: VecDeque::new() }
    }

    /// What is to be said once this happened.
    pub(crate) fn tell(&mut self, event: &Event, now: Instant, paper: Paper) -> Vec<StoryLine> {
        match event {
            Event::Connected { .. } | Event::Disconnected { cause: None, .. } | Event::LoggedIn { .. } => Vec::new(),
            Event::Expanded { .. } | Event::CopiedToAdmin { .. } => Vec::new(),
            Event::Accepted { .. } => self.accepted(event, now, paper),
            Event::Attempted { id, sender, recipient, relay, outcome, .. } => {
                let result = result(recipient.to_string(), relay, outcome);
                self.result(*id, Some(sender), result, now, paper)
            }
            Event::Expired { id, recipient, text, .. } => {
                let text = format!("not delivered within its time; the last reason: {text}");
                let result = Result { recipient: recipient.to_string(), tone: Tone::Bad, word: "expired", text };
                self.result(*id, None, result, now, paper)
            }
            Event::Notified { id, .. } => self.note_told(*id, true),
            Event::NotNotified { id, .. } => self.note_told(*id, false),
            Event::Removed { id } => self.take(*id).map_or(Vec::new(), |message| message.lines(paper)),
            Event::RoutePaused { route, text, retry_in } | Event::RouteStillPaused { route, text, retry_in } => {
                self.paused.insert(route.clone(), text.clone());
                let seconds = retry_in.as_secs();
                let text = format!("route {route} cannot be used, the next try is in {seconds} s: {text}");
                let mut lines = vec![StoryLine::new(Tone::Waits, "paused", text)];
                lines.extend(self.waiting(now, paper, true));
                lines
            }
            Event::RouteResumed { route } => {
                self.paused.remove(route);
                vec![StoryLine::new(Tone::Good, "resumed", format!("route {route} works again"))]
            }
            Event::Rejected { client, reply, sender, recipient, .. } => {
                let recipient = recipient.as_ref().map(ToString::to_string);
                vec![rejected(client, reply, sender.as_ref(), recipient, paper)]
            }
            Event::Repeated { event: Some(event), times } => {
                let again =
                    |line: StoryLine| StoryLine { text: format!("{} (and {times} times more)", line.text), ..line };
                self.tell(event, now, paper).into_iter().map(again).collect()
            }
            Event::LoginFailed { client, user, .. } => {
                let user = user.as_ref().map(|user| format!(" (user {user})")).unwrap_or_default();
                let text = format!("{}: wrong user name or password{user}", client.peer);
                vec![StoryLine::new(Tone::Bad, "refused", text)]
            }
            Event::Disconnected { client, cause: Some(cause) } => {
                vec![StoryLine::new(Tone::Plain, "left", format!("{}: {cause}", client.peer))]
            }
            other => remark(other),
        }
    }

    fn accepted(&mut self, event: &Event, now: Instant, paper: Paper) -> Vec<StoryLine> {
        let Event::Accepted { id, sender, size, recipients, .. } = event else { return Vec::new() };
        if let Some(at) = self.early.iter().position(|early| early == id) {
            self.early.remove(at);
            return Vec::new();
        }
        let before = self.messages.remove(id);
        let (results, told) = before.map_or((Vec::new(), None), |before| (before.results, before.told));
        let message = Message {
            sender: name(sender),
            recipients: recipients.iter().map(|recipient| recipient.mailbox.to_string()).collect(),
            size: Some(*size),
            due: Some(now + if results.is_empty() { SOON } else { TOGETHER }),
            results,
            told,
        };
        if message.is_whole() {
            return message.lines(paper);
        }
        if !self.delivers || self.messages.len() >= MOST {
            return vec![StoryLine::new(Tone::Good, "queued", message.who(paper, &message.recipients, ""))];
        }
        self.messages.insert(*id, message);
        // A route that is known not to work keeps nobody waiting for that.
        if self.routes == self.paused.len() { self.waiting(now, paper, true) } else { Vec::new() }
    }

    /// A message of which something is shown now.
    fn take(&mut self, id: SpoolId) -> Option<Message> {
        let message = self.messages.remove(&id)?;
        if message.size.is_none() {
            self.early.truncate(MOST_EARLY - 1);
            self.early.push_front(id);
        }
        Some(message)
    }

    fn result(
        &mut self,
        id: SpoolId,
        sender: Option<&ReversePath>,
        result: Result,
        now: Instant,
        paper: Paper,
    ) -> Vec<StoryLine> {
        if self.messages.len() >= MOST && !self.messages.contains_key(&id) {
            let message = Message::unknown(sender);
            return Message { results: vec![result], ..message }.lines(paper);
        }
        let message = self.messages.entry(id).or_insert_with(|| Message::unknown(sender));
        message.results.push(result);
        message.due = Some(now + TOGETHER);
        let is_whole = message.is_whole();
        if is_whole { self.take(id).map_or(Vec::new(), |message| message.lines(paper)) } else { Vec::new() }
    }

    fn note_told(&mut self, id: SpoolId, told: bool) -> Vec<StoryLine> {
        if let Some(message) = self.messages.get_mut(&id) {
            message.told = Some(told);
        }
        Vec::new()
    }

    /// What is to be said as time went by.
    pub(crate) fn go_on(&mut self, now: Instant, paper: Paper) -> Vec<StoryLine> {
        let is_due = |message: &Message| message.due.is_some_and(|due| due <= now);
        let told = |message: &Message| is_due(message) && !message.results.is_empty();
        let ids: Vec<SpoolId> = self.messages.iter().filter(|(_, message)| told(message)).map(|(id, _)| *id).collect();
        let mut lines: Vec<StoryLine> =
            ids.iter().filter_map(|id| self.take(*id)).flat_map(|message| message.lines(paper)).collect();
        lines.extend(self.waiting(now, paper, false));
        lines
    }

    /// When that is to be asked next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.messages.values().filter_map(|message| message.due).min()
    }

    /// Those of whom nothing is known but that they came: all of them, or those that came a while ago.
    fn waiting(&mut self, now: Instant, paper: Paper, all: bool) -> Vec<StoryLine> {
        let all = all && self.routes == self.paused.len();
        let why = match (self.routes, self.paused.len()) {
            (_, 0) => "; it is being delivered".to_owned(),
            (1, _) => format!("; route {} is paused", self.paused.keys().next().map_or("", String::as_str)),
            _ => format!("; paused routes: {}", self.paused.keys().cloned().collect::<Vec<_>>().join(", ")),
        };
        let waits =
            |message: &&mut Message| message.results.is_empty() && message.due.is_some_and(|due| all || due <= now);
        let told = self.messages.values_mut().filter(waits).map(|message| {
            message.due = None;
            StoryLine::new(Tone::Waits, "waiting", message.who(paper, &message.recipients, &why))
        });
        told.collect()
    }

    /// What is left to say at the end.
    pub(crate) fn end(&mut self, paper: Paper) -> Vec<StoryLine> {
        self.messages.drain().flat_map(|(_, message)| message.lines(paper)).collect()
    }
}

impl Message {
    /// Whether all is known of it. Of a failure there is more to be said.
    fn is_whole(&self) -> bool {
        !self.results.is_empty()
            && self.results.len() == self.recipients.len()
            && self.results.iter().all(|result| result.tone != Tone::Bad)
    }

    /// One that came before this program began.
    fn unknown(sender: Option<&ReversePath>) -> Self {
        let sender = sender.map_or_else(String::new, name);
        Self { sender, recipients: Vec::new(), size: None, results: Vec::new(), told: None, due: None }
    }

    /// From whom, to whom, how large; and more.
    fn who(&self, paper: Paper, recipients: &[String], more: &str) -> String {
        let room = paper.address();
        let first = recipients.first().map_or_else(String::new, |first| shortened(first, room));
        let others = match recipients.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let size = self.size.map(|octets| format!(", {}", size(octets))).unwrap_or_default();
        let sender =
            if self.sender.is_empty() { String::new() } else { format!("{} > ", shortened(&self.sender, room)) };
        format!("{sender}{first}{others}{size}{more}")
    }

    /// A line for each kind of result.
    fn lines(self, paper: Paper) -> Vec<StoryLine> {
        let mut lines: Vec<StoryLine> = Vec::new();
        let mut done = 0;
        let alike = |one: &Result, other: &Result| one.word == other.word && one.text == other.text;
        while let Some(first) = self.results.get(done) {
            done += 1;
            if self.results[..done - 1].iter().any(|earlier| alike(earlier, first)) {
                continue;
            }
            let same = self.results.iter().filter(|result| alike(result, first));
            let recipients: Vec<String> = same.map(|result| result.recipient.clone()).collect();
            let told = match (first.tone, self.told) {
                (Tone::Bad, Some(true)) => "; the sender is told",
                (Tone::Bad, Some(false)) => "; the sender is not told",
                _ => "",
            };
            let text = format!("{}{told}", self.who(paper, &recipients, &first.text));
            lines.push(StoryLine::new(first.tone, first.word, text));
        }
        lines
    }
}

fn name(sender: &ReversePath) -> String {
    sender.mailbox().map_or_else(|| "(a notice)".to_owned(), ToString::to_string)
}

fn result(recipient: String, relay: &str, outcome: &Outcome) -> Result {
    let reason = outcome.reason();
    // `maildir:PATH` and the like, or `host[address]:port`.
    let host = relay.strip_prefix("maildir:").unwrap_or(relay);
    let host = if is_agent(relay) { host } else { host.split('[').next().unwrap_or(host) };
    let said = match reason.reply_code {
        Some(_) => format!("{host} says: {}", reason.text),
        None => reason.text.clone(),
    };
    let (tone, word, text) = match outcome {
        Outcome::Delivered(_) if host == "none" => (Tone::Good, "sent", String::new()),
        Outcome::Delivered(_) => (Tone::Good, "sent", format!(", to {host}")),
        Outcome::Deferred(_) | Outcome::Postponed(_) => {
            (Tone::Waits, "deferred", format!("; tried again later; {said}"))
        }
        Outcome::InDoubt(_) => (Tone::Waits, "in doubt", format!("; tried again later; {said}")),
        Outcome::Failed(_) => (Tone::Bad, "bounced", format!("; {said}")),
    };
    Result { recipient, tone, word, text }
}

fn rejected(
    client: &Client,
    reply: &Reply,
    sender: Option<&ReversePath>,
    recipient: Option<String>,
    paper: Paper,
) -> StoryLine {
    let room = paper.address();
    let said = reply.text().replace(":\n", ": ").replace('\n', "; ");
    let peer = client.peer.to_string();
    let about = match (sender, recipient) {
        (Some(sender), Some(recipient)) => {
            format!("{} > {} from {peer}: ", shortened(&name(sender), room), shortened(&recipient, room))
        }
        (Some(sender), None) => format!("{} from {peer}: ", shortened(&name(sender), room)),
        (None, Some(recipient)) => format!("{} from {peer}: ", shortened(&recipient, room)),
        (None, None) if said.starts_with(&peer) => String::new(),
        (None, None) => format!("{peer}: "),
    };
    StoryLine::new(Tone::Bad, "refused", format!("{about}{said}"))
}

/// What is said in the words of the log.
fn remark(event: &Event) -> Vec<StoryLine> {
    let line = |text: String| {
        for (start, tone, word) in [("warning: ", Tone::Waits, "warning"), ("error: ", Tone::Bad, "error")] {
            if let Some(rest) = text.strip_prefix(start) {
                return StoryLine::new(tone, word, rest);
            }
        }
        StoryLine::new(Tone::Plain, "note", text)
    };
    event::lines(event).into_iter().map(line).collect()
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
