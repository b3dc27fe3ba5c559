//! What happened to a message that is still in the spool, from its receipts, the state of its routes, and the
//! schedule.

use std::sync::Arc;

use super::context::Context;
use super::notice;
use super::story::{Explanation, Point, RecipientStory};
use super::words::{client, count, point, said, size, span};
use crate::address::escaped;
use crate::annotation::{HANDED_OVER, HOLD, LIST, NOTE, UNCOUNTED};
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::id::SpoolId;
use crate::mailing_list::MailingList;
use crate::queue::plan::ledger::{Account, Standing};
use crate::queue::routes::state::Pause;
use crate::queue::{InDoubt, RouteState};
use crate::receipt::{Reason, Receipt, ReceiptKind};
use crate::smtp::header::{FoldedField, HeaderEdit};
use crate::spool::{Folder, Glance, Spool, SpoolError};
use crate::transport::{Learned, learned, meaning};

/// The story of a message.
pub(super) fn story<S: Spool>(context: &Context<'_, S>, id: SpoolId, glance: &Glance) -> Explanation {
    let (envelope, now) = (&glance.envelope, context.runner.clock.now());
    let mut facts = vec![format!(
        "It came on {} from {}: from <{}>, {}, for {}.",
        envelope.received_at.listing(),
        client(envelope),
        envelope.reverse_path,
        size(glance.size),
        count(envelope.recipients.len(), "recipient"),
    )];
    if let Some(notice) = &envelope.origin.notice_of {
        facts.push(format!("It is a notice of this relay about message {}.", notice.original));
    }
    facts.extend(of_lists(context, envelope));
    facts.extend(notes(glance));
    let (place, mut remedy) = lies(id, glance);
    let routes = context.runner.route_names(envelope);
    if glance.folder == Folder::Hold
        && let Some(route) = context.holding_route(&routes)
    {
        let heading = context.place(route).heading;
        remedy = Some(format!(
            "Its route leads to hold:, so it would be held again. Change {heading} url first; then spoolrun release {id} sends \
             it. spoolrun remove {id} removes it."
        ));
    }
    facts.push(place);
    let written = glance.receipts.iter().filter(|receipt| receipt.what == ReceiptKind::Bounced);
    for fate in written.filter_map(|receipt| notice::fate(context, notice::named(&receipt.reason.text)?)) {
        facts.push(fate.fact);
        remedy = remedy.or(fate.remedy);
    }
    let ledger = context.runner.schedule.ledger(envelope, &glance.receipts);
    let due_times = context.runner.schedule.due_times(id, envelope, &glance.receipts, now);
    let recipients = envelope.recipients.iter().enumerate().map(|(index, recipient)| {
        let due = due_times.iter().find(|(known, _)| usize::from(*known) == index).map(|(_, due)| *due);
        let scene = Scene { context, glance, route: routes.get(index).copied().unwrap_or(""), due, now };
        let account = &ledger.accounts()[index];
        let mut story = scene.tell(account);
        story.address = recipient.mailbox.to_string();
        story.events = events(&glance.receipts, index);
        story
    });
    Explanation { id: id.to_string(), folder: glance.folder.name(), facts, remedy, recipients: recipients.collect() }
}

/// Which mailing lists it has to do with.
fn of_lists<S: Spool>(context: &Context<'_, S>, envelope: &Envelope) -> Vec<String> {
    if let Some((_, list)) = envelope.annotations.iter().find(|(name, _)| name == LIST) {
        let original = envelope.origin.notice_of.as_ref().map(|of| format!(", made from message {}", of.original));
        let fact =
            format!("It is the copy for the members of the list {}{}.", escaped(list), original.unwrap_or_default());
        return vec![fact];
    }
    let lists = &context.runner.readdressing.lists;
    let found = envelope.recipients.iter().filter_map(|recipient| lists.find(&recipient.mailbox));
    let fact = |list: &Arc<MailingList>| {
        let members = match list.members.current() {
            Ok(members) => count(members.len(), "member"),
            Err(unknown) => return format!("{} is a list, but {unknown}.", list.address),
        };
        format!("{} is a list with {members}; they get a copy from <{}>.", list.address, list.bounces)
    };
    found.map(fact).collect()
}

/// What a policy noted when the message was accepted, and why it wants it held.
fn notes(glance: &Glance) -> Vec<String> {
    let all = || glance.envelope.annotations.iter().chain(&glance.seal.annotations);
    let of =
        |wanted: &str| all().filter(move |(name, _)| name == wanted).map(|(_, text)| escaped(text)).collect::<Vec<_>>();
    let noted = of(NOTE).into_iter().map(|note| format!("A policy noted: {note}."));
    let held = of(HOLD).into_iter().map(|why| format!("A policy wants a person to look at it: {why}."));
    noted.chain(edits(glance)).chain(held).collect()
}

/// How a policy changed the header when the message had ended.
fn edits(glance: &Glance) -> Vec<String> {
    /// Of those beyond, only the number is shown.
    const SHOWN: usize = 12;
    let edits = glance.seal.header_edits().unwrap_or_default();
    let field = |field: &FoldedField| {
        let line = field.as_str().replace("\r\n", "").replace('\t', " ");
        let cut: String = line.chars().take(160).collect();
        if cut == line { line } else { format!("{cut}...") }
    };
    let one = |edit: &HeaderEdit| match edit {
        HeaderEdit::Insert(_, added) | HeaderEdit::Append(added) => {
            format!("A policy added to the header: {}", field(added))
        }
        HeaderEdit::Replace(number, new) => {
            format!("A policy changed {} number {number} of the header: {}", new.name(), field(new))
        }
        HeaderEdit::Remove(number, name) => {
            format!("A policy removed {} number {number} from the header.", name.as_str())
        }
    };
    let more = edits.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| format!("Policies changed the header in {more} more places."));
    edits.iter().take(SHOWN).map(one).chain(rest).collect()
}

/// What can be said of a file that is no message any more.
pub(super) fn damaged(id: SpoolId, error: Option<&SpoolError>) -> Explanation {
    let what = error.map(|error| format!(": {error}")).unwrap_or_default();
    Explanation {
        id: id.to_string(),
        folder: Folder::Bad.name(),
        facts: vec![format!("Its file is damaged, and is not delivered{what}.")],
        remedy: Some(
            "Look at the disk and at its log. The file is in bad/ of the spool, or will be moved there; its text may still be read by \
             hand. spoolrun verify tells of others."
                .to_owned(),
        ),
        recipients: Vec::new(),
    }
}

fn lies(id: SpoolId, glance: &Glance) -> (String, Option<String>) {
    match glance.folder {
        Folder::Queue if glance.busy => ("It is being delivered right now.".to_owned(), None),
        Folder::Queue => ("It waits in the queue.".to_owned(), None),
        Folder::Hold => (
            "It is held: nothing happens to it until a person releases it.".to_owned(),
            Some(format!("spoolrun release {id} sends it, spoolrun remove {id} removes it.")),
        ),
        Folder::Failed => (
            "It could not be delivered, and its sender could not be told. It is kept until a person decides."
                .to_owned(),
            Some(format!(
                "Once the cause is repaired, spoolrun requeue {id} tries again; spoolrun cat {id} shows it, spoolrun remove \
                 {id} removes it."
            )),
        ),
        Folder::Bad => ("It is damaged, and is not delivered.".to_owned(), None),
    }
}

/// One recipient's circumstances.
struct Scene<'a, S: Spool> {
    context: &'a Context<'a, S>,
    glance: &'a Glance,
    route: &'a str,
    due: Option<Timestamp>,
    now: Timestamp,
}

impl<S: Spool> Scene<'_, S> {
    fn tell(&self, account: &Account<'_>) -> RecipientStory {
        let standing = match account.standing {
            Standing::Delivered => "delivered",
            Standing::Failed => "failed; the sender has not been told yet",
            Standing::Bounced if self.is_unheard(account) => "failed; the notice to the sender was refused too",
            Standing::Bounced => "failed; the sender was told",
            Standing::Pending => "not delivered yet",
        };
        let story = RecipientStory {
            address: String::new(),
            standing: standing.to_owned(),
            events: Vec::new(),
            why: Vec::new(),
            remedy: None,
            next: Vec::new(),
        };
        match account.standing {
            Standing::Delivered => story,
            Standing::Failed | Standing::Bounced => self.refused(story, account),
            Standing::Pending => self.pending(story, account),
        }
    }

    /// Whether the notice of its failure reached nobody.
    fn is_unheard(&self, account: &Account<'_>) -> bool {
        let notice = account.notice.and_then(|receipt| notice::named(&receipt.reason.text));
        notice.and_then(|id| notice::fate(self.context, id)).is_some_and(|fate| fate.is_refused)
    }

    fn refused(&self, mut story: RecipientStory, account: &Account<'_>) -> RecipientStory {
        if let Some(last) = account.last {
            self.explain(&mut story, &last.reason, &last.route);
        }
        if account.was_in_doubt {
            story.why.push(
                "At an earlier attempt the message was sent whole, and the answer was lost: a copy may have arrived."
                    .to_owned(),
            );
        }
        story
    }

    fn pending(&self, mut story: RecipientStory, account: &Account<'_>) -> RecipientStory {
        let pause = match self.context.runner.states.load(self.route) {
            // What is not in the queue does not wait for a route.
            Ok(Some(RouteState::Paused(pause))) if self.glance.folder == Folder::Queue => Some(pause),
            _ => None,
        };
        if account.in_doubt {
            self.in_doubt(&mut story);
        }
        match (pause, account.last) {
            (Some(pause), _) => self.paused(&mut story, &pause),
            (None, Some(last)) => self.explain(&mut story, &last.reason, &last.route),
            (None, None) if self.glance.folder == Folder::Queue && !self.glance.busy => self.untried(&mut story),
            (None, None) => {}
        }
        if self.glance.folder == Folder::Queue && account.attempts > 0 {
            self.give_up(&mut story, account);
        }
        if self.glance.folder == Folder::Queue {
            self.learned(&mut story);
        }
        story
    }

    /// How the next hops of the route are spoken to, where that was learned.
    fn learned(&self, story: &mut RecipientStory) {
        for Learned { hop, what, until } in
            learned(&self.context.runner.states.hop_notes(self.route), self.now.as_millis())
        {
            let until = Timestamp::from_millis(until).listing();
            story.next.push(format!("The next hop {hop} {what}. This is remembered until {until}."));
        }
    }

    fn in_doubt(&self, story: &mut RecipientStory) {
        story.standing = "in doubt: a copy may have arrived".to_owned();
        story.why.push(
            "The message was handed over, but the next hop's answer was lost. It may have arrived, or not.".to_owned(),
        );
        story.next.push(match self.context.runner.schedule.in_doubt {
            InDoubt::Resend => {
                "It is sent again, so a second copy may arrive; with [queue] in_doubt = \"hold\" it would wait until \
                                a person decides."
                    .to_owned()
            }
            InDoubt::Hold => "It is held until a person decides, as [queue] in_doubt says.".to_owned(),
        });
    }

    /// No attempt at all is made: what keeps the route from working is what matters.
    fn paused(&self, story: &mut RecipientStory, pause: &Pause) {
        let (route, since) = (self.route, Timestamp::from_millis(pause.since).listing());
        if pause.by_hand {
            let why = if pause.text.is_empty() { String::new() } else { format!(": {}", pause.text) };
            story.why.push(format!("Route {route} was paused by a person on {since}{why}."));
            story.remedy = Some(format!("spoolrun resume {route} lets it go on."));
            return;
        }
        story.why.push(format!("Route {route} has not worked since {since}: {}.", pause.text));
        self.explain(story, &pause.reason(), route);
        let until = Timestamp::from_millis(pause.until);
        story.next.push(match until > self.now {
            true => format!("The route is tried again on {}; spoolrun flush tries it at once.", until.listing()),
            false => "The route is tried again with the next run; spoolrun flush tries it at once.".to_owned(),
        });
        story.next.push(
            "This is no fault of the message: while the route is paused, neither attempts nor time count towards giving it up."
                .to_owned(),
        );
    }

    fn untried(&self, story: &mut RecipientStory) {
        let waited = self.now.since(self.glance.envelope.received_at);
        story.why.push(format!("It was not tried yet. It has waited for {}, for route {}.", span(waited), self.route));
        if self.is_throttled(story) {
            return;
        }
        if waited.as_secs() > 120 {
            story.remedy = Some(
                "Check that something forwards mail: spoolrun watch, smtpd --deliver, or spoolrun from cron. spoolrun flush \
                 does it once."
                    .to_owned(),
            );
        }
    }

    /// Whether the limits of its route keep it waiting, and until when.
    fn is_throttled(&self, story: &mut RecipientStory) -> bool {
        let Some(route) = self.context.runner.routes.iter().find(|route| route.name == self.route) else {
            return false;
        };
        let heading = self.context.place(self.route).heading;
        if let Some(wait) = route.limits.wait() {
            story.why.push(format!("Route {} has reached its pace.", self.route));
            story.remedy = Some(format!(
                "Nothing: it goes when its turn comes. If the next hop takes more, raise {heading} pace."
            ));
            story.next.push(format!("The next message may leave on {}.", (self.now + wait).listing()));
            return true;
        }
        if route.limits.is_full() {
            story.why.push(format!("All connections of route {} are in use.", self.route));
            story.remedy = Some(format!(
                "Nothing: it goes when its turn comes. If the next hop takes more, raise {heading} connections."
            ));
            return true;
        }
        false
    }

    fn give_up(&self, story: &mut RecipientStory, account: &Account<'_>) {
        if let Some(due) = self.due.filter(|_| story.next.is_empty()) {
            story.next.push(match due > self.now {
                true => format!("It is tried again on {}, by route {}.", due.listing(), self.route),
                false => format!("It is due now, by route {}.", self.route),
            });
            // What the last reply said remains the reason; the pace only says why it is not tried at once.
            let remedy = story.remedy.clone();
            if due <= self.now && self.is_throttled(story) {
                story.remedy = remedy.or(story.remedy.take());
            }
        }
        let left = self.context.runner.schedule.give_up.saturating_sub(account.age);
        story.next.push(format!(
            "{} so far; it is given up after another {} of trying ([queue] give_up), and then the sender is told.",
            count(usize::try_from(account.attempts).unwrap_or(usize::MAX), "attempt"),
            span(left)
        ));
    }

    fn explain(&self, story: &mut RecipientStory, reason: &Reason, route: &str) {
        if let Some(meaning) = meaning(reason) {
            story.why.push(meaning.what.to_owned());
            story.remedy = Some(meaning.remedy(&self.context.place(route)));
        }
    }
}

/// What happened to a recipient, by index.
fn events(receipts: &[Receipt], index: usize) -> Vec<Point> {
    let concerns = |receipt: &&Receipt| {
        // What a person does without naming recipients is meant for all.
        receipt.recipients.is_empty() || receipt.recipients.iter().any(|known| usize::from(*known) == index)
    };
    let mine: Vec<&Receipt> = receipts.iter().filter(concerns).collect();
    let noted = |receipt: &Receipt, name: &str| receipt.annotations.iter().any(|(known, _)| known == name);
    // A mark is written before each answer; it says something only where no answer came.
    let is_answered = |place: usize| noted(mine[place], HANDED_OVER) && place + 1 < mine.len();
    let places = (0..mine.len()).filter(|place| !is_answered(*place));
    places.map(|place| point(mine[place].at, happened(mine[place], noted(mine[place], UNCOUNTED)))).collect()
}

fn happened(receipt: &Receipt, uncounted: bool) -> String {
    let reason = &receipt.reason;
    let said = said(&receipt.relay, reason.reply_code.is_some(), &reason.text);
    match receipt.what {
        ReceiptKind::Delivered => format!("delivered: {said}"),
        ReceiptKind::Deferred if uncounted => format!("tried, not counted as an attempt: {said}"),
        ReceiptKind::Deferred => format!("tried: {said}"),
        ReceiptKind::Failed => format!("refused permanently: {said}"),
        ReceiptKind::InDoubt => format!("handed over, without an answer: {said}"),
        ReceiptKind::DelayNotified => "the sender was told of the delay".to_owned(),
        ReceiptKind::Bounced => "a notice of the failure was written to the sender".to_owned(),
        ReceiptKind::Held => format!("held: {}", reason.text),
        ReceiptKind::Released => format!("released: {}", reason.text),
        ReceiptKind::Requeued => format!("put back into the queue, as if it had just come: {}", reason.text),
    }
}
