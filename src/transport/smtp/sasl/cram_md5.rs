//! CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge. Pure.
//!
//! MD5 is broken for other uses; here it only keeps the password out of a connection in the clear.

use hmac::{Hmac, Mac};
use md5::Md5;

use crate::transport::credential::Password;

/// The user's name and the digest in hexadecimal.
pub(super) fn answer(user: &str, password: &Password, challenge: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Md5>::new_from_slice(password.reveal().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(challenge);
    let digest: String = mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{user} {digest}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2195_section_2() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let answer = answer("tim", &Password::new("tanstaaftanstaaf"), challenge);
        assert_eq!(answer, b"tim b913a602c7eda7a495b4e6e7334d3890");
    }
}
