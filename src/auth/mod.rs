//! Users and logins: the stored users, and the SASL exchanges of AUTH on the server's side.
//!
//! The exchanges and the forms of stored passwords are pure: the caller supplies nonces and salts, and nothing here
//! knows sessions or sockets. Only [`UserFile`] reads and writes files. Nothing here shows a password. Neither the
//! steps nor their time reveal whether a user exists.

mod exchange;
mod file;
mod scram;
mod unchecked;
mod users;
mod verifier;
mod work_memory;

pub use exchange::{AuthStep, Exchange, StoredSecret};
pub use file::UserFile;
pub use scram::ScramKeys;
pub use unchecked::decode as decode_unchecked;
pub use users::Users;
pub use verifier::{Form, SALT, Verifier, VerifierError};
pub use work_memory::WorkMemory;

use hmac::{Hmac, Mac};

type HmacSha256 = Hmac<sha2::Sha256>;
type HmacMd5 = Hmac<md5::Md5>;

fn hmac_sha256(key: &[u8], text: &[&[u8]]) -> [u8; 32] {
    let mut mac = HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length");
    text.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// RFC 2195 2: the digest in lower case hexadecimal.
fn cram_digest(secret: &[u8], challenge: &[u8]) -> String {
    let mut mac = HmacMd5::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(challenge);
    mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect()
}
