//! The verification of one message: its signatures are read from the header, its body is hashed as it streams, and in the end each
//! signature meets its key.

use std::collections::HashMap;

use ring::digest::{Context, SHA256};

use super::canonical::{CanonicalBody, field, without_signature};
use super::public_key::PublicKey;
use super::signature_field::{SignatureField, SignatureTags};
use crate::address::Domain;
use crate::smtp::header::{end_of_field, split_field};

/// Signatures of a message that are looked at. Each further one would be work for nothing.
const MOST_SIGNATURES: usize = 10;

const CHANGED: &str = "the body was changed";

/// Octets of the header that one signature may sign.
const MOST_SIGNED: usize = 64 * 1024;

/// The reason of a signature by a key of a domain that only tests DKIM.
pub const DKIM_TEST: &str = "the domain only tests DKIM";

/// What became of a signature (RFC 8601 2.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimVerdict {
    /// It is right.
    Pass,
    /// It is wrong, or the message was changed.
    Fail,
    /// It is right, but of a part of the message only.
    Policy,
    /// It cannot be read, or its domain only tests DKIM.
    Neutral,
    /// The DNS gives no answer about its key now.
    TempError,
    /// It has no key, or asks for what must not be used.
    PermError,
}

impl DkimVerdict {
    /// As results have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// A signature, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimOutcome {
    /// What became of it.
    pub verdict: DkimVerdict,
    /// How it is called; `None` where it cannot be read.
    pub tags: Option<SignatureTags>,
    /// Why it did not pass.
    pub reason: Option<&'static str>,
}

/// The signatures of one message.
pub struct MessageVerifier {
    signatures: Vec<Result<Signature, DkimOutcome>>,
    simple: Option<CanonicalBody>,
    relaxed: Option<CanonicalBody>,
}

/// One signature on its way.
struct Signature {
    field: SignatureField,
    /// What is signed of the header.
    signed: Vec<u8>,
    hash: Context,
    /// Octets of the body that may still come.
    left: u64,
    /// Those that came beyond.
    beyond: u64,
    body_is_whole: bool,
}

impl MessageVerifier {
    /// The signatures in a header, as it came, without the empty line behind it. `now` is in seconds since 1970.
    pub fn new(header: &[u8], now: u64) -> Self {
        let fields = Fields::of(header);
        let signatures = fields.by_name.get("dkim-signature").into_iter().flatten().take(MOST_SIGNATURES);
        let signatures: Vec<_> = signatures.map(|found| Signature::new(found, &fields, now)).collect();
        let wants = |relaxed| {
            let wanted = signatures.iter().flatten().any(|signature| signature.field.relaxed_body == relaxed);
            wanted.then(|| CanonicalBody::new(relaxed))
        };
        Self { simple: wants(false), relaxed: wants(true), signatures }
    }

    /// The next octets of the body.
    pub fn body(&mut self, octets: &[u8]) {
        let signatures = &mut self.signatures;
        for (relaxed, form) in [(false, &mut self.simple), (true, &mut self.relaxed)] {
            if let Some(form) = form {
                form.write(octets, &mut |piece| hash(signatures, relaxed, piece));
            }
        }
    }

    /// The body is whole.
    pub fn end(&mut self) {
        for (relaxed, form) in [(false, self.simple.take()), (true, self.relaxed.take())] {
            let signatures = &mut self.signatures;
            if let Some(form) = form {
                form.finish(&mut |piece| hash(signatures, relaxed, piece));
            }
        }
        for signature in self.signatures.iter_mut().flatten() {
            let found = signature.hash.clone().finish();
            signature.body_is_whole = signature.left_is_fine() && found.as_ref() == signature.field.body_hash;
        }
    }

    /// The names of the keys that are wanted, in the order of the signatures; `None` where none is. That of a signature whose body was
    /// changed is wanted too, as it may be one that only tests DKIM.
    pub fn key_names(&self) -> Vec<Option<Domain>> {
        let name = |signature: &Signature| {
            let tags = &signature.field.tags;
            Domain::of_records(&format!("{}._domainkey.{}", tags.selector, tags.domain))
        };
        self.signatures.iter().map(|one| one.as_ref().ok().and_then(name)).collect()
    }

    /// What became of each signature. `keys` has, in the same order, the texts at the name of its key; `None` where the DNS gave no
    /// answer.
    pub fn verify(self, keys: &[Option<Vec<Vec<u8>>>]) -> Vec<DkimOutcome> {
        let judged = |(index, signature): (usize, Result<Signature, DkimOutcome>)| {
            signature.map_or_else(|outcome| outcome, |signature| signature.judge(keys.get(index)))
        };
        self.signatures.into_iter().enumerate().map(judged).collect()
    }
}

fn hash(signatures: &mut [Result<Signature, DkimOutcome>], relaxed: bool, piece: &[u8]) {
    for signature in signatures.iter_mut().flatten().filter(|one| one.field.relaxed_body == relaxed) {
        let fits = usize::try_from(signature.left).map_or(piece.len(), |left| left.min(piece.len()));
        signature.hash.update(&piece[..fits]);
        signature.left -= fits as u64;
        signature.beyond += (piece.len() - fits) as u64;
    }
}

/// A field: its name, what is behind the colon, and all of it.
type Field<'a> = (&'a str, &'a [u8], &'a [u8]);

/// The fields of a header by their names in lower case, each in their order.
struct Fields<'a> {
    by_name: HashMap<String, Vec<Field<'a>>>,
}

impl<'a> Fields<'a> {
    fn of(header: &'a [u8]) -> Self {
        let (mut by_name, mut rest) = (HashMap::<String, Vec<Field<'a>>>::new(), header);
        while !rest.is_empty() {
            let (whole, tail) = rest.split_at(end_of_field(rest));
            rest = tail;
            if let Some((name, body)) = split_field(whole) {
                by_name.entry(name.to_ascii_lowercase()).or_default().push((name, body, whole));
            }
        }
        Self { by_name }
    }
}

impl Signature {
    fn new((name, body, whole): &Field<'_>, fields: &Fields<'_>, now: u64) -> Result<Self, DkimOutcome> {
        let parsed = SignatureField::parse(body).map_err(|fault| {
            // What cannot be named is no signature that anybody counts on.
            let verdict = if fault.tags.is_some() { DkimVerdict::PermError } else { DkimVerdict::Neutral };
            DkimOutcome { verdict, tags: fault.tags, reason: Some(fault.reason) }
        })?;
        if parsed.expires.is_some_and(|expires| expires < now) {
            let reason = Some("the signature has expired");
            return Err(DkimOutcome { verdict: DkimVerdict::Fail, tags: Some(parsed.tags), reason });
        }
        let mut signed = Vec::new();
        // RFC 6376 5.4.2: of several fields of a name the last one is signed first.
        let mut left: HashMap<&str, &[Field<'_>]> = HashMap::new();
        for wanted in &parsed.fields {
            let Some(all) = fields.by_name.get(wanted) else { continue };
            let rest = left.entry(wanted).or_insert(all);
            while let Some(((name, body, other), before)) = rest.split_last() {
                *rest = before;
                if !std::ptr::eq(*other, *whole) {
                    field(parsed.relaxed_header, name, body, other, &mut signed);
                    break;
                }
            }
        }
        if signed.len() > MOST_SIGNED {
            let reason = Some("it signs too much of the header");
            return Err(DkimOutcome { verdict: DkimVerdict::PermError, tags: Some(parsed.tags), reason });
        }
        let without = without_signature(body);
        let all = [&whole[..whole.len() - body.len()], &without].concat();
        field(parsed.relaxed_header, name, &without, &all, &mut signed);
        let end = signed.len() - 2;
        signed.truncate(end);
        let left = parsed.length.unwrap_or(u64::MAX);
        Ok(Self { field: parsed, signed, hash: Context::new(&SHA256), left, beyond: 0, body_is_whole: false })
    }

    /// RFC 6376 3.5: l= must not be more than there is.
    fn left_is_fine(&self) -> bool {
        self.field.length.is_none() || self.left == 0
    }

    fn judge(self, key: Option<&Option<Vec<Vec<u8>>>>) -> DkimOutcome {
        let (verdict, reason) = self.verdict(key);
        DkimOutcome { verdict, tags: Some(self.field.tags), reason }
    }

    fn verdict(&self, key: Option<&Option<Vec<Vec<u8>>>>) -> (DkimVerdict, Option<&'static str>) {
        let Some(Some(texts)) = key else {
            return (DkimVerdict::TempError, Some("the DNS gives no answer about the key"));
        };
        let mut wrong = "there is no such key";
        for text in texts {
            let key = match PublicKey::parse(text, &self.field) {
                Ok(key) => key,
                Err(why) => {
                    wrong = why;
                    continue;
                }
            };
            // RFC 6376 3.6.1: mail of a test is treated as if it were not signed, whatever is wrong with it.
            if key.is_test {
                return (DkimVerdict::Neutral, Some(DKIM_TEST));
            }
            if !self.body_is_whole {
                return (DkimVerdict::Fail, Some(CHANGED));
            }
            return match key.verifies(&self.signed, &self.field) {
                false => (DkimVerdict::Fail, Some("the signature is wrong")),
                // What is behind the signed octets may be anybody's (RFC 6376 8.2).
                true if self.beyond > 0 => (DkimVerdict::Policy, Some("a part of the body is not signed")),
                true => (DkimVerdict::Pass, None),
            };
        }
        if self.body_is_whole { (DkimVerdict::PermError, Some(wrong)) } else { (DkimVerdict::Fail, Some(CHANGED)) }
    }
}
