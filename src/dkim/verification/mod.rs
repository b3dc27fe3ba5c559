//! Verification of DKIM signatures (RFC 6376 6, RFC 8301, RFC 8463), without the DNS: it says which keys are wanted, and is handed
//! their records.
//!
//! The body is hashed as it streams. What is held is one header, and one buffer for each canonical form.

mod canonical;
mod public_key;
mod signature_field;
mod tags;
#[cfg(test)]
mod tests;
mod verifier;

pub use signature_field::SignatureTags;
pub use verifier::{DKIM_TEST, DkimOutcome, DkimVerdict, MessageVerifier};
