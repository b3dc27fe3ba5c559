//! Which networks clients may come from. A pipe or a Unix socket is guarded by its own permissions, not by this rule.

use ipnet::IpNet;

use super::refusals;
use crate::envelope::Peer;
use crate::session::Verdict;

pub(super) fn judge(allowed: &[IpNet], peer: Peer) -> Verdict {
    let Some(address) = peer.ip() else { return Verdict::Accept };
    // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d: they are judged as what they are.
    let address = address.to_canonical();
    if allowed.iter().any(|network| network.contains(&address)) {
        Verdict::Accept
    } else {
        Verdict::Disconnect(refusals::client_network(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(networks: &[&str], peer: &str) -> bool {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        judge(&networks, Peer::Tcp(peer.parse().unwrap())) == Verdict::Accept
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
        assert_eq!(judge(&[], Peer::Local), Verdict::Accept);
    }

    #[test]
    fn a_refused_client_is_disconnected() {
        let verdict = judge(&[], Peer::tcp("203.0.113.9:4".parse().unwrap()));
        let Verdict::Disconnect(reply) = verdict else { panic!("{verdict:?}") };
        assert!(reply.to_string().starts_with("554 5.7.1 ") && reply.text().contains("203.0.113.9"));
    }
}
