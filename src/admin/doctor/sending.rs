//! What receivers see of this host where it delivers directly: its address, the name of that, and what the DNS says of the sender's
//! domain.
//!
//! Asks the DNS alone; it connects to nobody. That a name server does not answer is a warning, and never a fault of the domain.

use std::net::IpAddr;

use crate::address::{Domain, Mailbox};
use crate::dns::{Dns, DnsRecord, Exchangers, RecordKind, exchangers, host_addresses, names_of};
use crate::spf::{SpfClient, SpfResult, check_host};
use crate::transport::Step;

/// Who sends, and from where.
#[derive(Debug, Clone, Copy)]
pub struct SendingPlan<'a> {
    /// The address that receivers see.
    pub address: IpAddr,
    /// Our name in EHLO.
    pub helo: &'a Domain,
    /// A sender; `None`: none is known.
    pub sender: Option<&'a Mailbox>,
    /// Whether a key signs mail of that sender.
    pub signed: bool,
    /// Seconds since 1970.
    pub unix_time: u64,
}

const AGAIN: &str = "See that the name servers of this host answer, and run doctor again.";
const ADDRESS: &str = "address";
const REVERSE: &str = "reverse name";
const EHLO: &str = "EHLO name";

/// Looks at it step by step; whether it is known which address receivers see. Nothing follows where it is not.
pub async fn probe_sending(plan: &SendingPlan<'_>, dns: &dyn Dns, tell: &mut dyn FnMut(Step)) -> bool {
    if is_inside(plan.address) {
        let found = format!("connections leave from {}, which is no address of the Internet", plan.address);
        let remedy = "Receivers see another one, perhaps that of a router. Name it with --address to have it judged.";
        tell(Step::warning(ADDRESS, found, remedy));
        return false;
    }
    tell(Step::ok(ADDRESS, format!("receivers see {}", plan.address)));
    tell(reverse_name(plan, dns).await);
    tell(ehlo_name(plan, dns).await);
    probe_sender(plan, dns, tell).await;
    true
}

async fn probe_sender(plan: &SendingPlan<'_>, dns: &dyn Dns, tell: &mut dyn FnMut(Step)) {
    let Some(sender) = plan.sender else {
        let remedy = "Name one with --sender, or set [notices] admin.";
        return tell(Step::warning("sender", "not judged, as no sender is known", remedy));
    };
    let Some(domain) = sender.domain().in_ascii().filter(|domain| !domain.is_literal()) else {
        return tell(Step::fault(
            "sender",
            format!("{sender} has no domain of the DNS"),
            "Name another with --sender.",
        ));
    };
    tell(answers_reach(&domain, dns).await);
    tell(spf(plan, sender, &domain, dns).await);
    tell(match plan.signed {
        true => Step::ok("DKIM", format!("a key signs mail of {domain}; doctor looks at its record without --to")),
        false => Step::warning(
            "DKIM",
            format!("no key signs mail of {domain}"),
            "Make one with spoolrun dkim-key. Large receivers expect a signature.",
        ),
    });
    tell(dmarc(&domain, dns).await);
}

/// Whether no receiver on the Internet sees this address.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            // RFC 6598: shared by customers of a provider.
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            shared
                || address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            let local = address.is_unique_local() || address.is_unicast_link_local();
            local || address.is_loopback() || address.is_unspecified()
        }
    }
}

async fn reverse_name(plan: &SendingPlan<'_>, dns: &dyn Dns) -> Step {
    let address = plan.address;
    let remedy = || {
        format!("Ask whoever gave you the address to name it {}. Most receivers refuse mail without that.", plan.helo)
    };
    let names = match names_of(dns, address).await {
        Ok(names) => names,
        Err(error) => return Step::warning(REVERSE, error.to_string(), AGAIN),
    };
    let Some(first) = names.first() else {
        return Step::fault(REVERSE, format!("{address} has no name"), remedy());
    };
    for name in names.iter().take(5) {
        match host_addresses(dns, name).await {
            Ok(found) if found.contains(&address.to_canonical()) => {
                let found = format!("{address} is {name}, which leads back");
                let rented = "It looks like the address of a home or an office, from which many receivers take no mail. Use a smarthost, or \
                              ask whoever gave you the address for a name of your own.";
                let is_rented = has_digits_of(name, address);
                return if is_rented { Step::warning(REVERSE, found, rented) } else { Step::ok(REVERSE, found) };
            }
            Ok(_) => {}
            Err(error) => return Step::warning(REVERSE, error.to_string(), AGAIN),
        }
    }
    Step::fault(REVERSE, format!("{address} is {first}, which does not lead back to it"), remedy())
}

/// Whether a provider made the name of the address itself.
fn has_digits_of(name: &Domain, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address.to_canonical() else { return false };
    let [a, b, c, d] = address.octets();
    let forms = ["-", "."].map(|between| {
        [format!("{a}{between}{b}{between}{c}{between}{d}"), format!("{d}{between}{c}{between}{b}{between}{a}")]
    });
    forms.iter().flatten().any(|form| name.as_str().contains(form.as_str()))
}

async fn ehlo_name(plan: &SendingPlan<'_>, dns: &dyn Dns) -> Step {
    let SendingPlan { address, helo, .. } = plan;
    let remedy = format!("Set hostname, or helo of the route, to a name with an A or AAAA record for {address}.");
    if helo.is_literal() || !helo.is_full_name() {
        return Step::warning(EHLO, format!("{helo} is no full name of a host"), remedy);
    }
    match host_addresses(dns, helo).await {
        Err(error) => Step::warning(EHLO, error.to_string(), AGAIN),
        Ok(found) if found.contains(&address.to_canonical()) => Step::ok(EHLO, format!("{helo} leads to {address}")),
        Ok(found) if found.is_empty() => Step::fault(EHLO, format!("{helo} has no address"), remedy),
        Ok(_) => Step::warning(EHLO, format!("{helo} leads to another address"), remedy),
    }
}

/// Whether replies and notices come to the sender's domain.
async fn answers_reach(domain: &Domain, dns: &dyn Dns) -> Step {
    const WHAT: &str = "replies";
    let remedy = "Receivers refuse senders who cannot be answered. Use a sender whose domain takes mail.";
    match exchangers(dns, domain).await {
        Err(error) => Step::warning(WHAT, error.to_string(), AGAIN),
        Ok(Exchangers::NoSuchName) => Step::fault(WHAT, format!("there is no domain {domain} in the DNS"), remedy),
        Ok(Exchangers::Null) => Step::fault(WHAT, format!("{domain} takes no mail (null MX)"), remedy),
        Ok(Exchangers::Hosts(_)) => Step::ok(WHAT, format!("{domain} has mail exchangers")),
        Ok(Exchangers::Implicit) => {
            Step::warning(WHAT, format!("{domain} has no MX record"), "Publish one, or use another sender.")
        }
    }
}

async fn spf(plan: &SendingPlan<'_>, sender: &Mailbox, domain: &Domain, dns: &dyn Dns) -> Step {
    const WHAT: &str = "SPF";
    let text = sender.to_string();
    let local = text.rsplit_once('@').map_or("postmaster", |(local, _)| local);
    let (address, helo) = (plan.address, plan.helo.as_str());
    let client = SpfClient { address, helo, local, domain, receiver: plan.helo, unix_time: plan.unix_time };
    let outcome = check_host(dns, &client, domain.as_str()).await;
    let by = outcome.mechanism.or(outcome.problem).map_or(String::new(), |by| format!(" ({by})"));
    let family = if address.to_canonical().is_ipv4() { "ip4" } else { "ip6" };
    let allow = format!("Add {family}:{} to the SPF record of {domain}.", address.to_canonical());
    let publish = format!("Publish a TXT record at {domain}: v=spf1 mx {family}:{} ~all", address.to_canonical());
    match outcome.result {
        SpfResult::Pass => Step::ok(WHAT, format!("{domain} permits {address}{by}")),
        SpfResult::None => Step::warning(WHAT, format!("{domain} has no SPF record"), publish),
        SpfResult::Neutral | SpfResult::SoftFail => {
            Step::warning(WHAT, format!("{domain} does not permit {address}: {}{by}", outcome.result), allow)
        }
        SpfResult::Fail => Step::fault(WHAT, format!("{domain} forbids {address}{by}"), allow),
        SpfResult::PermError => {
            Step::fault(WHAT, format!("the SPF record of {domain} is broken{by}"), "Correct the record.")
        }
        SpfResult::TempError => Step::warning(WHAT, format!("it cannot be known now{by}"), AGAIN),
    }
}

async fn dmarc(domain: &Domain, dns: &dyn Dns) -> Step {
    const WHAT: &str = "DMARC";
    let Ok(name) = format!("_dmarc.{domain}").parse() else {
        return Step::warning(WHAT, format!("{domain} is too long a name"), "Use another sender.");
    };
    let is_record = |record: &DnsRecord| matches!(record, DnsRecord::Text(text) if text.starts_with(b"v=DMARC1"));
    match dns.lookup(&name, RecordKind::Txt).await {
        Err(error) => Step::warning(WHAT, error.to_string(), AGAIN),
        Ok(answer) if answer.records().iter().any(is_record) => Step::ok(WHAT, format!("{domain} has a record")),
        Ok(_) => {
            let remedy = format!("Large receivers expect one. Publish a TXT record at {name}: v=DMARC1; p=none");
            Step::warning(WHAT, format!("there is no record at {name}"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedNames;
    use crate::transport::ProbeVerdict;

    fn name(text: &str) -> Domain {
        text.parse().unwrap()
    }

    fn address() -> IpAddr {
        [192, 0, 2, 7].into()
    }

    /// A host with all that receivers expect.
    fn good() -> FixedNames {
        FixedNames::default()
            .forward(name("mail.d.example"), address())
            .takes_mail(name("d.example"), Exchangers::Hosts(Vec::new()))
            .text(name("_dmarc.d.example"), "v=DMARC1; p=none")
    }

    fn reversed(table: FixedNames, named: &str) -> FixedNames {
        table.reverse(address(), name(named))
    }

    fn steps(dns: &FixedNames, plan: &SendingPlan<'_>) -> Vec<(&'static str, ProbeVerdict, String)> {
        let mut steps = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(probe_sending(plan, dns, &mut |step| steps.push((step.what, step.verdict, step.found))));
        steps
    }

    fn verdict(dns: &FixedNames, what: &str) -> (ProbeVerdict, String) {
        let sender = Mailbox::parse("joe@d.example", None).unwrap();
        let helo = name("mail.d.example");
        let plan = SendingPlan { address: address(), helo: &helo, sender: Some(&sender), signed: true, unix_time: 1 };
        let found = steps(dns, &plan).into_iter().find(|(step, _, _)| *step == what);
        found.map(|(_, verdict, found)| (verdict, found)).unwrap()
    }

    const OK: ProbeVerdict = ProbeVerdict::Ok;
    const WARNING: ProbeVerdict = ProbeVerdict::Warning;
    const FAULT: ProbeVerdict = ProbeVerdict::Fault;

    #[test]
    fn the_name_of_the_address_must_lead_back() {
        let of = |dns: &FixedNames| verdict(dns, REVERSE).0;
        assert_eq!(of(&reversed(good(), "mail.d.example")), OK);
        assert_eq!(of(&reversed(good(), "other.example")), FAULT);
        assert_eq!(of(&good()), FAULT, "it has none");
        let rented = "192-0-2-7.provider.example";
        assert_eq!(of(&reversed(good().forward(name(rented), address()), rented)), WARNING);
        assert_eq!(of(&FixedNames::broken()), WARNING);
    }

    #[test]
    fn the_name_in_ehlo_must_lead_to_the_address() {
        assert_eq!(verdict(&good(), EHLO).0, OK);
        assert_eq!(verdict(&FixedNames::default(), EHLO).0, FAULT);
        let elsewhere = FixedNames::default().forward(name("mail.d.example"), [192, 0, 2, 8].into());
        assert_eq!(verdict(&elsewhere, EHLO).0, WARNING);
        assert_eq!(verdict(&FixedNames::broken(), EHLO).0, WARNING);
    }

    #[test]
    fn the_records_of_the_senders_domain_are_judged() {
        for (record, expected) in [
            ("v=spf1 ip4:192.0.2.7 -all", OK),
            ("v=spf1 ~all", WARNING),
            ("v=spf1 -all", FAULT),
            ("v=spf1 ip4:x -all", FAULT),
            ("x", WARNING),
        ] {
            assert_eq!(verdict(&good().text(name("d.example"), record), "SPF").0, expected, "{record}");
        }
        assert_eq!((verdict(&good(), "DMARC").0, verdict(&FixedNames::default(), "DMARC").0), (OK, WARNING));
        assert_eq!((verdict(&good(), "replies").0, verdict(&FixedNames::default(), "replies").0), (OK, FAULT));
        let null = good().takes_mail(name("d.example"), Exchangers::Null);
        assert_eq!(verdict(&null, "replies").0, FAULT);
        assert_eq!(verdict(&FixedNames::broken(), "SPF").0, WARNING);
    }

    #[test]
    fn an_address_inside_is_not_judged() {
        let helo = name("mail.d.example");
        for inside in ["192.168.1.2", "10.0.0.1", "100.64.0.1", "127.0.0.1", "fd00::1", "fe80::1", "::1"] {
            let address = inside.parse().unwrap();
            let plan = SendingPlan { address, helo: &helo, sender: None, signed: false, unix_time: 1 };
            let found = steps(&good(), &plan);
            assert_eq!((found.len(), found[0].0, found[0].1), (1, ADDRESS, WARNING), "{inside}");
        }
    }
}
