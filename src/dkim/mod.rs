//! DKIM signatures (RFC 6376): their verification, and for outgoing mail the keys, their records in the DNS, and which message gets which signature.
//!
//! A message is read once, in pieces, so that memory does not grow with it. A message that a key is for never leaves without its
//! signature: where the key cannot be used, the caller learns why.

mod key;
mod key_file;
mod record;
mod selector;
#[cfg(feature = "auth-checks")]
mod signature;
mod signing;
#[cfg(not(feature = "auth-checks"))]
mod unsigned;
mod verification;

pub use key::PrivateKey;
pub use record::DkimRecord;
pub use selector::Selector;
#[cfg(feature = "auth-checks")]
pub use signature::MessageSigner;
pub use signing::{DkimSettings, Signing};
#[cfg(not(feature = "auth-checks"))]
pub use unsigned::NoSigner as MessageSigner;
pub use verification::{DKIM_TEST, DkimOutcome, DkimVerdict, MessageVerifier, SignatureTags};
