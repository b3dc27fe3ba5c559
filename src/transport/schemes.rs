//! From the scheme of a URL to the kind of next hop: the only place, besides `dispatch.rs`, that knows all of them together.

use std::str::FromStr;
use std::sync::LazyLock;

use super::agents::{KINDS, kind_of};
use super::settings::{Agent, NextHop, NextHopError, lmtp, mail_exchangers, smarthost};

/// How the URL of an SMTP server is written, and what is there.
const SMTP: &[(&str, &str)] = &[
    ("smtp://[USER@]HOST[:PORT]", "SMTP with STARTTLS, port 587"),
    ("smtps://[USER@]HOST[:PORT]", "SMTP with TLS from the start, port 465"),
    ("lmtp://[USER@]HOST[:PORT]", "LMTP, port 24"),
    ("lmtp:SOCKET", "LMTP over a Unix socket"),
];
/// How direct delivery is written.
const MX: (&str, &str) = ("mx:[PORT]", "the mail exchangers of each domain, port 25");

/// How URLs of next hops are written that this build knows, each with what is there.
pub fn url_forms() -> impl Iterator<Item = (&'static str, &'static str)> {
    let direct = cfg!(feature = "dns").then_some(MX);
    SMTP.iter().copied().chain(direct).chain(KINDS.iter().flat_map(|kind| kind.forms.iter().copied()))
}

/// What a URL begins with.
static EXPECTED: LazyLock<String> = LazyLock::new(|| {
    let agents = KINDS.iter().flat_map(|kind| kind.schemes.iter().copied());
    let mut schemes: Vec<_> = ["smtp", "smtps", "lmtp", "mx"].into_iter().chain(agents).collect();
    let last = schemes.pop().unwrap_or_default();
    format!("a URL that begins with {}: or {last}:", schemes.join(":, "))
});

impl FromStr for NextHop {
    type Err = NextHopError;

    fn from_str(text: &str) -> Result<Self, NextHopError> {
        // Not the scheme alone: in `user:password@host` it would be a name, and the rest a secret.
        let unknown = || NextHopError::unexpected(&EXPECTED, text);
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        match scheme.to_ascii_lowercase().as_str() {
            "smtp" => smarthost(rest, false).map(Self::Smarthost),
            "smtps" => smarthost(rest, true).map(Self::Smarthost),
            "lmtp" => lmtp(rest).map(Self::Smarthost),
            "mx" => mail_exchangers(rest).map(Self::Mx),
            scheme => {
                let kind = kind_of(scheme).ok_or_else(unknown)?;
                (kind.parse)(scheme, rest).map(|agent| Self::Agent(Agent::new(agent)))
            }
        }
    }
}
