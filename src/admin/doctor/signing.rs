//! Whether receivers can verify what a DKIM key signs: the record of the key in the DNS, for each of its domains.

use crate::address::Domain;
use crate::dkim::{DkimRecord, DkimSettings, PrivateKey};
use crate::dns::{Dns, DnsRecord, RecordKind};
use crate::transport::Step;

/// Looks at one key; without a `dns` its record is not looked up.
pub async fn probe_dkim(settings: &DkimSettings, dns: Option<&dyn Dns>, tell: &mut dyn FnMut(Step)) {
    let key = match PrivateKey::read(&settings.key_file) {
        Ok(key) => key,
        Err(reason) => {
            let remedy = "Correct the file, or key_file in [[dkim]]. Until then the mail that it is for waits.";
            return tell(Step::fault("key", reason, remedy));
        }
    };
    tell(Step::ok("key", format!("{} in {}", key.kind(), settings.key_file.display())));
    for domain in &settings.domains {
        if let Some(record) = DkimRecord::new(&key, &settings.selector, domain) {
            tell(published(&record, dns).await);
        }
    }
}

async fn published(record: &DkimRecord, dns: Option<&dyn Dns>) -> Step {
    const WHAT: &str = "record";
    let name = record.name();
    let Some(dns) = dns else {
        let found = format!("{name} was not looked up, as this leafmail was built without the feature dns");
        return Step::warning(WHAT, found, format!("Look it up by hand: dig +short TXT {name}"));
    };
    let Ok(domain) = name.parse::<Domain>() else {
        return Step::fault(WHAT, format!("{name} is too long for a name of the DNS"), "Choose a shorter selector.");
    };
    let answer = match dns.lookup(&domain, RecordKind::Txt).await {
        Ok(answer) => answer,
        Err(error) => {
            let remedy = "See that the name servers of this host answer, and run doctor again.";
            return Step::warning(WHAT, format!("{name} cannot be looked up now: {error}"), remedy);
        }
    };
    let text = |record: &DnsRecord| match record {
        DnsRecord::Text(octets) => Some(String::from_utf8_lossy(octets).into_owned()),
        _ => None,
    };
    let texts: Vec<String> = answer.records().iter().filter_map(text).collect();
    let remedy = || {
        format!(
            "Publish it; spoolrun dkim-key with --key-file shows it: {}",
            record.zone_line().replace(['\n', '\t'], " ")
        )
    };
    match &texts[..] {
        [] => Step::fault(
            WHAT,
            format!("there is no TXT record at {name}, so that nobody can verify the signatures"),
            remedy(),
        ),
        [text] => match record.fits(text) {
            Ok(()) => Step::ok(WHAT, format!("{name} has the key")),
            Err(reason) => Step::fault(WHAT, format!("the TXT record at {name} does not fit: {reason}"), remedy()),
        },
        // RFC 6376 3.6.2.2: the result is undefined.
        several => {
            let found = format!("there are {} TXT records at {name}, of which receivers take any", several.len());
            Step::fault(WHAT, found, "Remove all but that of the key.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedNames;

    async fn steps(settings: &DkimSettings, dns: Option<&dyn Dns>) -> Vec<String> {
        let mut told = Vec::new();
        probe_dkim(settings, dns, &mut |step| {
            told.push(format!("{} {}: {}", step.verdict.word(), step.what, step.found))
        })
        .await;
        told
    }

    #[tokio::test]
    async fn the_record_in_the_dns_must_be_that_of_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let domains =
            ["good", "other", "none", "two", "trouble"].map(|name| format!("{name}.example").parse().unwrap());
        let key_file = folder.path().join("key.pem");
        let settings =
            DkimSettings { domains: domains.to_vec(), selector: "s".parse().unwrap(), key_file, except: Vec::new() };
        let told = steps(&settings, None).await;
        assert!(told.len() == 1 && told[0].starts_with("fault key: reading DKIM key"), "{told:?}");
        std::fs::write(&settings.key_file, PrivateKey::new_ed25519().unwrap()).unwrap();
        let key = PrivateKey::read(&settings.key_file).unwrap();
        let text = DkimRecord::new(&key, &settings.selector, &domains[0]).unwrap().text();
        let at = |name: &str| format!("s._domainkey.{name}.example").parse().unwrap();
        let dns = FixedNames::default()
            .text(at("good"), &text)
            .text(at("other"), "v=DKIM1; k=ed25519; p=AAAA")
            .text(at("two"), &text)
            .text(at("two"), "v=spf1 -all")
            .failing(at("trouble"));
        let told = steps(&settings, Some(&dns)).await;
        for (step, expected) in told.iter().zip([
            "ok key: Ed25519 in ",
            "ok record: s._domainkey.good.example has the key",
            "fault record: the TXT record at s._domainkey.other.example does not fit: it has another key",
            "fault record: there is no TXT record at s._domainkey.none.example",
            "fault record: there are 2 TXT records at s._domainkey.two.example",
            "warning record: s._domainkey.trouble.example cannot be looked up now",
        ]) {
            assert!(step.starts_with(expected), "{step}");
        }
        assert_eq!(told.len(), 6);
        let told = steps(&settings, None).await;
        assert!(told[1].starts_with("warning record: s._domainkey.good.example was not looked up"), "{told:?}");
    }
}
