//! Rules between the keys, checked after the command line was applied: above all, that this is no open relay, which is
//! the rule of [`trust`]. The rules depend on the configuration alone, so they hold in every mode.

pub(super) mod databases;
mod devices;
mod listeners;
mod recipients;
mod strangers;

use super::error::Fault;
use super::sections::{
    authentication, checks, dkim, dns, event_hook, hook, list, milter, policy_service, rate_limit, spam,
};
use super::{Config, ConfigError, alarm, log, process, rewrite, route, serve, trust};

/// A rule: the sections that it looks at, and what it finds.
type Rule = (&'static [&'static str], fn(&Config) -> Vec<Fault>);

/// All rules. None presupposes that another one holds.
const RULES: &[Rule] = &[
    (&["clients", "recipients"], trust::open_relay),
    (&["listen", "clients", "auth", "limits"], trust::strangers),
    (&["relay", "route"], route::faults),
    (&["rewrite", "relay", "route"], |config| rewrite::faults(&config.rewrite, &config.written_routes())),
    (&["limits"], |config| listed(config.idle())),
    (&["limits"], |config| listed(config.slowness())),
    (&["tls", "protocol", "listen"], |config| listed(config.certificates())),
    (&["auth", "protocol", "tls", "clients"], |config| listed(config.logins())),
    (&["listen", "auth", "protocol"], |config| listed(config.fronts())),
    (&["listen"], Config::addresses_elsewhere),
    (&["listen", "checks", "authentication", "policy_service", "milter", "hook", "rate_limit"], Config::listeners),
    (&["listen", "clients", "auth", "tls"], Config::dead_ends),
    (&["checks", "dnsbl"], |config| checks::faults(&config.checks, &config.dnsbl)),
    (&["authentication"], |config| authentication::faults(&config.authentication)),
    (&["dns"], |config| dns::faults(&config.dns)),
    (&["policy_service"], |config| policy_service::faults(&config.policy_service)),
    (&["milter"], |config| milter::faults(&config.milter)),
    (&["recipients", "verify", "relay", "route"], |config| listed(config.recipient_source())),
    (&["rate_limit"], |config| rate_limit::faults(&config.rate_limit)),
    (&["dkim"], |config| dkim::faults(&config.dkim)),
    (&["list", "notices"], |config| list::faults(&config.list, config.notices.admin.as_ref())),
    (&["notices"], |config| listed(config.copies())),
    (&["log", "relay", "route"], |config| log::faults(&config.log, &config.usable_routes())),
    (&["alarm"], |config| alarm::faults(&config.alarm)),
    (&["hook"], |config| hook::faults(&config.hook)),
    (&["spam"], |config| spam::faults(&config.spam)),
    (&["event_hook", "relay", "route"], |config| event_hook::faults(&config.event_hook, &config.usable_routes())),
    (&["process"], |config| process::faults(&config.process)),
    (&["serve"], |config| serve::faults(&config.serve)),
];

fn listed(fault: Option<Fault>) -> Vec<Fault> {
    fault.into_iter().collect()
}

impl Config {
    /// Checks what must hold between the keys. The binaries call it after the command line's own settings were put in.
    ///
    /// # Errors
    /// When this would be an open relay, or keys contradict each other; all of it at once.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless_none(&self.origin, self.contradictions(&[]))
    }

    /// What the rules find that look at none of these sections, which could not be read as they were meant.
    pub(super) fn contradictions(&self, unread: &[String]) -> Vec<Fault> {
        let applies = |(sections, _): &&Rule| !sections.iter().any(|section| unread.iter().any(|name| name == section));
        RULES.iter().filter(applies).flat_map(|(_, rule)| rule(self)).collect()
    }

    /// The names of the routes as they are written.
    fn written_routes(&self) -> Vec<String> {
        self.entries().into_iter().map(|entry| entry.name).collect()
    }

    /// The names of the routes that have a next hop.
    pub(super) fn usable_routes(&self) -> Vec<String> {
        self.routes().into_iter().map(|plan| plan.name).collect()
    }

    /// Copies must have somebody to go to.
    fn copies(&self) -> Option<Fault> {
        let missing = self.notices.copy_failures && self.notices.admin.is_none();
        missing.then(|| {
            Fault::new("notices.copy_failures", "notices.copy_failures is set, but notices.admin names nobody")
        })
    }

    /// Of two limits, the one that must be reached first.
    fn idle(&self) -> Option<Fault> {
        let reason = "limits.idle is longer than limits.session, which would always end first";
        (self.limits.idle > self.limits.session).then(|| Fault::new("limits.idle", reason))
    }

    fn slowness(&self) -> Option<Fault> {
        let reason =
            "limits.slow_after_errors is above limits.close_after_errors, so that no reply would ever be delayed";
        let is_late = self.limits.slow_after_errors > self.limits.close_after_errors;
        is_late.then(|| Fault::new("limits.slow_after_errors", reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        Config::parse(text, "leafmail.toml".as_ref()).unwrap().check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_command_line_opens_is_refused_too() {
        let mut config = Config::default();
        config.clients.networks = vec!["0.0.0.0/0".parse().unwrap()];
        assert!(config.check().unwrap_err().to_string().starts_with("configuration: this would be an open relay"));
    }

    #[test]
    fn contradictions_name_the_line_and_the_remedy() {
        for (text, expected) in [
            ("[limits]\nidle = \"1h\"\nsession = \"30m\"", "leafmail.toml:2: limits.idle is longer"),
            ("[notices]\ncopy_failures = true", "leafmail.toml:2: notices.copy_failures is set, but notices.admin"),
            ("[limits]\nclose_after_errors = 5", "leafmail.toml: limits.slow_after_errors is above"),
        ] {
            let reason = checked(text).unwrap_err();
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
