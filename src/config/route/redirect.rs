//! All mail to another next hop than the file says: the command line's `--relay`.
//!
//! Nothing that belonged to the old next hop goes along to the new one, least of all a credential.

use super::plan::{Hop, RELAY};
use super::{OAuth2, RouteSection};
use crate::config::{Config, rewrite};
use crate::transport::{AuthMethod, NextHop};

impl Config {
    /// Sends all mail elsewhere, as `--relay` does: `[relay]` leads there, and every `[[route]]` is dropped, with what is
    /// rewritten on it alone. The file's credentials go along only if there is a user to whom they can belong, and its pin
    /// only where certificates are looked at.
    pub fn relay_to(&mut self, next_hop: NextHop) {
        self.relay.lead_to(next_hop);
        self.route.clear();
        rewrite::keep_only(&mut self.rewrite, RELAY);
        for changed in ["relay.url", "relay.preset", "relay.user", "route", "rewrite"] {
            self.origin.forget(changed);
        }
    }
}

impl RouteSection {
    /// Leads to another next hop, and forgets what belonged to the old one.
    fn lead_to(&mut self, next_hop: NextHop) {
        (self.preset, self.region, self.user, self.max_size) = (None, None, None, None);
        (self.recipients_per_message, self.messages_per_connection, self.notices_from) = (None, None, None);
        self.fallback.clear();
        self.url = Some(next_hop);
        let hop = Hop::alone(self);
        let (has_user, has_address, is_mx) = (hop.user().is_some(), hop.has_address(), hop.is_mx());
        let verifies = hop.verifies() && hop.agent().is_none();
        let asks_domains = hop.asks_domains();
        if !has_user {
            (self.password_file, self.password_env, self.password_command) = (None, None, None);
            (self.token_file, self.token_command, self.auth) = (None, None, AuthMethod::Auto);
            self.oauth2 = OAuth2::default();
        }
        if !verifies {
            (self.tls_pin, self.tls_cert, self.tls_key) = (None, None, None);
        }
        if !is_mx {
            self.mx_networks.clear();
        }
        self.mta_sts &= asks_domains;
        if !has_address {
            self.source = None;
        }
    }
}
