//! AUTH (RFC 4954) with PLAIN (RFC 4616) or LOGIN.
//!
//! Credentials leave only over TLS with the verified host, or where the route says `tls=none` in so many words. No log
//! line, error or reply text carries them: the wire hides them while the login lasts.

use base64::engine::{Engine, general_purpose::STANDARD};

use super::TlsPolicy;
use super::secret::Password;
use super::smarthost::Client;
use super::wire::{Phase, Protection, Trouble};
use crate::receipt::Reason;
use crate::smtp::{EnhancedCode, Reply};

/// Logs in. Every failure is the route's.
pub(super) async fn login(
    client: &mut Client,
    policy: TlsPolicy,
    user: &str,
    password: &Password,
) -> Result<(), Reason> {
    if client.protection() != Protection::Verified && policy != TlsPolicy::None {
        let text = format!("the connection to {} is not secure enough for a password", client.relay());
        return Err(Reason::new(EnhancedCode(4, 7, 11), text));
    }
    let plain = STANDARD.encode(format!("\0{user}\0{}", password.reveal()).as_bytes());
    let (name, word) = (STANDARD.encode(user.as_bytes()), STANDARD.encode(password.reveal().as_bytes()));
    client.control().hide(vec![plain.clone(), word.clone(), password.reveal().to_owned()]);
    let reply = if offers(client, "PLAIN") {
        plain_login(client, &plain).await
    } else if offers(client, "LOGIN") {
        login_login(client, &name, &word).await
    } else {
        client.control().forget_secrets();
        return Err(nothing_in_common(client));
    };
    client.control().forget_secrets();
    match reply {
        Ok(reply) if reply.code() == 235 => Ok(()),
        Ok(reply) => {
            let mut reason = Reason::reply(&reply);
            reason.text = format!("{} refused the login of {user}: {}", client.relay(), reason.text);
            Err(Reason { text: reason.text.replace(char::is_control, "?"), ..reason })
        }
        Err(trouble) => Err(trouble.reason(Phase::Auth, client.relay())),
    }
}

fn offers(client: &Client, mechanism: &str) -> bool {
    client.capabilities().auth.iter().any(|offered| offered == mechanism)
}

fn nothing_in_common(client: &Client) -> Reason {
    let offered = match &client.capabilities().auth[..] {
        [] => "no AUTH".to_owned(),
        mechanisms => format!("AUTH {} only", mechanisms.join(" ")),
    };
    let text = format!("expected AUTH PLAIN or LOGIN at {}, but found {offered}", client.relay());
    Reason::new(EnhancedCode(4, 7, 4), text)
}

async fn plain_login(client: &mut Client, response: &str) -> Result<Reply, Trouble> {
    let reply = client.exchange(Phase::Auth, &format!("AUTH PLAIN {response}\r\n")).await?;
    if reply.code() != 334 {
        return Ok(reply);
    }
    // A server that overlooks the initial response (RFC 4954 4) asks for it.
    client.exchange(Phase::Auth, &format!("{response}\r\n")).await
}

/// Never standardised; servers differ in the words of the challenges, so only the order counts: user, then password.
async fn login_login(client: &mut Client, name: &str, word: &str) -> Result<Reply, Trouble> {
    let mut reply = client.exchange(Phase::Auth, "AUTH LOGIN\r\n").await?;
    for answer in [name, word] {
        if reply.code() != 334 {
            return Ok(reply);
        }
        reply = client.exchange(Phase::Auth, &format!("{answer}\r\n")).await?;
    }
    Ok(reply)
}
