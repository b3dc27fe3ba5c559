//! A question, as `name=value` lines and an empty line.
//!
//! Values are of the peer: an octet that could end a line becomes `?`.

use std::fmt;

use super::settings::ServiceStage;
use crate::address::{Mailbox, ReversePath, is_unprintable};
use crate::envelope::Peer;
use crate::policy::ClientInfo;

/// The longest value, in characters.
const LONGEST: usize = 1_000;

/// What is asked about, beside the client.
pub(super) struct Subject<'a> {
    pub(super) stage: ServiceStage,
    pub(super) helo: Option<&'a str>,
    pub(super) sender: Option<&'a ReversePath>,
    pub(super) recipient: Option<&'a Mailbox>,
    pub(super) size: u64,
}

/// One question.
pub(super) struct ServiceQuestion<'a> {
    pub(super) client: &'a ClientInfo<'a>,
    pub(super) subject: &'a Subject<'a>,
}

impl fmt::Display for ServiceQuestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, subject } = self;
        let (address, port) = match client.peer {
            Peer::Tcp(address) => (address.ip().to_string(), address.port().to_string()),
            Peer::Local => ("127.0.0.1".to_owned(), String::new()),
        };
        let name = client.name.unwrap_or("unknown");
        let tls = client.tls;
        let transaction = client.transaction;
        let state = match subject.stage {
            ServiceStage::Connect => "CONNECT",
            ServiceStage::Helo => "HELO",
            ServiceStage::Mail => "MAIL",
            ServiceStage::Rcpt => "RCPT",
            ServiceStage::EndOfMessage => "END-OF-MESSAGE",
        };
        // At RCPT: those that were accepted before.
        let count = transaction.map_or(0, |transaction| transaction.recipients.len());
        let number = transaction.map_or(0, |transaction| transaction.number);
        let sender = match subject.sender {
            Some(ReversePath::Mailbox(sender)) => sender.to_string(),
            Some(ReversePath::Null) | None => String::new(),
        };
        line(f, "request", "smtpd_access_policy")?;
        line(f, "protocol_state", state)?;
        line(f, "protocol_name", if client.extended { "ESMTP" } else { "SMTP" })?;
        line(f, "helo_name", subject.helo.unwrap_or(""))?;
        line(f, "queue_id", &transaction.and_then(|it| it.spool_id).map_or(String::new(), |id| id.to_string()))?;
        line(f, "sender", &sender)?;
        line(f, "recipient", &subject.recipient.map_or(String::new(), ToString::to_string))?;
        line(f, "recipient_count", &count.to_string())?;
        line(f, "client_address", &address)?;
        line(f, "client_port", &port)?;
        line(f, "client_name", name)?;
        line(f, "reverse_client_name", name)?;
        line(f, "instance", &format!("{:x}.{:x}.{number:x}", std::process::id(), client.session))?;
        line(f, "sasl_method", client.auth_type())?;
        line(f, "sasl_username", client.login.unwrap_or(""))?;
        line(f, "sasl_sender", "")?;
        line(f, "size", &subject.size.to_string())?;
        line(f, "ccert_subject", tls.and_then(|tls| tls.client.as_deref()).unwrap_or(""))?;
        line(f, "ccert_issuer", "")?;
        line(f, "ccert_fingerprint", "")?;
        line(f, "encryption_protocol", tls.map_or("", |tls| &tls.version))?;
        line(f, "encryption_cipher", tls.map_or("", |tls| &tls.cipher))?;
        line(f, "encryption_keysize", "0")?;
        line(f, "etrn_domain", "")?;
        line(f, "stress", "")?;
        f.write_str("\n")
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    write!(f, "{name}=")?;
    for c in value.chars().take(LONGEST) {
        fmt::Write::write_char(f, if is_unprintable(c) { '?' } else { c })?;
    }
    f.write_str("\n")
}
