//! `[[rewrite]]`: other senders at delivery, for next hops that accept only certain ones, and other fields of the header.

use ipnet::IpNet;
use serde::Deserialize;

use super::error::{Fault, unexpected};
use super::values::FromText;
use super::{RouteName, values};
use crate::address::{AddressPattern, Domain, Mailbox};
use crate::policy::FieldName;
use crate::routing::{Criteria, FieldEdits, Rewriting};

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
    /// Fields that are removed.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub remove: Vec<FieldName>,
    /// Fields whose content is replaced, where they are there.
    #[serde(deserialize_with = "values::pairs")]
    pub replace: Vec<(FieldName, FieldText)>,
    /// Fields that are added where there is none.
    #[serde(deserialize_with = "values::pairs")]
    pub add: Vec<(FieldName, FieldText)>,
}

/// The content of a header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldText(String);

/// A value stays on lines of less than 998 octets (RFC 5322 2.1.1).
const MOST_TEXT: usize = 900;

impl FromText for FieldText {
    const EXPECTED: &'static str = "the content of a header field: printable ASCII, 900 characters at most";

    fn from_text(text: &str) -> Result<Self, String> {
        let fits = text.len() <= MOST_TEXT && text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        if fits && !text.trim().is_empty() { Ok(Self(text.to_owned())) } else { Err(unexpected(Self::EXPECTED, text)) }
    }
}

/// Without these a message could not be read, or would say something else.
const ESSENTIAL: [&str; 5] = ["From", "Date", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
/// These say what relays did; nobody else may write them.
const TRACES: [&str; 5] = ["Received", "Return-Path", "DKIM-Signature", "ARC-Seal", "ARC-Message-Signature"];

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
    pub(super) fn rewriting(&self, hostname: &Domain) -> Rewriting {
        Rewriting {
            criteria: self.criteria(),
            routes: self.routes.iter().map(|RouteName(name)| name.clone()).collect(),
            envelope_sender: self.envelope_sender.clone(),
            from: self.from.clone(),
            sender: self.sender.clone(),
            masquerade: self.masquerade.clone(),
            fields: self.fields(hostname),
        }
    }

    fn fields(&self, hostname: &Domain) -> FieldEdits {
        let pair = |(name, FieldText(text)): &(FieldName, FieldText)| (name.to_string(), text.clone());
        FieldEdits {
            remove: self.remove.iter().map(ToString::to_string).collect(),
            replace: self.replace.iter().map(pair).collect(),
            add: self.add.iter().map(pair).collect(),
            own_name: self.changes_fields().then(|| hostname.clone()),
        }
    }

    fn changes_fields(&self) -> bool {
        !self.remove.is_empty() || !self.replace.is_empty() || !self.add.is_empty()
    }

    /// The first field that must stay as it is, with the key that names it.
    fn misused(&self) -> Option<(&'static str, String)> {
        let among =
            |names: &[&str], name: &FieldName| names.iter().any(|known| known.eq_ignore_ascii_case(name.as_str()));
        let removed = self.remove.iter().find(|name| among(&ESSENTIAL, name)).map(|name| ("remove", name));
        let written = |key: &'static str, pairs: &'_ [(FieldName, FieldText)]| {
            let is_not_ours = |name: &&FieldName| among(&ESSENTIAL, name) || among(&TRACES, name);
            pairs.iter().map(|(name, _)| name).find(is_not_ours).map(|name| (key, name.to_string()))
        };
        let removed = removed.map(|(key, name)| (key, name.to_string()));
        removed.or_else(|| written("replace", &self.replace)).or_else(|| written("add", &self.add))
    }

    /// Whether it leaves no message to those after it.
    fn is_for_everything(&self) -> bool {
        self.routes.is_empty() && self.criteria().is_everything()
    }

    fn changes_something(&self) -> bool {
        let addresses = [&self.envelope_sender, &self.from, &self.sender];
        addresses.iter().any(|address| address.is_some()) || !self.masquerade.is_empty() || self.changes_fields()
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
                "{place} changes nothing; set {place}.envelope_sender, {place}.from, {place}.sender, {place}.masquerade, \
                 {place}.remove, {place}.replace or {place}.add"
            );
            return Some(Fault::new(place, reason));
        }
        if let Some((key, name)) = rewrite.misused() {
            let reason = match (key, name.to_ascii_lowercase().as_str()) {
                (_, "from") => format!("{place}.{key}: every message needs one From:; set {place}.from to change it"),
                ("remove", _) => format!("{place}.remove: without {name} the message could not be read"),
                _ => format!(
                    "{place}.{key}: {name} is written by the programs that send and relay, and not by a setting"
                ),
            };
            return Some(Fault::new(format!("{place}.{key}"), reason));
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
             remove = [\"Bcc\"]\nreplace = { Organization = \"Example\" }\nadd = { X-Relay = \"a b\" }\n\
             [[rewrite]]\nfrom = \"b@example.com\"\n",
        );
        let rewritings = config.as_ref().unwrap().rewritings();
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
            fields: FieldEdits {
                remove: vec!["Bcc".to_owned()],
                replace: vec![("Organization".to_owned(), "Example".to_owned())],
                add: vec![("X-Relay".to_owned(), "a b".to_owned())],
                own_name: Some(config.as_ref().unwrap().hostname.clone()),
            },
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
            (
                "[[rewrite]]\nremove = [\"X-A\", \"content-type\"]",
                "leafmail.toml:2: rewrite[0].remove: without content-type",
            ),
            (
                "[[rewrite]]\nremove = [\"Bcc:\"]",
                "leafmail.toml:2: expected the name of a header field such as Subject",
            ),
            ("[[rewrite]]\nremove = []", "leafmail.toml:2: expected a list with at least one entry"),
            (
                "[[rewrite]]\nreplace = { FROM = \"a@b\" }",
                "leafmail.toml:2: rewrite[0].replace: every message needs one From:",
            ),
            ("[[rewrite]]\nadd = { Received = \"x\" }", "leafmail.toml:2: rewrite[0].add: Received is written by"),
            (
                "[[rewrite]]\nadd = { X-A = \"a\\r\\nBcc: b\" }",
                "leafmail.toml:2: expected the content of a header field",
            ),
            ("[[rewrite]]\nadd = { X-A = \"\" }", "leafmail.toml:2: expected the content of a header field"),
            ("[[rewrite]]\nadd = { X-A = \"b\u{fc}\" }", "leafmail.toml:2: expected the content of a header field"),
            ("[[rewrite]]\nadd = { \"X A\" = \"b\" }", "leafmail.toml:2: expected the name of a header field"),
            ("[[rewrite]]\nadd = [\"X-A: b\"]", "leafmail.toml:2: expected a table of names and what they mean"),
            ("[[rewrite]]\nform = \"a@b\"", "leafmail.toml:2: unknown key \"form\"; did you mean \"from\"?"),
            ("[rewrite]\nfrom = \"a@b\"", "leafmail.toml:1: expected a heading in two brackets, [[rewrite]]"),
        ] {
            let reason = checked(text).expect_err(text);
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
