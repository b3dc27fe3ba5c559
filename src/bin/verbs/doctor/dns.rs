//! What `doctor` asks the DNS for: whether a name server answers, and whether each list works.

use leafmail::config::Config;
use leafmail::dns::{self, RecordKind};
use leafmail::policy::{DnsListSettings, Fallback, probe_list};
use leafmail::transport::Step;

/// Asks for what the checks ask for; nothing, where no client is checked.
pub(super) fn visit(config: &Config, visit: &mut dyn FnMut(&str, Step)) {
    let checks = config.checks().filter(|checks| checks.asks());
    if checks.is_none() && config.authentication().is_none() {
        return;
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            visit("name servers", runtime.block_on(name_servers(config)));
            let asked = checks.iter().filter(|checks| !checks.listed.is_off());
            for list in asked.flat_map(|checks| &checks.lists) {
                visit(&list.name(), runtime.block_on(of_list(config, list)));
            }
        }
        Err(error) => visit("name servers", Step::fault("answer", error.to_string(), "Nothing can be asked now.")),
    }
}

async fn name_servers(config: &Config) -> Step {
    let domain = config.default_domain();
    match dns::client(config.dns.settings()).lookup(domain, RecordKind::Mx).await {
        Ok(_) => Step::ok("answer", format!("they answer a question about {domain}")),
        Err(error) => Step::fault(
            "answer",
            error.to_string(),
            "Correct dns.servers or /etc/resolv.conf. Until they answer, clients that a check may refuse are deferred with 451.",
        ),
    }
}

async fn of_list(config: &Config, list: &DnsListSettings) -> Step {
    let client = dns::client(config.dns.settings());
    match probe_list(client.as_ref(), list).await {
        Ok(()) => Step::ok("test points", "it has 127.0.0.2 and does not have 127.0.0.1, as it should"),
        Err(found) => {
            let then = match list.no_answer {
                Fallback::Defer => "While it does not answer, clients may be deferred with 451.",
                Fallback::Accept => "While it does not answer, clients are accepted without it.",
            };
            let remedy = format!(
                "Ask who runs the list whether this relay may use it, and from which name server; many refuse public \
                 ones. Otherwise remove it. {then}"
            );
            Step::fault("test points", found, remedy)
        }
    }
}
