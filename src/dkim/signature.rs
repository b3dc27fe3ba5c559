//! The signatures of one message, by mail-auth, which is named in this file only.
//!
//! Of the header only the fields that are signed reach it, so that how it reads odd lines does not matter.

use std::sync::Arc;

use mail_auth::common::crypto::{Algorithm, Sha256, SigningKey};
use mail_auth::common::headers::{HeaderWriter, Writable};
use mail_auth::dkim::{Canonicalization, DkimSigner, Done};

use super::{PrivateKey, Selector};
use crate::address::Domain;
use crate::smtp::header::{end_of_field, split_field};

/// The fields that are signed where they are there (RFC 6376 5.4.1), in lower case.
const SIGNED: [&str; 26] = [
    "from",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "to",
    "cc",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "in-reply-to",
    "references",
    "auto-submitted",
    "resent-date",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
    "resent-message-id",
    "list-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-post",
    "list-owner",
    "list-archive",
];
/// Those that are named once more than they are there, so that nobody can add another (RFC 6376 8.15).
const CLOSED: [&str; 7] = ["from", "reply-to", "subject", "date", "message-id", "to", "cc"];

/// All that is to sign a message.
pub struct MessageSigner(Vec<Made>);

struct Made {
    key: Arc<PrivateKey>,
    domain: Domain,
    selector: Selector,
}

impl MessageSigner {
    /// A signer with these keys; `domain` is in ASCII.
    pub(super) fn new(domain: &Domain, keys: Vec<(Arc<PrivateKey>, Selector)>) -> Result<Self, String> {
        let made = |(key, selector)| Made { key, domain: domain.clone(), selector };
        Ok(Self(keys.into_iter().map(made).collect()))
    }

    /// Signs a message: `header` with the empty line, and the body that `feed` hands on in pieces. The fields `DKIM-Signature:`,
    /// each with its line end.
    ///
    /// # Errors
    /// That of `feed`; or, within, why a key cannot sign.
    pub fn sign<E>(
        &self,
        header: &[u8],
        feed: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    ) -> Result<Result<Vec<u8>, String>, E> {
        let chosen = Chosen::of(header);
        let signer = |made: &Made| -> DkimSigner<Shared, Done> {
            DkimSigner::from_key(Shared(Arc::clone(&made.key)))
                .domain(made.domain.as_str().to_ascii_lowercase())
                .selector(made.selector.as_str())
                .headers(chosen.names.iter().copied())
                .header_canonicalization(Canonicalization::Relaxed)
                .body_canonicalization(Canonicalization::Relaxed)
        };
        let signers: Vec<_> = self.0.iter().map(signer).collect();
        let mut streams: Vec<_> = signers.iter().map(DkimSigner::sign_streaming).collect();
        streams.iter_mut().for_each(|stream| stream.write(&chosen.fields));
        feed(&mut |piece| streams.iter_mut().for_each(|stream| stream.write(piece)))?;
        let signed = streams.into_iter().map(|stream| {
            let signature = stream.finish().map_err(|error| error.to_string())?;
            Ok(without_lone_semicolon(signature.to_header()))
        });
        Ok(signed.collect::<Result<Vec<_>, _>>().map(|lines| lines.concat().into_bytes()))
    }
}

/// mail-auth folds before the last semicolon where the value of `b=` fills its line. That is white space around the value, which a
/// verifier leaves out (RFC 6376 3.7), but python3-dkim does not, for which the signature would be wrong.
fn without_lone_semicolon(field: String) -> String {
    field.strip_suffix("\r\n\t;\r\n").map(|field| format!("{field};\r\n")).unwrap_or(field)
}

/// The fields of a header that are signed.
struct Chosen {
    /// With an empty line behind them.
    fields: Vec<u8>,
    /// For `h=`. The same name twice means that there is none beyond those that are there.
    names: Vec<&'static str>,
}

impl Chosen {
    fn of(header: &[u8]) -> Self {
        let (mut fields, mut found, mut rest) = (Vec::new(), Vec::new(), header);
        while !rest.is_empty() && !rest.starts_with(b"\r\n") {
            let (field, tail) = rest.split_at(end_of_field(rest));
            rest = tail;
            let Some((name, body)) = split_field(field) else { continue };
            let Some(known) = SIGNED.iter().find(|known| known.eq_ignore_ascii_case(name)) else { continue };
            found.push(*known);
            for part in [name.as_bytes(), b":", body] {
                fields.extend_from_slice(part);
            }
            if !fields.ends_with(b"\r\n") {
                fields.extend_from_slice(b"\r\n");
            }
        }
        fields.extend_from_slice(b"\r\n");
        let mut names: Vec<_> = SIGNED.iter().copied().filter(|name| found.contains(name)).collect();
        names.extend(CLOSED);
        Self { fields, names }
    }
}

/// A key that several messages are signed with.
struct Shared(Arc<PrivateKey>);

impl SigningKey for Shared {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        let mut octets = Vec::new();
        input.write(&mut octets);
        self.0.sign(&octets).map_err(mail_auth::Error::Io)
    }

    fn algorithm(&self) -> Algorithm {
        match self.0.algorithm() {
            "ed25519" => Algorithm::Ed25519Sha256,
            _ => Algorithm::RsaSha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_ends_with_its_value_wherever_its_lines_are_folded() {
        let key = Arc::new(PrivateKey::parse(PrivateKey::new_ed25519().unwrap().as_bytes()).unwrap());
        let domain = "example.com".parse().unwrap();
        let signer = MessageSigner::new(&domain, vec![(key, "s".parse().unwrap())]).unwrap();
        // Each choice of fields folds in other places.
        for choice in 0..256_usize {
            let mut header = "From: a@example.com\r\n".to_owned();
            for (bit, name) in SIGNED.iter().skip(7).enumerate().take(8) {
                if choice >> bit & 1 == 1 {
                    header += &format!("{name}: x\r\n");
                }
            }
            header += "\r\n";
            let signed = signer.sign(header.as_bytes(), |_| Ok::<(), ()>(())).unwrap().unwrap();
            let text = String::from_utf8(signed).unwrap();
            assert!(text.starts_with("DKIM-Signature: ") && text.ends_with("==;\r\n"), "{text}");
            assert!(text.lines().all(|line| line.len() <= 100) && !text.contains("\n;"), "{text}");
        }
    }
}
