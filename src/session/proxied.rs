//! XCLIENT and XFORWARD: a trusted host speaks for another client, or names the origin of a message.
//!
//! Whether a host is trusted depends on the connection only, never on an earlier XCLIENT. For all others the two
//! verbs do not exist. After XCLIENT the session is in its state before the greeting: the policy is asked again,
//! about the new client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Hello, OpenQuestion, Question, Session};
use crate::envelope::Peer;
use crate::smtp::xclient::{Attribute, Xclient, Xforward};
use crate::smtp::{CommandError, Reply, catalogue};

impl Session {
    /// XCLIENT.
    pub(super) fn speak_for(&mut self, argument: &str) {
        match self.check_trusted(self.trust.xclient, "XCLIENT").and_then(|()| parsed(Xclient::parse(argument))) {
            Err(reply) => self.reply(&reply),
            Ok(client) => {
                self.become_client(client);
                self.ask(Question::Connect, OpenQuestion::Connect);
            }
        }
    }

    /// XFORWARD: attributes are given one by one, and apply to the next transaction.
    pub(super) fn note_forwarded(&mut self, argument: &str) {
        match self.check_trusted(self.trust.xforward, "XFORWARD").and_then(|()| parsed(Xforward::parse(argument))) {
            Err(reply) => self.reply(&reply),
            Ok(Xforward(told)) => {
                for (name, value) in told {
                    self.forwarded.retain(|(known, _)| known != name);
                    self.forwarded.extend(value.map(|value| (name.to_owned(), value)));
                }
                self.reply(&catalogue::done());
            }
        }
    }

    fn check_trusted(&self, trusted: bool, verb: &'static str) -> Result<(), Reply> {
        match trusted {
            false => Err(catalogue::bad_command(&CommandError::NotImplemented(verb))),
            true if self.transaction.is_some() => Err(catalogue::not_in_transaction(verb)),
            true => Ok(()),
        }
    }

    /// Nothing that was known of one client is left for the next: neither its name where only an address is given, nor its
    /// login.
    fn become_client(&mut self, client: Xclient) {
        self.abandon();
        self.hello = None;
        self.name_refused = false;
        // The kernel named who speaks, not for whom.
        self.proved.terms.local_user = None;
        // Nor does the rule for the connection's other end hold for whom it speaks for: that one's password is checked.
        self.proved.terms.any_password = false;
        self.proved.mechanism = None;
        self.proved.login = match client.login {
            Attribute::Is(login) => Some(login),
            Attribute::Not | Attribute::Unavailable => None,
        };
        let port = if let Attribute::Is(port) = client.port { port } else { 0 };
        match (client.address, self.peer) {
            (Attribute::Is(address), _) => self.become_peer(address, port),
            // It is nobody's address, so no network of the policy has it but one that has all.
            (Attribute::Unavailable, _) => self.become_peer(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
            (Attribute::Not, Peer::Tcp(address)) if client.port != Attribute::Not => {
                self.peer = Peer::tcp((address.ip(), port).into())
            }
            (Attribute::Not, _) => {}
        }
        match client.name {
            Attribute::Is(name) => self.reverse_name = Some(name.to_string()),
            Attribute::Unavailable => self.reverse_name = None,
            Attribute::Not => {}
        }
        let extended = client.extended == Attribute::Is(true);
        self.told_hello = match client.helo {
            Attribute::Is(name) => Some(Hello { name, extended }),
            Attribute::Not | Attribute::Unavailable => None,
        };
    }

    fn become_peer(&mut self, address: IpAddr, port: u16) {
        self.peer = Peer::tcp(SocketAddr::new(address, port));
        self.reverse_name = None;
    }
}

fn parsed<T>(result: Result<T, CommandError>) -> Result<T, Reply> {
    result.map_err(|error| catalogue::bad_command(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::envelope::LocalUser;
    use crate::session::{Action, Answer, Settings, Terms, Verdict};
    use crate::smtp::Mechanism;

    /// What the session answers to these lines, where every question is answered with yes.
    fn said(mut session: Session, lines: &[u8]) -> String {
        let mut replies = Vec::new();
        let mut lines = Some(lines);
        loop {
            match session.poll() {
                Action::Ask(_) => session.verdict(Verdict::Accept),
                Action::Authenticate(_) => session.authenticated(Answer::Begin("nonce".to_owned())),
                Action::Write(octets) => replies.extend(octets),
                Action::Read => match lines.take() {
                    Some(octets) => session.feed(octets, Timestamp::from_millis(0)),
                    None => session.eof(),
                },
                Action::Close => return String::from_utf8(replies).unwrap(),
                _ => {}
            }
        }
    }

    #[test]
    fn whom_a_host_speaks_for_does_not_get_its_login_with_any_password() {
        let mut settings = Settings::new("relay.example".parse().unwrap());
        settings.xclient = vec!["127.0.0.1/32".parse().unwrap()];
        let mechanisms = [Mechanism::Plain].into_iter().collect();
        let terms = Terms { any_password: true, clear_auth: true, require_auth: true, mechanisms, ..Terms::default() };
        let session = || {
            let peer = Peer::tcp("127.0.0.1:1".parse().unwrap());
            Session::new(settings.clone().into(), peer, None, Timestamp::from_millis(0)).on_terms(terms.clone())
        };
        assert!(said(session(), b"AUTH PLAIN AAA=\r\n").contains("\r\n235 "));
        for telling in ["ADDR=192.0.2.7", "NAME=a.example", "HELO=x", "LOGIN=[UNAVAILABLE]"] {
            let lines = format!("EHLO a\r\nXCLIENT {telling}\r\nEHLO a\r\nAUTH PLAIN AAA=\r\nMAIL FROM:<a@b>\r\n");
            let replies = said(session(), lines.as_bytes());
            assert!(!replies.contains("\r\n235 ") && replies.contains("\r\n530 "), "{telling}: {replies}");
        }
    }

    #[test]
    fn a_local_user_need_not_log_in_but_whom_it_speaks_for_must() {
        let mut settings = Settings::new("relay.example".parse().unwrap());
        settings.xclient = vec!["127.0.0.1/32".parse().unwrap()];
        let user = Some(LocalUser { uid: 1000, name: None });
        let session = |local_user| {
            let terms = Terms { require_auth: true, local_user, ..Terms::default() };
            Session::new(settings.clone().into(), Peer::Local, None, Timestamp::from_millis(0)).on_terms(terms)
        };
        let mail = b"EHLO a\r\nMAIL FROM:<a@b>\r\n";
        assert!(said(session(user.clone()), mail).contains("\r\n250 2.1.0 "));
        assert!(said(session(None), mail).contains("\r\n530 "));
        let other = b"EHLO a\r\nXCLIENT ADDR=192.0.2.7\r\nEHLO a\r\nMAIL FROM:<a@b>\r\n";
        assert!(said(session(user), other).contains("\r\n530 "));
    }
}
