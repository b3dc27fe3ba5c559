//! The chain: the built-in rules, then the policies of users.
//!
//! The built-in rules are an enum, so asking them needs no allocation and no dynamic call. Client networks come
//! first, whatever else is configured: a client that may not connect learns nothing about the other rules.

use std::sync::Arc;

use ipnet::IpNet;

use super::addresses::{self, AddressList};
use super::headers::{self, FieldName};
use super::helo::{HeloRule, Verify};
use super::{ClientInfo, Inspector, Policy, ask, networks};
use crate::address::Domain;
use crate::address::HeloPattern;
use crate::dns::Resolver;
use crate::session::{Additions, Question, Verdict};

/// What the built-in rules go by: plain values that the configuration fills in.
///
/// ```
/// use leafmail::config::Config;
///
/// let rules = Config::default().rules(); // those of a relay without a configuration: this host alone may connect
/// assert!(rules.networks.iter().all(|network| network.addr().is_loopback()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The networks whose hosts may connect.
    pub networks: Vec<IpNet>,
    /// The networks whose hosts may connect too, but must log in before they may send.
    pub auth_networks: Vec<IpNet>,
    /// What clients may call themselves.
    pub helo: Vec<HeloPattern>,
    /// Whether the name must be the client's own.
    pub verify: Verify,
    /// Who may be named in MAIL. The null reverse-path is always accepted (RFC 5321 4.5.5).
    pub senders: AddressList,
    /// Who may be named in RCPT.
    pub recipients: AddressList,
    /// The domain whose postmaster is always accepted as a recipient (RFC 5321 4.5.1).
    pub default_domain: Domain,
    /// The header fields that a message must have, with something in them.
    pub required_headers: Vec<FieldName>,
}

/// One of the rules that come with leafmail.
enum BuiltIn {
    Networks { allowed: Vec<IpNet>, with_login: Vec<IpNet> },
    Helo(HeloRule),
    Senders(AddressList),
    Recipients { list: AddressList, default_domain: Domain },
    Headers(Vec<FieldName>),
}

impl BuiltIn {
    async fn judge(&self, client: &ClientInfo<'_>, question: &Question) -> Verdict {
        match (self, question) {
            (Self::Networks { allowed, with_login }, Question::Connect) => {
                networks::judge(allowed, with_login, client.peer)
            }
            (Self::Networks { allowed, .. }, Question::Mail { .. }) => {
                networks::judge_sending(allowed, client.peer, client.login)
            }
            (Self::Helo(rule), Question::Helo(name)) => rule.judge(client.peer, name).await,
            (Self::Senders(list), Question::Mail { sender, .. }) => addresses::judge_sender(list, sender),
            (Self::Recipients { list, default_domain }, Question::Rcpt { recipient, .. }) => {
                addresses::judge_recipient(list, recipient, default_domain)
            }
            (Self::Headers(required), Question::Headers(block)) => headers::judge(required, block),
            _ => Verdict::Accept,
        }
    }
}

/// All rules of a relay, asked in order until one does not accept.
///
/// ```
/// use std::sync::Arc;
///
/// use leafmail::config::Config;
/// use leafmail::dns::SystemResolver;
/// use leafmail::envelope::Peer;
/// use leafmail::policy::{Chain, ClientInfo};
/// use leafmail::session::Question;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let chain = Chain::new(Config::default().rules(), Arc::new(SystemResolver::default()), Vec::new());
/// let stranger = ClientInfo::new(Peer::tcp("192.0.2.7:4711".parse().unwrap()));
/// assert!(!chain.judge(&stranger, &Question::Connect).await.accepts());
/// # });
/// ```
pub struct Chain {
    built_in: [BuiltIn; 5],
    policies: Vec<Arc<dyn Policy>>,
    inspectors: Vec<Arc<dyn Inspector>>,
}

impl Chain {
    /// The built-in rules, and after them the policies of users.
    pub fn new(rules: Rules, resolver: Arc<dyn Resolver>, policies: Vec<Arc<dyn Policy>>) -> Self {
        let built_in = [
            BuiltIn::Networks { allowed: rules.networks, with_login: rules.auth_networks },
            BuiltIn::Helo(HeloRule::new(rules.helo, rules.verify, resolver)),
            BuiltIn::Senders(rules.senders),
            BuiltIn::Recipients { list: rules.recipients, default_domain: rules.default_domain },
            BuiltIn::Headers(rules.required_headers),
        ];
        Self { built_in, policies, inspectors: Vec::new() }
    }

    /// With those who see the octets of messages, in this order.
    #[must_use]
    pub fn with_inspectors(self, inspectors: Vec<Arc<dyn Inspector>>) -> Self {
        Self { inspectors, ..self }
    }

    /// Those who see the octets of messages.
    pub fn inspectors(&self) -> &[Arc<dyn Inspector>] {
        &self.inspectors
    }

    /// The verdict on a question: that of the first who does not accept, or acceptance with all that is to be added.
    pub async fn judge(&self, client: &ClientInfo<'_>, question: &Question) -> Verdict {
        let mut additions = Additions::default();
        for rule in &self.built_in {
            match rule.judge(client, question).await {
                Verdict::Accept => {}
                Verdict::AcceptWith(more) => additions.join(*more),
                other => return other,
            }
        }
        for policy in &self.policies {
            match ask(policy.as_ref(), client, question).await {
                Verdict::Accept => {}
                Verdict::AcceptWith(more) => additions.join(*more),
                other => return other,
            }
        }
        Verdict::accept_with(additions)
    }

    /// A session has ended, whatever ended it.
    pub fn ended(&self, session: u64) {
        self.policies.iter().for_each(|policy| policy.ended(session));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::address::{Mailbox, ReversePath};
    use crate::dns::FixedNames;
    use crate::envelope::Peer;
    use crate::session::HeaderBlock;
    use crate::smtp::{EnhancedCode, Reply};

    fn rules() -> Rules {
        Rules {
            networks: vec!["192.168.1.0/24".parse().unwrap()],
            auth_networks: vec!["198.51.100.0/24".parse().unwrap()],
            helo: vec!["*.lan".parse().unwrap()],
            verify: Verify::None,
            senders: AddressList { allow: Vec::new(), deny: vec!["@spam.example".parse().unwrap()] },
            recipients: AddressList { allow: vec!["@example.lan".parse().unwrap()], deny: Vec::new() },
            default_domain: "relay.lan".parse().unwrap(),
            required_headers: vec!["From".parse().unwrap()],
        }
    }

    fn mailbox(text: &str) -> Mailbox {
        text.parse().unwrap()
    }

    fn every_question(sender: &str, recipient: &str, helo: &str, headers: &str) -> Vec<Question> {
        let sender = ReversePath::parse(sender, None).unwrap();
        vec![
            Question::Connect,
            Question::Helo(helo.to_owned()),
            Question::Mail { sender: sender.clone(), declared_size: None },
            Question::Rcpt { sender, recipient: mailbox(recipient) },
            Question::Headers(Arc::new(HeaderBlock::new(headers.as_bytes().to_vec()))),
            Question::Message { size: 1 },
        ]
    }

    fn chain(policies: Vec<Arc<dyn Policy>>) -> Chain {
        Chain::new(rules(), Arc::new(FixedNames::default()), policies)
    }

    fn client(address: &str) -> ClientInfo<'static> {
        ClientInfo::new(Peer::tcp(address.parse().unwrap()))
    }

    /// Writes down what it is asked, and refuses one verb.
    #[derive(Default)]
    struct Note {
        asked: Mutex<Vec<&'static str>>,
        refuses: Option<&'static str>,
    }

    impl Note {
        fn take(&self, verb: &'static str) -> Verdict {
            self.asked.lock().unwrap().push(verb);
            if self.refuses == Some(verb) { Verdict::Refuse(theirs()) } else { Verdict::Accept }
        }
    }

    fn theirs() -> Reply {
        Reply::new(550, EnhancedCode(5, 7, 1), "a user's own rule")
    }

    #[async_trait]
    impl Policy for Note {
        async fn connect(&self, _: &ClientInfo<'_>) -> Verdict {
            self.take("connect")
        }
        async fn helo(&self, _: &ClientInfo<'_>, _: &str) -> Verdict {
            self.take("helo")
        }
        async fn mail(&self, _: &ClientInfo<'_>, _: &ReversePath, _: Option<u64>) -> Verdict {
            self.take("mail")
        }
        async fn rcpt(&self, _: &ClientInfo<'_>, _: &ReversePath, _: &Mailbox) -> Verdict {
            self.take("rcpt")
        }
        async fn headers(&self, _: &ClientInfo<'_>, _: &HeaderBlock) -> Verdict {
            self.take("headers")
        }
        async fn message(&self, _: &ClientInfo<'_>, _: u64) -> Verdict {
            self.take("message")
        }
    }

    struct AcceptsAll;
    impl Policy for AcceptsAll {}

    #[tokio::test]
    async fn what_every_rule_accepts_is_accepted_and_every_policy_is_asked() {
        let note = Arc::new(Note::default());
        let chain = chain(vec![Arc::new(AcceptsAll), note.clone()]);
        for question in every_question("a@b.example", "root@example.lan", "printer.lan", "From: a\r\n") {
            assert_eq!(chain.judge(&client("192.168.1.9:25"), &question).await, Verdict::Accept, "{question:?}");
        }
        assert_eq!(*note.asked.lock().unwrap(), ["connect", "helo", "mail", "rcpt", "headers", "message"]);
    }

    #[tokio::test]
    async fn users_are_not_asked_what_a_built_in_rule_refuses() {
        let note = Arc::new(Note::default());
        let chain = chain(vec![note.clone()]);
        for question in every_question("a@spam.example", "root@else.where", "else.where", "To: a\r\n") {
            let refused = chain.judge(&client("192.168.2.9:25"), &question).await != Verdict::Accept;
            assert_eq!(refused, !matches!(question, Question::Message { .. }), "{question:?}");
        }
        assert_eq!(*note.asked.lock().unwrap(), ["message"]);
    }

    #[tokio::test]
    async fn the_first_policy_that_does_not_accept_ends_the_chain() {
        let (first, second) = (Arc::new(Note { refuses: Some("rcpt"), ..Note::default() }), Arc::new(Note::default()));
        let chain = chain(vec![first, second.clone()]);
        let questions = every_question("a@b.example", "root@example.lan", "printer.lan", "From: a\r\n");
        assert_eq!(chain.judge(&client("192.168.1.9:25"), &questions[3]).await, Verdict::Refuse(theirs()));
        assert!(second.asked.lock().unwrap().is_empty());
    }

    #[test]
    fn the_future_of_a_verdict_may_move_between_threads() {
        fn moves<T: Send>(_: T) {}
        let chain = chain(Vec::new());
        moves(chain.judge(&client("192.168.1.9:25"), &Question::Connect));
    }
}
