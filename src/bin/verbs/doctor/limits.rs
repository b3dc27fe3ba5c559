//! What `doctor` says of rate limits: whether clients can be counted, and whether a limit counts anybody.

use ipnet::IpNet;
use leafmail::config::{Config, LimitedBy, RateLimitSection};
use leafmail::driver::Velocity;
use leafmail::transport::Step;

/// Looks at the file of the counts, and at each limit.
pub(super) fn visit(config: &Config, tell: &mut dyn FnMut(&str, Step)) {
    if config.rate_limit.is_empty() {
        return;
    }
    let limits = config.rate_limit.iter().map(RateLimitSection::limit).collect();
    let velocity = Velocity::shared(&config.spool.join("routes"), limits, config.limits.exempt.clone());
    tell(
        "rate limits",
        match velocity.probe() {
            Ok(()) => Step::ok("counts", "clients can be counted"),
            Err(error) => Step::fault(
                "counts",
                format!("clients cannot be counted: {error}"),
                "Remove what is in the place of routes/clients.rates in the spool, or give it to the user of leafmail. Until then no client is limited.",
            ),
        },
    );
    for (index, limit) in config.rate_limit.iter().enumerate() {
        let step = match uncounted(config, limit) {
            None => Step::ok("limit", format!("rate_limit[{index}] limits by {}", whom(limit.by))),
            Some((why, remedy)) => Step::warning("limit", format!("rate_limit[{index}] counts nobody: {why}"), remedy),
        };
        tell("rate limits", step);
    }
}

fn whom(by: LimitedBy) -> &'static str {
    match by {
        LimitedBy::Address => "address",
        LimitedBy::Network => "network",
        LimitedBy::Login => "login",
        LimitedBy::Sender => "sender",
    }
}

/// Why a limit never counts a client, and what to do.
fn uncounted(config: &Config, limit: &RateLimitSection) -> Option<(&'static str, &'static str)> {
    let may_log_in = config.knows_users() || !config.auth.any_password_from.is_empty();
    if limit.by == LimitedBy::Login && !may_log_in {
        return Some(("nobody can log in", "Set auth.users, or limit by address."));
    }
    let free: Vec<&IpNet> = config.limits.exempt.iter().chain(&limit.except).collect();
    let clients = &config.clients;
    let mut networks = clients.networks.iter().chain(&clients.own_public_networks).chain(&clients.auth_networks);
    let is_free = |network: &IpNet| free.iter().any(|free| free.contains(network));
    let why = "all networks that may connect are in limits.exempt or in its except";
    networks.all(is_free).then_some((why, "Take the networks that are to be limited out of these lists."))
}
