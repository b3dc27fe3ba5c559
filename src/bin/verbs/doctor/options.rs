//! What `doctor` is asked for, and the addresses that it tries.

use std::net::IpAddr;

use clap::Args;
use leafmail::address::{AddressPattern, Mailbox, ReversePath};
use leafmail::clock::Clock;
use leafmail::config::{Config, RoutePlan};
use leafmail::sys::SystemClock;
use leafmail::transport::Inquiry;

/// Options of the verb.
#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    /// Name of a route, to check only its next hops
    pub(super) route: Option<String>,
    /// Also try this envelope sender; repeatable
    ///
    /// [default: those in the configuration]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) sender: Vec<Mailbox>,
    /// Try this recipient; repeatable
    ///
    /// [default: notices.admin, else each sender]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) recipient: Vec<Mailbox>,
    /// Check only direct delivery to this recipient, and whether this host is fit for it
    ///
    /// The hosts of the domain are asked as by a route with mx:. Then the name of this host's address, the SPF, DKIM and DMARC records of
    /// the sender's domain and the lists of [[dnsbl]] are judged as receivers do.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["route", "recipient"])]
    pub(super) to: Option<Mailbox>,
    /// The address of this host that receivers see; with --to
    ///
    /// [default: source of the route, else the system's choice]
    #[arg(long, value_name = "IP", requires = "to")]
    pub(super) address: Option<IpAddr>,
    /// Print JSON, one object per line
    #[arg(short = 'j', long)]
    pub(crate) json: bool,
}

/// Senders of a route that are tried.
const MOST_SENDERS: usize = 20;

/// The senders under which mail may go on by a route, as far as the configuration names them.
pub(super) fn inquiry(config: &Config, plan: &RoutePlan, options: &DoctorOptions) -> Inquiry {
    let mut senders = options.sender.clone();
    let rewritings = config.rewritings();
    let on_route = |routes: &[String]| routes.is_empty() || routes.contains(&plan.name);
    for rewriting in rewritings.iter().filter(|rewriting| on_route(&rewriting.routes)) {
        senders.extend(rewriting.envelope_sender.iter().chain(&rewriting.from).cloned());
    }
    let allowed = |pattern: &AddressPattern| match pattern {
        AddressPattern::Mailbox(mailbox) => Some(mailbox.clone()),
        AddressPattern::Domain(_) | AddressPattern::Below(_) => None,
    };
    // Under a rewriting for all mail, no sender goes on as it came.
    if !rewritings.iter().any(|rewriting| rewriting.criteria.is_everything() && rewriting.envelope_sender.is_some()) {
        senders.extend(config.senders.allow.iter().filter_map(allowed));
    }
    if senders.is_empty() {
        let user = plan.hops.first().and_then(|settings| settings.next_hop.user());
        let login = user.and_then(|user| ReversePath::parse(user, None).ok());
        senders.extend(login.and_then(|path| path.mailbox().cloned()).or_else(|| config.notices.admin.clone()));
    }
    let mut known: Vec<Mailbox> = Vec::new();
    senders.retain(|sender| {
        let fresh = !known.contains(sender);
        known.push(sender.clone());
        fresh
    });
    senders.truncate(MOST_SENDERS);
    let admin = || config.notices.admin.iter().cloned().collect();
    let recipients = if options.recipient.is_empty() { admin() } else { options.recipient.clone() };
    Inquiry { senders, recipients, largest: config.message.max_size, now: SystemClock.now().as_millis() / 1000 }
}
