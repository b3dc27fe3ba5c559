//! Who is checked by SPF, and what comes of it.

use std::fmt;
use std::net::IpAddr;

use crate::address::Domain;
use crate::dns::DnsError;

/// Why there is no other result.
pub(super) enum SpfStop {
    Temporary(DnsError),
    Permanent(String),
}

impl From<DnsError> for SpfStop {
    fn from(error: DnsError) -> Self {
        Self::Temporary(error)
    }
}

/// The client and the sender that are checked.
#[derive(Debug, Clone, Copy)]
pub struct SpfClient<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// What it called itself; hostile text.
    pub helo: &'a str,
    /// The local part of the sender; `postmaster` where there is none (RFC 7208 2.4).
    pub local: &'a str,
    /// The domain of the sender, in ASCII.
    pub domain: &'a Domain,
    /// This relay.
    pub receiver: &'a Domain,
    /// Seconds since 1970, for explanations.
    pub unix_time: u64,
}

/// What SPF says (RFC 7208 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfResult {
    /// The domain has no record, or cannot have one.
    None,
    /// It does not say.
    Neutral,
    /// It permits the client.
    Pass,
    /// It does not.
    Fail,
    /// It probably does not.
    SoftFail,
    /// The DNS gives no answer now.
    TempError,
    /// Its record cannot be understood.
    PermError,
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        })
    }
}

/// A result, and what is known of how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfOutcome {
    /// What SPF says.
    pub result: SpfResult,
    /// The mechanism that decided, as the record has it; hostile text in printable ASCII.
    pub mechanism: Option<String>,
    /// Why the record cannot be understood, or what the DNS did not answer.
    pub problem: Option<String>,
    /// Of a fail: what the domain says of it (`exp=`); hostile text in printable ASCII.
    pub explanation: Option<String>,
}

impl SpfOutcome {
    pub(super) fn new(result: SpfResult) -> Self {
        Self { result, mechanism: None, problem: None, explanation: None }
    }

    pub(super) fn stopped(stop: SpfStop) -> Self {
        let (result, problem) = match stop {
            SpfStop::Temporary(error) => (SpfResult::TempError, error.to_string()),
            SpfStop::Permanent(problem) => (SpfResult::PermError, problem),
        };
        Self { problem: Some(problem), ..Self::new(result) }
    }

    /// The DNS did not answer in time.
    pub fn late() -> Self {
        Self { problem: Some("the DNS took too long".to_owned()), ..Self::new(SpfResult::TempError) }
    }
}
