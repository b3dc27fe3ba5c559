//! `doctor --to`: direct delivery to one recipient, and whether this host is fit for it.
//!
//! The hosts of the domain are probed as a route with `mx:` would use them; one that the configuration has, or one that is made
//! up. Then what receivers see of this host is judged. No message is sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use leafmail::address::Mailbox;
use leafmail::admin::{self, SendingPlan};
use leafmail::config::{Config, RoutePlan};
use leafmail::dns;
use leafmail::policy::is_listed;
use leafmail::transport::{IpVersion, NextHop, Place, ProbeVerdict, RouteSettings, Step, probe};

use super::options::{DoctorOptions, inquiry};
use super::ward::Ward;
use crate::cli;

/// Goes through all steps.
pub(super) fn visit(config: &Config, options: &DoctorOptions, to: &Mailbox, ward: &mut Ward<'_>) {
    let Some((plan, number, hop)) = hop(config) else { return };
    let hop = cli::wiring::knowing_ourselves(config, hop);
    let mut inquiry = inquiry(config, &plan, options);
    inquiry.recipients = vec![to.clone()];
    ward.visit(&format!("direct delivery to {}", to.domain()), |tell| {
        probe(&hop, &Place::of(&hop, number), &inquiry, tell);
    });
    let sender = inquiry.senders.first();
    ward.visit("this host, as receivers see it", |tell| {
        let address = match options.address.map_or_else(|| outgoing(&hop), Ok) {
            Ok(address) => address,
            Err(error) => {
                let remedy = "Look at this host's network, or name its address with --address.";
                return tell(Step::fault("address", format!("no connection can leave: {error}"), remedy));
            }
        };
        let signed = sender.is_some_and(|sender| signs(config, sender));
        let plan = SendingPlan { address, helo: &hop.helo, sender, signed, unix_time: inquiry.now };
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(judge(config, &plan, tell)),
            Err(error) => tell(Step::warning("DNS", error.to_string(), "Run doctor again.")),
        }
    });
    let verdict = verdict(ward.worst);
    ward.visit("verdict", |tell| tell(verdict));
}

/// The first next hop that is `mx:`; else such a one, with the settings that `[relay]` has of this host.
fn hop(config: &Config) -> Option<(RoutePlan, usize, RouteSettings)> {
    let first = |config: &Config| {
        let is_mx = |hop: &RouteSettings| matches!(hop.next_hop, NextHop::Mx(_));
        let found = |plan: RoutePlan| {
            let number = plan.hops.iter().position(is_mx)?;
            let hop = plan.hops.get(number)?.clone();
            Some((plan, number, hop))
        };
        config.routes().into_iter().find_map(found)
    };
    first(config).or_else(|| {
        let mut made_up = config.clone();
        made_up.relay_to("mx:".parse().ok()?);
        first(&made_up)
    })
}

/// From which address the system connects to the Internet. Nothing is sent for that.
fn outgoing(hop: &RouteSettings) -> std::io::Result<IpAddr> {
    if let Some(source) = hop.source {
        return Ok(source);
    }
    let from = |any: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(SocketAddr::new(to, 25))?;
        Ok(socket.local_addr()?.ip())
    };
    let four = || from(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let six = || from(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    match hop.ip {
        IpVersion::V6 => six(),
        IpVersion::V4 => four(),
        IpVersion::Any => four().or_else(|_| six()),
    }
}

fn signs(config: &Config, sender: &Mailbox) -> bool {
    let Some(domain) = sender.domain().in_ascii() else { return false };
    config.dkim_keys().iter().any(|key| key.domains.contains(&domain))
}

async fn judge(config: &Config, plan: &SendingPlan<'_>, tell: &mut dyn FnMut(Step)) {
    let client = dns::client(config.dns.settings());
    let known = admin::probe_sending(plan, client.as_ref(), tell).await;
    for list in config.dns_lists().iter().filter(|list| known && list.weight > 0) {
        tell(match is_listed(client.as_ref(), list, plan.address).await {
            Ok(false) => Step::ok("list", format!("{} is not on {}", plan.address, list.zone)),
            Ok(true) => {
                let remedy = "Ask whoever runs the list why, and have the address taken off it. Receivers that ask it refuse your mail.";
                Step::fault("list", format!("{} is on {}", plan.address, list.zone), remedy)
            }
            Err(error) => Step::warning("list", error, "Ask the list by another name server."),
        });
    }
}

fn verdict(worst: ProbeVerdict) -> Step {
    const WHAT: &str = "direct delivery";
    match worst {
        ProbeVerdict::Ok => Step::ok(WHAT, "this host is fit to send mail directly"),
        ProbeVerdict::Warning => Step::warning(
            WHAT,
            "this host can send mail directly, but not all receivers will take it",
            "Go through the warnings above; a smarthost ([relay] url) has none of them.",
        ),
        ProbeVerdict::Fault => Step::fault(
            WHAT,
            "this host is not fit to send mail directly",
            "Correct the faults above, or use a smarthost ([relay] url).",
        ),
    }
}
