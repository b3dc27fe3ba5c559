//! Presets: providers with their addresses and limits, so that nobody has to look them up.
//!
//! Providers change their limits; if one is uncertain, the careful value is here. A key of the route overrides it.

use std::time::Duration;

use super::values::UserName;
use crate::config::values::{FromText, expected};
use crate::queue::routes::pace::Pace;
use crate::transport::{ServerKind, Smarthost, TlsPolicy};

/// A provider whose address and limits are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Exchange Online, by authenticated submission for one mailbox.
    Microsoft365,
    /// Gmail and Google Workspace, by authenticated submission for one account.
    Gmail,
    /// Amazon SES, in a region.
    Ses,
}

impl FromText for Preset {
    const EXPECTED: &'static str = "microsoft365, gmail or ses";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "microsoft365" => Ok(Self::Microsoft365),
            "gmail" => Ok(Self::Gmail),
            "ses" => Ok(Self::Ses),
            _ => Err(expected::<Self>(text)),
        }
    }
}

impl Preset {
    /// Its server for submission, by STARTTLS on port 587; `None` without the region that it needs.
    pub(super) fn next_hop(self, region: Option<&Region>, user: &UserName) -> Option<Smarthost> {
        let host = match self {
            Self::Microsoft365 => "smtp.office365.com".to_owned(),
            Self::Gmail => "smtp.gmail.com".to_owned(),
            Self::Ses => format!("email-smtp.{}.amazonaws.com", region?.0),
        };
        Some(Smarthost {
            host,
            port: 587,
            tls: TlsPolicy::Required,
            user: Some(user.0.clone()),
            kind: ServerKind::Smtp,
        })
    }

    /// How many connections it takes at the same time, where it says so.
    pub(super) fn connections(self) -> Option<usize> {
        match self {
            // "Up to three concurrent connections", else 432 4.3.2:
            // learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements
            Self::Microsoft365 => Some(3),
            Self::Gmail | Self::Ses => None,
        }
    }

    /// How many messages it takes in a certain time.
    pub(super) fn pace(self) -> Pace {
        let (messages, seconds) = match self {
            // 30 messages per minute (the same page), less a margin for clocks and for others who use the mailbox.
            Self::Microsoft365 => (25, 60),
            // 2,000 messages per day, 500 for trial accounts and for those without a contract; who sends more is shut out
            // for up to a day: support.google.com/a/answer/166852
            Self::Gmail => (500, 86_400),
            // 1 message per second in the sandbox, where every account begins; later as agreed:
            // docs.aws.amazon.com/ses/latest/dg/quotas.html
            Self::Ses => (1, 1),
        };
        Pace { messages, per: Duration::from_secs(seconds) }
    }

    /// How many recipients it takes in one message.
    pub(super) fn recipients(self) -> usize {
        match self {
            // 1,000, and an administrator may set it lower; a rejected message names no number:
            // learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
            Self::Microsoft365 => 500,
            // 100 by SMTP: support.google.com/a/answer/166852
            Self::Gmail => 100,
            // 50: docs.aws.amazon.com/ses/latest/dg/quotas.html
            Self::Ses => 50,
        }
    }

    /// Octets of the largest message, as it is sent, that it takes from anybody.
    pub(super) fn max_size(self) -> u64 {
        match self {
            // The most that an administrator can allow, encoding included:
            // learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
            Self::Microsoft365 => 150_000_000,
            // 25 MB of attachments, which base64 makes a third longer: support.google.com/mail/answer/6584
            Self::Gmail => 35_000_000,
            // 40 MB after encoding: docs.aws.amazon.com/ses/latest/dg/quotas.html
            Self::Ses => 40_000_000,
        }
    }
}

/// A region of a provider: one label of a host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

impl FromText for Region {
    const EXPECTED: &'static str = "a region such as eu-west-1";

    fn from_text(text: &str) -> Result<Self, String> {
        let fits = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        let is_label = (1..=40).contains(&text.len()) && text.bytes().all(fits);
        let whole = is_label && !text.starts_with('-') && !text.ends_with('-');
        if whole { Ok(Self(text.to_owned())) } else { Err(expected::<Self>(text)) }
    }
}
