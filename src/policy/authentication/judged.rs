//! What SPF says of one identity, as a note and as a reply.

use std::net::IpAddr;

use super::sentences;
use crate::policy::Strictness;
use crate::policy::refusals::dns_trouble;
use crate::smtp::Reply;
use crate::spf::{SpfOutcome, SpfResult};

/// What SPF is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The domain of the sender; that of HELO where there is no sender.
    MailFrom,
    /// The name in HELO.
    Helo,
}

impl Identity {
    /// The key that has it checked.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::MailFrom => "authentication.spf",
            Self::Helo => "authentication.spf_helo",
        }
    }
}

/// What SPF says of an identity.
pub(super) struct Judged {
    pub(super) identity: Identity,
    /// The domain that was asked about; hostile text where it is the name in HELO.
    pub(super) domain: String,
    pub(super) strictness: Strictness,
    pub(super) outcome: SpfOutcome,
}

impl Judged {
    /// What the message gets as a note.
    pub(super) fn note(&self) -> String {
        let of = match self.identity {
            Identity::MailFrom => "the sender's domain",
            Identity::Helo => "the name in HELO",
        };
        let why = self.outcome.mechanism.as_ref().or(self.outcome.problem.as_ref());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        format!("SPF: {of} {} says {}{why}", self.domain, self.outcome.result)
    }

    /// The reply where the client is not welcome.
    pub(super) fn reply(&self, address: IpAddr) -> Option<Reply> {
        match (self.strictness, self.outcome.result) {
            (Strictness::Refuse, SpfResult::Fail) => {
                let explanation = self.outcome.explanation.as_deref();
                Some(sentences::spf_fail(address, &self.domain, self.identity.setting(), explanation))
            }
            (Strictness::Refuse, SpfResult::TempError) => Some(dns_trouble(self.identity.setting())),
            _ => None,
        }
    }
}
