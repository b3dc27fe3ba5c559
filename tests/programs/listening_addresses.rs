//! `[::]` with and without IPv4 beside it, and addresses of a link with their zones.

use std::fs;
use std::io::Read;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream};

use crate::client::Client;
use crate::have::skip;
use crate::site::{PATIENCE, Running, Site, free_port};

fn start(site: &Site, listen: &[&str]) -> Running {
    let mut command = site.smtpd();
    for address in listen {
        command.args(["--listen", address]);
    }
    let smtpd = Running::start(command);
    crate::site::wait_until("all listeners", || smtpd.log().matches("listening on").count() == listen.len());
    smtpd
}

/// The port of the only listener, whatever the log says of its families.
fn port(smtpd: &Running) -> u16 {
    let log = smtpd.log();
    let line = log.lines().find_map(|line| line.split("listening on [").nth(1)).unwrap();
    line.split("]:").nth(1).unwrap().split(',').next().unwrap().trim().parse().unwrap()
}

fn greeting(address: impl Into<SocketAddr>) -> String {
    let mut stream = TcpStream::connect(address.into()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn all_addresses_of_ipv6_serve_ipv4_clients_as_what_they_are() {
    let site = Site::new("");
    let smtpd = start(&site, &["[::]:0"]);
    smtpd.wait_for_log(&format!("listening on [::]:{}, and IPv4 too", port(&smtpd)));
    for address in [SocketAddr::from(([127, 0, 0, 1], port(&smtpd))), (Ipv6Addr::LOCALHOST, port(&smtpd)).into()] {
        Client::connect(address).submit("a@b", &["c@d"], b"Subject: x\r\n\r\n");
    }
    smtpd.wait_for_log("client=unknown[127.0.0.1]");
    smtpd.wait_for_log("client=unknown[::1]");
    assert!(!smtpd.log().contains("ffff"), "{}", smtpd.log());
}

#[test]
fn who_is_in_no_network_is_refused_by_either_family() {
    for (network, v4, v6) in
        [("::1", "554 ", "220 "), ("127.0.0.0/8", "220 ", "554 "), ("::ffff:127.0.0.0/104", "220 ", "554 ")]
    {
        let site = Site::new(&format!("[clients]\nnetworks = [\"{network}\"]\n"));
        let smtpd = start(&site, &["[::]:0"]);
        assert_eq!(greeting(([127, 0, 0, 1], port(&smtpd))), v4, "{network}");
        assert_eq!(greeting((Ipv6Addr::LOCALHOST, port(&smtpd))), v6, "{network}");
    }
}

#[test]
fn with_an_address_of_ipv4_beside_it_each_takes_its_own_family() {
    for v4 in ["0.0.0.0", "127.0.0.1"] {
        let (site, port) = (Site::new(""), free_port());
        let smtpd = start(&site, &[&format!("[::]:{port}"), &format!("{v4}:{port}")]);
        smtpd.wait_for_log(&format!("listening on [::]:{port}, IPv6 alone"));
        smtpd.wait_for_log(&format!("listening on {v4}:{port}\n"));
        assert_eq!(greeting(([127, 0, 0, 1], port)), "220 ");
        assert_eq!(greeting((Ipv6Addr::LOCALHOST, port)), "220 ");
    }
}

#[test]
fn a_proxy_that_comes_by_ipv4_is_known_at_all_addresses_of_ipv6() {
    let site = Site::new("[clients]\nnetworks = [\"10.0.0.0/8\"]\n[listen]\nproxy_from = [\"127.0.0.1\"]\n");
    let smtpd = start(&site, &["proxy:[::]:0"]);
    let address = SocketAddr::from(([127, 0, 0, 1], port(&smtpd)));
    let mut client = Client::connect_with(address, b"PROXY TCP4 10.0.0.7 10.0.0.1 1 25\r\n");
    client.submit("a@b", &["c@d"], b"Subject: x\r\n\r\n");
    smtpd.wait_for_log("client=unknown[10.0.0.7]");
}

/// An address of a link that this host has, with its interface's number and name.
fn of_a_link() -> Option<(Ipv6Addr, u32, String)> {
    let table = fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let address = Ipv6Addr::from_bits(u128::from_str_radix(words.first()?, 16).ok()?);
        let number = u32::from_str_radix(words.get(1)?, 16).ok()?;
        address.is_unicast_link_local().then(|| (address, number, words.last().unwrap().to_string()))
    })
}

#[test]
fn a_zone_names_the_interface_of_a_listener_of_networks_and_in_the_log() {
    let Some((ip, number, name)) = of_a_link() else { return skip("no interface has a link-local address") };
    for (network, reply) in [
        (format!("{ip}%{name}"), "220 "),
        (format!("fe80::%{name}/64"), "220 "),
        (format!("fe80::%{}/64", number + 1), "554 "),
        ("fe80::%lo/64".to_owned(), "554 "),
        ("fe80::/10".to_owned(), "220 "),
    ] {
        let site = Site::new(&format!("[clients]\nnetworks = [\"{network}\"]\n"));
        let smtpd = start(&site, &[&format!("[{ip}%{name}]:0")]);
        let address = SocketAddrV6::new(ip, port(&smtpd), 0, number);
        assert_eq!(greeting(address), reply, "{network}");
        smtpd.wait_for_log(&format!("listening on [{ip}%{name}]:{}", address.port()));
        smtpd.wait_for_log(&format!("[{ip}%{name}]"));
    }
}
