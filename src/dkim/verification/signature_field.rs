//! The field `DKIM-Signature:` (RFC 6376 3.5).

use super::tags::{TagList, base64};
use crate::address::Domain;
use crate::dkim::Selector;

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedBy {
    Rsa,
    Ed25519,
}

impl SignedBy {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }
}

/// What a signature is called, for those who read about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureTags {
    /// The domain that signs, in ASCII.
    pub domain: Domain,
    /// The name of its key.
    pub selector: Selector,
    /// The algorithm.
    pub algorithm: &'static str,
    /// The beginning of the signature, which tells several apart (RFC 6008).
    pub start: String,
}

/// A signature as the message has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignatureField {
    pub(super) tags: SignatureTags,
    pub(super) algorithm: SignedBy,
    pub(super) signature: Vec<u8>,
    pub(super) body_hash: Vec<u8>,
    pub(super) relaxed_header: bool,
    pub(super) relaxed_body: bool,
    /// The signed fields, in lower case.
    pub(super) fields: Vec<String>,
    /// How many octets of the body are signed.
    pub(super) length: Option<u64>,
    /// When it ends, in seconds since 1970.
    pub(super) expires: Option<u64>,
    /// Whether the user is at the domain itself, and not below it.
    pub(super) user_at_domain: bool,
}

/// Why there is no signature that can be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldFault {
    /// What is known of it, where that is enough to name it.
    pub(super) tags: Option<SignatureTags>,
    pub(super) reason: &'static str,
}

/// Names in h=.
const MOST_FIELDS: usize = 300;

impl SignatureField {
    /// Reads what is behind the colon.
    pub(super) fn parse(body: &[u8]) -> Result<Self, FieldFault> {
        let nameless = |reason| FieldFault { tags: None, reason };
        let text = std::str::from_utf8(body).map_err(|_| nameless("it has more than ASCII"))?;
        let list = TagList::parse(text).ok_or_else(|| nameless("it is no list of tags"))?;
        let named = |tag: &str| list.get(tag).ok_or_else(|| nameless("a tag that it needs is missing"));
        let domain = named("d")?.parse::<Domain>().ok().and_then(|domain| domain.in_ascii());
        let domain = domain.filter(|domain| !domain.is_literal()).ok_or_else(|| nameless("its d= is no domain"))?;
        let selector: Selector = named("s")?.parse().map_err(|_| nameless("its s= is no selector"))?;
        let (algorithm, known) = match named("a")?.to_ascii_lowercase().as_str() {
            "rsa-sha256" => (SignedBy::Rsa, true),
            "ed25519-sha256" => (SignedBy::Ed25519, true),
            _ => (SignedBy::Rsa, false),
        };
        let b = named("b")?;
        let start = b.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).take(8).collect();
        let name = if known { algorithm.as_str() } else { "unknown" };
        let tags = SignatureTags { domain, selector, algorithm: name, start };
        let fault = |reason| FieldFault { tags: Some(tags.clone()), reason };
        // RFC 8301 3.1: rsa-sha1 is no longer one.
        if !known {
            return Err(fault("its algorithm is none that may be used"));
        }
        if list.get("v") != Some("1") {
            return Err(fault("its v= is not 1"));
        }
        let missing = || fault("a tag that it needs is missing");
        let signature = base64(b).filter(|b| !b.is_empty()).ok_or_else(|| fault("its b= is no base64"))?;
        let body_hash = base64(list.get("bh").ok_or_else(missing)?).ok_or_else(|| fault("its bh= is no base64"))?;
        let (relaxed_header, relaxed_body) =
            canonical_forms(list.get("c")).ok_or_else(|| fault("its c= is unknown"))?;
        let fields: Vec<String> =
            list.get("h").ok_or_else(missing)?.split(':').map(|name| name.trim().to_ascii_lowercase()).collect();
        if !fields.iter().any(|name| name == "from") || fields.len() > MOST_FIELDS {
            return Err(fault("its h= does not name From, or names too many fields"));
        }
        if list.get("q").is_some_and(|q| !q.split(':').any(|one| one.trim().eq_ignore_ascii_case("dns/txt"))) {
            return Err(fault("its q= is unknown"));
        }
        let number = |tag| match list.get(tag) {
            Some(value) => value.parse::<u64>().map(Some).map_err(|_| fault("a number of it is none")),
            None => Ok(None),
        };
        let user_domain = match list.get("i") {
            Some(user) => user.rsplit_once('@').and_then(|(_, at)| at.parse::<Domain>().ok()?.in_ascii()),
            None => Some(tags.domain.clone()),
        };
        let user_domain = user_domain.filter(|at| *at == tags.domain || at.is_below(&tags.domain));
        let user_at_domain = user_domain.ok_or_else(|| fault("its i= is not of its domain"))? == tags.domain;
        Ok(Self {
            algorithm,
            signature,
            body_hash,
            relaxed_header,
            relaxed_body,
            fields,
            length: number("l")?,
            expires: number("x")?,
            user_at_domain,
            tags: tags.clone(),
        })
    }
}

/// Of header and body: whether they are relaxed.
fn canonical_forms(value: Option<&str>) -> Option<(bool, bool)> {
    let is_relaxed = |form: &str| match form.to_ascii_lowercase().as_str() {
        "relaxed" => Some(true),
        "simple" => Some(false),
        _ => None,
    };
    let (header, body) = value.map_or(("simple", "simple"), |c| c.split_once('/').unwrap_or((c, "simple")));
    Some((is_relaxed(header.trim())?, is_relaxed(body.trim())?))
}
