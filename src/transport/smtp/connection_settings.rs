//! How a route's connections are made, whatever host they lead to.
//!
//! Shared by all connections of a route; holds no connection itself.

use std::net::IpAddr;

use super::tls::Certificates;
use crate::address::Domain;
use crate::transport::leaving::Leaving;
use crate::transport::settings::{Extensions, IpVersion, RouteSettings, Smarthost, Timeouts, TlsPolicy, TlsSettings};

/// See the module.
#[derive(Debug)]
pub(in crate::transport) struct ConnectionSettings {
    /// What we call ourselves in EHLO.
    pub(in crate::transport) helo: Domain,
    /// The mark of our own spool.
    pub(in crate::transport) own_mark: Option<String>,
    pub(in crate::transport) timeouts: Timeouts,
    pub(in crate::transport) certificates: Certificates,
    pub(in crate::transport) extensions: Extensions,
    /// The address of ours that connections come from.
    pub(in crate::transport) source: Option<IpAddr>,
    /// Which addresses of a next hop are used.
    pub(in crate::transport) ip: IpVersion,
    /// The largest message in octets that the route allows.
    pub(in crate::transport) max_size: Option<u64>,
    /// How many recipients one transaction may have, as far as the route says.
    pub(in crate::transport) recipients_per_message: Option<usize>,
    /// How many messages go over one connection.
    pub(in crate::transport) messages_per_connection: Option<usize>,
    /// Whether the dialogue is logged, whatever the level of the log.
    pub(in crate::transport) traced: bool,
    pub(in crate::transport) leaving: Leaving,
}

impl ConnectionSettings {
    /// By these settings, to hosts whose TLS is done by this policy.
    ///
    /// # Errors
    /// In words, when something in the settings would never be used.
    pub(in crate::transport) fn of(
        settings: &RouteSettings,
        policy: TlsPolicy,
        leaving: Leaving,
    ) -> Result<Self, &'static str> {
        if let Some(what) = unverifiable(policy, &settings.tls) {
            return Err(what);
        }
        Ok(Self {
            helo: settings.helo.clone(),
            own_mark: settings.own_mark.clone(),
            timeouts: settings.timeouts,
            certificates: Certificates::new(settings.tls.clone()),
            extensions: settings.extensions,
            source: settings.source,
            ip: settings.ip,
            max_size: settings.max_size,
            recipients_per_message: settings.recipients_per_message,
            messages_per_connection: settings.messages_per_connection,
            traced: settings.traced,
            leaving,
        })
    }
}

impl ConnectionSettings {
    /// Whether mail may go to this host after HELO, and so without TLS by STARTTLS, login and XCLIENT.
    pub(in crate::transport) fn may_say_helo(&self, smarthost: &Smarthost) -> bool {
        smarthost.user.is_none()
            && !smarthost.kind.is_lmtp()
            && !smarthost.tls.may_require()
            && !self.extensions.xclient
            && !self.leaving.is_raised()
    }
}

/// A pin or a client certificate that would never be used.
fn unverifiable(policy: TlsPolicy, tls: &TlsSettings) -> Option<&'static str> {
    if policy.asks_dane() && (tls.pin.is_some() || tls.identity.is_some()) {
        return Some(
            "expected no pin and no client certificate, as the DNS says which certificate counts: remove them, or require TLS",
        );
    }
    if !policy.verifies() && tls.pin.is_some() {
        return Some("expected tls=required or smtps: in the URL, as there is a pin: otherwise it is not looked at");
    }
    if !policy.verifies() && tls.identity.is_some() {
        return Some("expected tls=required or smtps: in the URL, as there is a client certificate");
    }
    None
}
