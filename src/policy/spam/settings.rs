//! What is done by a score, and who may train the filter.

use ipnet::IpNet;

use crate::address::Mailbox;
use crate::policy::Fallback;
use crate::spam::{SpamClass, SpamScore};

/// From which score on something is done; the scale is that of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// The message is marked as spam.
    pub tag: SpamScore,
    /// It waits in `hold/` for a person.
    pub hold: Option<SpamScore>,
    /// It is refused.
    pub refuse: Option<SpamScore>,
}

/// Addresses whose mail is learnt instead of relayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrainingSettings {
    /// What is sent to it is learnt as spam.
    pub spam: Option<Mailbox>,
    /// What is sent to it is learnt as ham.
    pub ham: Option<Mailbox>,
    /// Clients that may send to them without a login.
    pub networks: Vec<IpNet>,
}

impl TrainingSettings {
    /// What mail to this mailbox is learnt as, if it is a training address. Capital letters are no difference.
    pub fn class_of(&self, mailbox: &Mailbox) -> Option<SpamClass> {
        let name = mailbox.to_string().to_lowercase();
        let is_it =
            |address: &Option<Mailbox>| address.as_ref().is_some_and(|it| it.to_string().to_lowercase() == name);
        match () {
            () if is_it(&self.spam) => Some(SpamClass::Spam),
            () if is_it(&self.ham) => Some(SpamClass::Ham),
            () => None,
        }
    }
}

/// How the spam filter is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpamCheckSettings {
    /// What is done by a score.
    pub thresholds: Thresholds,
    /// What happens without a score.
    pub fallback: Fallback,
    /// Clients whose mail is not judged.
    pub except: Vec<IpNet>,
    /// Whether the mail of clients that logged in is not judged.
    pub except_logins: bool,
    /// Who may train it, and by which addresses.
    pub training: TrainingSettings,
}
