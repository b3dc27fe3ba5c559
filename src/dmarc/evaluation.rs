//! Whether the domain in `From:` is aligned with what was authenticated, and what follows (RFC 9989 4.4, 5.3).

use super::record::{DmarcPolicy, DmarcRecord};
use super::walk::TreeWalk;
use crate::address::Domain;
use crate::dns::{Dns, DnsAnswer, DnsError, RecordKind};

/// What is known of a message. All domains are in ASCII.
#[derive(Debug, Clone, Copy)]
pub struct DmarcIdentities<'a> {
    /// The domain in `From:`.
    pub author: &'a Domain,
    /// The domain for which SPF passed.
    pub spf: Option<&'a Domain>,
    /// The domains of valid signatures.
    pub dkim: &'a [&'a Domain],
    /// Whether SPF or a signature could not be judged, as the DNS gave no answer.
    pub is_uncertain: bool,
}

/// What DMARC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcVerdict {
    /// The domain has no policy.
    None,
    /// It is aligned.
    Pass,
    /// It is not.
    Fail,
    /// The DNS gives no answer now.
    TempError,
    /// There is not exactly one domain in `From:`.
    PermError,
}

impl DmarcVerdict {
    /// As results have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// A verdict, and the policy that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcOutcome {
    /// What DMARC says.
    pub verdict: DmarcVerdict,
    /// What is to be done where it is a fail; `None` where none is known.
    pub policy: Option<DmarcPolicy>,
    /// What the DNS did not answer.
    pub problem: Option<String>,
}

impl DmarcOutcome {
    /// A verdict without a policy.
    pub fn without_policy(verdict: DmarcVerdict) -> Self {
        Self { verdict, policy: None, problem: None }
    }

    /// The DNS gave no answer.
    pub fn unknown(problem: String) -> Self {
        Self { problem: Some(problem), ..Self::without_policy(DmarcVerdict::TempError) }
    }
}

/// Asks the DNS for the policy, and compares.
pub async fn evaluate(dns: &dyn Dns, known: &DmarcIdentities<'_>) -> DmarcOutcome {
    judge(dns, known).await.unwrap_or_else(|error| DmarcOutcome::unknown(error.to_string()))
}

async fn judge(dns: &dyn Dns, known: &DmarcIdentities<'_>) -> Result<DmarcOutcome, DnsError> {
    let walk = TreeWalk::from(dns, known.author).await?;
    let Some((place, record)) = walk.record() else {
        return Ok(DmarcOutcome::without_policy(DmarcVerdict::None));
    };
    let policy = policy(dns, known.author, place, record).await;
    let organization = walk.organization();
    let spf = known.spf.into_iter().map(|domain| (domain, record.strict_spf));
    let dkim = known.dkim.iter().map(|domain| (*domain, record.strict_dkim));
    let (mut verdict, mut trouble) = (DmarcVerdict::Fail, None);
    for (domain, strict) in spf.chain(dkim) {
        match is_aligned(dns, known.author, &organization, domain, strict).await {
            Ok(true) => verdict = DmarcVerdict::Pass,
            Ok(false) => {}
            Err(error) => trouble = Some(error.to_string()),
        }
    }
    if verdict == DmarcVerdict::Fail && (known.is_uncertain || trouble.is_some()) {
        verdict = DmarcVerdict::TempError;
    }
    // Of mail that is aligned nobody needs to know it.
    let policy = if verdict == DmarcVerdict::Pass { policy.ok() } else { Some(policy?) };
    let problem = trouble.filter(|_| verdict == DmarcVerdict::TempError);
    Ok(DmarcOutcome { verdict, policy, problem })
}

/// What the record wants done with mail of this author (RFC 9989 4.7).
async fn policy(dns: &dyn Dns, author: &Domain, place: &Domain, record: &DmarcRecord) -> Result<DmarcPolicy, DnsError> {
    let below = record.below.unwrap_or(record.policy);
    let wanted = match record.absent {
        _ if author == place => record.policy,
        Some(absent) if absent != below && !exists(dns, author).await? => absent,
        _ => below,
    };
    Ok(if record.is_test { wanted.milder() } else { wanted })
}

async fn exists(dns: &dyn Dns, name: &Domain) -> Result<bool, DnsError> {
    for kind in [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx] {
        match dns.lookup(name, kind).await? {
            DnsAnswer::Records { .. } => return Ok(true),
            DnsAnswer::NoSuchName | DnsAnswer::NoRecords => {}
        }
    }
    Ok(false)
}

/// RFC 9989 4.4: the same name, or for relaxed alignment the same organization.
async fn is_aligned(
    dns: &dyn Dns,
    author: &Domain,
    organization: &Domain,
    domain: &Domain,
    strict: bool,
) -> Result<bool, DnsError> {
    if domain == author {
        return Ok(true);
    }
    // The organization of a name is that name, or one above it.
    if strict || !(domain == organization || domain.is_below(organization)) {
        return Ok(false);
    }
    Ok(TreeWalk::from(dns, domain).await?.organization() == *organization)
}
