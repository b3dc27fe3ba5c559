//! Every sentence that authentication sends to a client, with its codes. Each names the setting that is responsible.

use std::net::IpAddr;

use crate::policy::refusals::shown;
use crate::smtp::{EnhancedCode, Reply};

/// The longest explanation of a domain that is passed on.
const LONGEST_EXPLANATION: usize = 300;

/// MAIL: the domain does not permit the client (RFC 7208 8.4; RFC 7372 3.2).
pub(super) fn spf_fail(address: IpAddr, domain: &str, setting: &str, explanation: Option<&str>) -> Reply {
    let mut text = format!(
        "{} says by SPF that {address} may not send its mail; the relay checks it by its setting {setting}",
        shown(&domain)
    );
    if let Some(explanation) = explanation {
        // RFC 7208 6.2: it must be clear that these are not words of the relay.
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let short: String = explanation.chars().take(LONGEST_EXPLANATION).map(printable).collect();
        text += &format!("\n{} explains: {short}", shown(&domain));
    }
    Reply::new(550, EnhancedCode(5, 7, 23), text)
}

/// End of data: there are signatures, and none is right (RFC 7372 3.1).
pub(super) fn no_signature_passes() -> Reply {
    let text = "no DKIM signature of the message is right; the relay verifies them by its setting authentication.dkim";
    Reply::new(550, EnhancedCode(5, 7, 20), text)
}

/// End of data: the author's domain wants such mail refused (RFC 9989 5.4).
pub(super) fn dmarc_reject(author: &str) -> Reply {
    let text = format!(
        "neither SPF nor DKIM finds that the message is of {}, whose DMARC policy is to reject it; the relay follows it by its setting \
         authentication.dmarc",
        shown(&author)
    );
    Reply::new(550, EnhancedCode(5, 7, 1), text)
}

/// End of data: no one domain could be asked for its policy.
pub(super) fn unclear_author() -> Reply {
    let text = "the message has several domains in From:, or more than one such field, or one that cannot be read; the relay wants to know \
                its one domain by its setting authentication.dmarc";
    Reply::new(550, EnhancedCode(5, 7, 1), text)
}

/// Why a message is held.
pub(super) fn dmarc_quarantine(author: &str) -> String {
    format!("neither SPF nor DKIM finds that it is of {}, whose DMARC policy is to quarantine it", shown(&author))
}

/// End of data: many fields claim to be of this relay.
pub(super) fn too_many_results() -> Reply {
    let text = "the message has too many fields Authentication-Results in the name of this relay";
    Reply::new(554, EnhancedCode(5, 6, 0), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Enhanced;

    #[test]
    fn each_sentence_of_authentication_has_its_codes_and_fits_a_line() {
        let address: IpAddr = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
        let hostile = "x\r\n250 ok\u{1b}[2J".repeat(50);
        for (reply, start, setting) in [
            (spf_fail(address, &hostile, "authentication.spf", Some(&hostile)), "550 5.7.23 ", "authentication.spf"),
            (no_signature_passes(), "550 5.7.20 ", "authentication.dkim"),
            (dmarc_reject(&hostile), "550 5.7.1 ", "authentication.dmarc"),
            (unclear_author(), "550 5.7.1 ", "authentication.dmarc"),
            (too_many_results(), "554 5.6.0 ", "Authentication-Results"),
        ] {
            let mut wire = Vec::new();
            reply.write(&mut wire, Enhanced::Shown);
            let wire = String::from_utf8(wire).unwrap();
            assert!(reply.to_string().starts_with(start) && reply.text().contains(setting), "{wire}");
            assert!(wire.lines().all(|line| line.len() <= 510) && wire.lines().count() <= 2, "{wire}");
            assert!(!reply.text().contains(['\r', '\u{1b}']), "{wire}");
        }
    }
}
