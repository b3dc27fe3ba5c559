//! Criteria: which messages a route or a rewriting applies to.

use ipnet::IpNet;

use crate::address::{AddressPattern, Mailbox};
use crate::envelope::Envelope;

/// Which messages are meant. A list that is empty does not count; of each other one an entry must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Envelope senders. The null reverse-path is none of them.
    pub senders: Vec<AddressPattern>,
    /// Envelope recipients.
    pub recipients: Vec<AddressPattern>,
    /// Networks of the clients that the messages came from; what came from this host itself without TCP is in none.
    pub clients: Vec<IpNet>,
    /// Names that clients logged in with.
    pub logins: Vec<String>,
}

impl Criteria {
    /// Whether everything is meant.
    pub fn is_everything(&self) -> bool {
        self == &Self::default()
    }

    /// Whether a message is meant, as far as it goes to `recipient`.
    pub fn fit(&self, envelope: &Envelope, recipient: &Mailbox) -> bool {
        let any = |patterns: &[AddressPattern], mailbox: Option<&Mailbox>| {
            patterns.is_empty() || mailbox.is_some_and(|mailbox| patterns.iter().any(|one| one.matches(mailbox)))
        };
        let client = envelope.origin.peer.ip();
        let login = envelope.origin.login.as_ref();
        any(&self.senders, envelope.reverse_path.mailbox())
            && any(&self.recipients, Some(recipient))
            && (self.clients.is_empty() || client.is_some_and(|ip| self.clients.iter().any(|net| net.contains(&ip))))
            && (self.logins.is_empty() || login.is_some_and(|login| self.logins.contains(login)))
    }
}

/// Which of the routes with these criteria, by its place, a recipient is to be reached by: the first that fits, else the last;
/// `None` only where there is no route.
///
/// The recipient is who an alias stands for, if `written` is one. A route that a policy chose for that one goes first, while
/// there is one of this name.
pub fn choose<'c>(
    routes: impl Iterator<Item = (&'c str, &'c Criteria)> + Clone,
    envelope: &Envelope,
    written: &Mailbox,
    recipient: &Mailbox,
) -> Option<usize> {
    let chosen = envelope.chosen_route(written);
    if let Some(place) = chosen.and_then(|chosen| routes.clone().position(|(name, _)| name == chosen)) {
        return Some(place);
    }
    let mut last = None;
    for (place, (_, criteria)) in routes.enumerate() {
        last = Some(place);
        if criteria.fit(envelope, recipient) {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ReversePath;
    use crate::clock::Timestamp;
    use crate::envelope::{Origin, Peer, Protocol, Recipients};

    fn envelope(sender: &str, peer: Peer, login: Option<&str>) -> Envelope {
        let to: Mailbox = "a@x".parse().unwrap();
        Envelope::new(
            ReversePath::parse(sender, None).unwrap(),
            Recipients::new(vec![to.into()]).unwrap(),
            Origin { peer, login: login.map(str::to_owned), ..Origin::local(Protocol::SMTP) },
            Timestamp::from_millis(0),
        )
    }

    #[test]
    fn the_first_route_that_fits_is_chosen_and_else_the_last() {
        let only = |recipient: &str| Criteria { recipients: vec![recipient.parse().unwrap()], ..Criteria::default() };
        let routes = [("x", only("@x")), ("y", only("@y")), ("z", only("@z"))];
        let mut envelope = envelope("s@a", Peer::Local, None);
        let chosen = |envelope: &Envelope, to: &str| {
            let to = to.parse().unwrap();
            choose(routes.iter().map(|(name, criteria)| (*name, criteria)), envelope, &to, &to)
        };
        for (to, place) in [("a@x", Some(0)), ("a@y", Some(1)), ("a@other", Some(2))] {
            assert_eq!(chosen(&envelope, to), place, "{to}");
        }
        let to = "a@x".parse().unwrap();
        assert_eq!(choose(std::iter::empty(), &envelope, &to, &to), None);
        envelope.choose_route("y", None);
        assert_eq!(chosen(&envelope, "a@x"), Some(1), "a policy chose it");
        envelope.choose_route("gone", None);
        assert_eq!(chosen(&envelope, "a@y"), Some(1), "what is not there any more is as if nobody had chosen");
        assert_eq!(chosen(&envelope, "a@z"), Some(2));
    }

    #[test]
    fn every_list_that_is_there_must_fit() {
        let peer = Peer::tcp("10.1.2.3:999".parse().unwrap());
        let (to, other): (Mailbox, Mailbox) = ("a@x".parse().unwrap(), "b@y.z".parse().unwrap());
        let criteria = Criteria {
            senders: vec!["@lan.example".parse().unwrap()],
            recipients: vec!["a@x".parse().unwrap(), "@.z".parse().unwrap()],
            clients: vec!["10.0.0.0/8".parse().unwrap()],
            logins: vec!["scanner".into()],
        };
        let good = envelope("s@lan.example", peer, Some("scanner"));
        assert!(criteria.fit(&good, &to) && criteria.fit(&good, &other));
        assert!(!criteria.fit(&good, &"b@x".parse().unwrap()));
        for bad in [
            envelope("", peer, Some("scanner")),
            envelope("s@other", peer, Some("scanner")),
            envelope("s@lan.example", Peer::Local, Some("scanner")),
            envelope("s@lan.example", Peer::tcp("11.1.2.3:999".parse().unwrap()), Some("scanner")),
            envelope("s@lan.example", peer, Some("Scanner")),
            envelope("s@lan.example", peer, None),
        ] {
            assert!(!criteria.fit(&bad, &to), "{bad:?}");
            assert!(Criteria::default().fit(&bad, &to));
        }
        assert!(Criteria::default().is_everything() && !criteria.is_everything());
    }
}
