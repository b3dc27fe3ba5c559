//! What became of a notice to a sender: whether it was refused itself.

use super::context::Context;
use super::words::said;
use crate::id::SpoolId;
use crate::queue::plan::ledger::Standing;
use crate::spool::{Folder, Spool};

/// What can be said of a notice that is still in the spool, as a sentence, and what to do about it.
pub(super) struct Fate {
    pub(super) fact: String,
    pub(super) remedy: Option<String>,
    /// Whether it reached nobody.
    pub(super) is_refused: bool,
}

/// The fate of the notice with this id; `None` where it has left: then the history knows of it as of any other message.
pub(super) fn fate<S: Spool>(context: &Context<'_, S>, id: &str) -> Option<Fate> {
    let glance = context.runner.spool.peek(id.parse::<SpoolId>().ok()?).ok()??;
    let ledger = context.runner.schedule.ledger(&glance.envelope, &glance.receipts);
    let last =
        ledger.accounts().iter().find_map(|account| account.last.filter(|_| account.standing != Standing::Delivered));
    let words = last.map(|last| said(&last.relay, last.reason.reply_code.is_some(), &last.reason.text));
    let words = words.map(|words| format!(": {words}")).unwrap_or_default();
    Some(match glance.folder {
        Folder::Queue => {
            Fate { fact: format!("That notice, {id}, has not left yet{words}."), remedy: None, is_refused: false }
        }
        Folder::Hold => Fate { fact: format!("That notice, {id}, is held."), remedy: None, is_refused: false },
        Folder::Failed | Folder::Bad => Fate {
            fact: format!(
                "That notice, {id}, could not be delivered either, so that the sender does not know of it{words}."
            ),
            remedy: Some(format!(
                "Tell the sender by other means. A next hop that refuses mail from <> takes notices with [notices] from = \
                 \"ADDRESS\" (or notices_from of the route); then spoolrun requeue {id}."
            )),
            is_refused: true,
        },
    })
}

/// The id of the notice that the text of a receipt ends with.
pub(super) fn named(text: &str) -> Option<&str> {
    text.rsplit(' ').next().filter(|word| word.parse::<SpoolId>().is_ok())
}
