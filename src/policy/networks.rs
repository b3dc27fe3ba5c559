//! The networks that clients may connect from. This rule does not apply to a pipe or a Unix socket; permissions guard
//! them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::refusals;
use crate::envelope::Peer;
use crate::session::Verdict;
use crate::smtp::catalogue;

/// May this client connect? Those of `with_login` may, to log in.
pub(super) fn judge(allowed: &[IpNet], with_login: &[IpNet], peer: Peer) -> Verdict {
    match outside(allowed, peer) {
        Some(address) if outside(with_login, peer).is_some() => Verdict::Disconnect(refusals::client_network(address)),
        _ => Verdict::Accept,
    }
}

/// May this client send? From outside, only after it has logged in (RFC 4954 6: 530).
pub(super) fn judge_sending(allowed: &[IpNet], peer: Peer, login: Option<&str>) -> Verdict {
    match outside(allowed, peer) {
        Some(_) if login.is_none() => Verdict::Refuse(catalogue::login_required()),
        _ => Verdict::Accept,
    }
}

/// The client's address, if none of the networks has it.
fn outside(networks: &[IpNet], peer: Peer) -> Option<IpAddr> {
    // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d: they are judged as what they are.
    let address = peer.ip()?.to_canonical();
    (!peer.is_in(networks)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(networks: &[&str], peer: &str) -> bool {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        judge(&networks, &[], Peer::Tcp(peer.parse().unwrap())) == Verdict::Accept
    }

    #[test]
    fn a_client_must_be_inside_one_of_the_networks() {
        let lan = ["192.168.1.0/24", "fd00:1::/32"];
        for inside in ["192.168.1.0:1", "192.168.1.255:1", "[fd00:1:2::3]:1", "[::ffff:192.168.1.7]:1"] {
            assert!(accepted(&lan, inside), "{inside}");
        }
        for outside in ["192.168.2.0:1", "192.168.0.255:1", "[fd00:2::1]:1", "[::ffff:192.168.2.7]:1", "[::1]:1"] {
            assert!(!accepted(&lan, outside), "{outside}");
        }
    }

    #[test]
    fn a_network_of_one_family_says_nothing_of_the_other() {
        assert!(!accepted(&["::/0"], "192.0.2.1:1"));
        assert!(!accepted(&["::/0"], "[::ffff:192.0.2.1]:1"));
        assert!(!accepted(&["0.0.0.0/0"], "[2001:db8::1]:1"));
    }

    #[test]
    fn without_networks_only_local_clients_may_speak() {
        assert!(!accepted(&[], "127.0.0.1:1"));
        assert_eq!(judge(&[], &[], Peer::Local), Verdict::Accept);
    }

    #[test]
    fn a_refused_client_is_disconnected() {
        let verdict = judge(&[], &[], Peer::tcp("203.0.113.9:4".parse().unwrap()));
        let Verdict::Disconnect(reply) = verdict else { panic!("{verdict:?}") };
        assert!(reply.to_string().starts_with("554 5.7.1 ") && reply.text().contains("203.0.113.9"));
    }

    #[test]
    fn a_client_from_outside_may_connect_to_log_in_and_then_send() {
        let (lan, world) = (["192.168.0.0/16".parse().unwrap()], ["0.0.0.0/0".parse().unwrap()]);
        let (inside, outside) = ("192.168.1.1:1".parse().unwrap(), "203.0.113.9:4".parse().unwrap());
        assert_eq!(judge(&lan, &world, Peer::tcp(outside)), Verdict::Accept);
        let verdict = judge_sending(&lan, Peer::tcp(outside), None);
        assert!(matches!(verdict, Verdict::Refuse(reply) if reply.to_string().starts_with("530 5.7.0 ")));
        assert_eq!(judge_sending(&lan, Peer::tcp(outside), Some("joe")), Verdict::Accept);
        assert_eq!(judge_sending(&lan, Peer::tcp(inside), None), Verdict::Accept);
        assert_eq!(judge_sending(&[], Peer::Local, None), Verdict::Accept);
    }
}
