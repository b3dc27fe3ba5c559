//! `[[rewrite]]`: other senders at delivery, for next hops that accept only certain ones.

use ipnet::IpNet;
use serde::Deserialize;

use super::error::Fault;
use super::{RouteName, values};
use crate::address::{AddressPattern, Domain, Mailbox};
use crate::routing::{Criteria, Rewriting};

/// `[[rewrite]]`: which messages, and what is changed in them. An address that is put in is ASCII.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewriteSection {
    /// From which envelope senders; empty: any.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub senders: Vec<AddressPattern>,
    /// To which recipients.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub recipients: Vec<AddressPattern>,
    /// Of clients in which networks.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub clients: Vec<IpNet>,
    /// Of clients that logged in with which names.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub logins: Vec<String>,
    /// On which routes; empty: on all.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub routes: Vec<RouteName>,
    /// The new envelope sender.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub envelope_sender: Option<Mailbox>,
    /// The new address in `From:`.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub from: Option<Mailbox>,
    /// The new address in `Sender:`.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub sender: Option<Mailbox>,
    /// Hosts below these domains are hidden.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub masquerade: Vec<Domain>,
}

impl RewriteSection {
    fn criteria(&self) -> Criteria {
        Criteria {
            senders: self.senders.clone(),
            recipients: self.recipients.clone(),
            clients: self.clients.clone(),
            logins: self.logins.clone(),
        }
    }

    /// The change as the routing takes it.
    pub(super) fn rewriting(&self) -> Rewriting {
        Rewriting {
            criteria: self.criteria(),
            routes: self.routes.iter().map(|RouteName(name)| name.clone()).collect(),
            envelope_sender: self.envelope_sender.clone(),
            from: self.from.clone(),
            sender: self.sender.clone(),
            masquerade: self.masquerade.clone(),
        }
    }

    /// Whether it leaves no message to those after it.
    fn is_for_everything(&self) -> bool {
        self.routes.is_empty() && self.criteria().is_everything()
    }

    fn changes_something(&self) -> bool {
        let addresses = [&self.envelope_sender, &self.from, &self.sender];
        addresses.iter().any(|address| address.is_some()) || !self.masquerade.is_empty()
    }
}

/// Drops what is for other routes alone.
pub(super) fn keep_only(rewrites: &mut Vec<RewriteSection>, route: &str) {
    rewrites.retain_mut(|rewrite| {
        let for_all = rewrite.routes.is_empty();
        rewrite.routes.retain(|RouteName(name)| name == route);
        for_all || !rewrite.routes.is_empty()
    });
}

/// What is wrong with each of them; `names` are those of the routes.
pub(super) fn faults(rewrites: &[RewriteSection], names: &[String]) -> Vec<Fault> {
    let fault = |(index, rewrite): (usize, &RewriteSection)| {
        let place = format!("rewrite[{index}]");
        if !rewrite.changes_something() {
            let reason = format!(
                "{place} changes nothing; set {place}.envelope_sender, {place}.from, {place}.sender or {place}.masquerade"
            );
            return Some(Fault::new(place, reason));
        }
        if rewrite.is_for_everything() && index + 1 < rewrites.len() {
            let next = index + 1;
            let reason = format!(
                "{place} is for all mail, and the first that fits counts, so that nothing is left for rewrite[{next}]; \
                 move it to the end"
            );
            return Some(Fault::new(place, reason));
        }
        if let Some(at) = rewrite.masquerade.iter().position(Domain::is_literal) {
            let reason =
                format!("{place}.masquerade: {} is an address, and no host is below it", rewrite.masquerade[at]);
            return Some(Fault::new(format!("{place}.masquerade[{at}]"), reason));
        }
        let unknown = |RouteName(name): &RouteName| !names.contains(name);
        let at = rewrite.routes.iter().position(unknown)?;
        let reason =
            format!("{place}.routes: there is no route {}; the routes are {}", rewrite.routes[at].0, names.join(", "));
        Some(Fault::new(format!("{place}.routes[{at}]"), reason))
    };
    rewrites.iter().enumerate().filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn checked(text: &str) -> Result<Config, String> {
        let config = Config::parse(text, "leafmail.toml".as_ref()).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string()).map(|()| config)
    }

    #[test]
    fn every_key_reaches_the_rewriting() {
        let config = checked(
            "[[rewrite]]\nsenders = [\"@lan.example\"]\nrecipients = [\"@.example.com\"]\nclients = [\"10.0.0.0/8\"]\n\
             logins = [\"scanner\"]\nroutes = [\"relay\"]\nenvelope_sender = \"bounces@example.com\"\n\
             from = \"alerts@example.com\"\nsender = \"relay@example.com\"\nmasquerade = [\"example.com\"]\n\
             [[rewrite]]\nfrom = \"b@example.com\"\n",
        );
        let rewritings = config.unwrap().rewritings();
        let all = Rewriting {
            criteria: Criteria {
                senders: vec!["@lan.example".parse().unwrap()],
                recipients: vec!["@.example.com".parse().unwrap()],
                clients: vec!["10.0.0.0/8".parse().unwrap()],
                logins: vec!["scanner".to_owned()],
            },
            routes: vec!["relay".to_owned()],
            envelope_sender: "bounces@example.com".parse().ok(),
            from: "alerts@example.com".parse().ok(),
            sender: "relay@example.com".parse().ok(),
            masquerade: vec!["example.com".parse().unwrap()],
        };
        let second = Rewriting { from: "b@example.com".parse().ok(), ..Rewriting::default() };
        assert_eq!(rewritings, [all, second]);
        assert_eq!(Config::default().rewritings(), []);
    }

    #[test]
    fn slips_name_the_line_and_the_remedy() {
        for (text, expected) in [
            ("[[rewrite]]\nsenders = [\"@a.b\"]", "leafmail.toml:1: rewrite[0] changes nothing; set rewrite[0].envel"),
            (
                "[[rewrite]]\nfrom = \"a@b\"\n[[rewrite]]\nfrom = \"c@d\"",
                "leafmail.toml:1: rewrite[0] is for all mail, and the first that fits counts, so that nothing is left",
            ),
            (
                "[[rewrite]]\nfrom = \"a@b\"\nlogins = [\"a\"]\n[[rewrite]]\nfrom = \"a@b\"\nroutes = [\n\"relay\",\n\"m356\"]",
                "leafmail.toml:8: rewrite[1].routes: there is no route m356; the routes are relay",
            ),
            (
                "[[rewrite]]\nmasquerade = [\"[192.0.2.1]\"]",
                "leafmail.toml:2: rewrite[0].masquerade: [192.0.2.1] is an address",
            ),
            ("[[rewrite]]\nmasquerade = []", "leafmail.toml:2: expected a list with at least one entry"),
            ("[[rewrite]]\nfrom = \"bücher@a.b\"", "leafmail.toml:2: expected an address in ASCII such as user@"),
            ("[[rewrite]]\nform = \"a@b\"", "leafmail.toml:2: unknown key \"form\"; did you mean \"from\"?"),
            ("[rewrite]\nfrom = \"a@b\"", "leafmail.toml:1: expected a heading in two brackets, [[rewrite]]"),
        ] {
            let reason = checked(text).expect_err(text);
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
