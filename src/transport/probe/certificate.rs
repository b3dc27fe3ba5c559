//! What is in a certificate, for people: names, issuer, expiry. Nothing is decided here but what to warn of; whether a
//! certificate is good enough decides `wire/`.

use std::path::Path;

use chrono::DateTime;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::transport::settings::Pin;
use crate::transport::step::Step;

/// Names that are shown of one certificate.
const MOST_NAMES: usize = 8;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The names that it is for, at most [`MOST_NAMES`].
    pub(super) names: Vec<String>,
    pub(super) issuer: String,
    /// Seconds since the epoch.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// As `tls_pin` has it.
    pub(super) pin: String,
}

impl Certificate {
    /// Reads one; `None` where it is none.
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let alternatives = certificate.get::<SubjectAltName>().ok().flatten();
        let listed = alternatives.map(|(_, found)| found.0.iter().filter_map(name).collect::<Vec<_>>());
        let mut names = listed.unwrap_or_default();
        if names.is_empty() {
            names.push(certificate.subject.to_string());
        }
        names.truncate(MOST_NAMES);
        Some(Self {
            names,
            issuer: certificate.issuer.to_string(),
            not_before: seconds(certificate.validity.not_before),
            not_after: seconds(certificate.validity.not_after),
            pin: Pin::of(&certificate.subject_public_key_info.to_der().ok()?).to_string(),
        })
    }

    /// Whole days until it expires, seen from `now` in seconds since the epoch; negative once it has.
    pub(super) fn days_left(&self, now: u64) -> i64 {
        self.not_after.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX)).div_euclid(24 * 60 * 60)
    }

    /// In one line.
    pub(super) fn describe(&self, now: u64) -> String {
        let days = self.days_left(now);
        let plural = if days.abs() == 1 { "" } else { "s" };
        let expiry = match days {
            0.. => format!("valid until {}, {days} day{plural} left", date(self.not_after)),
            _ => format!("expired on {}, {} day{plural} ago", date(self.not_after), -days),
        };
        format!("for {}, by {}, {expiry}, key {}", self.names.join(" "), self.issuer, self.pin)
    }
}

/// Looks at the certificate that clients are shown.
pub(super) fn of_file(path: &Path, now: u64) -> Step {
    const WHAT: &str = "certificate";
    let shown = path.display();
    let read = CertificateDer::pem_file_iter(path).ok().and_then(|mut found| found.next()?.ok());
    let Some(certificate) = read.and_then(|der| Certificate::read(&der)) else {
        let remedy = "Name a PEM file with a certificate in [tls] certificate.";
        return Step::fault(WHAT, format!("{shown} cannot be read as a certificate"), remedy);
    };
    let found = format!("{shown}: {}", certificate.describe(now));
    match certificate.days_left(now) {
        ..0 => Step::fault(
            WHAT,
            found,
            "Renew it: clients that look at it do not send any more. [tls] certificate names it.",
        ),
        0..FEW_DAYS => Step::warning(WHAT, found, "Renew it; smtpd takes the new one without a restart."),
        _ => Step::ok(WHAT, found),
    }
}

/// A certificate with fewer days left is worth a word.
pub(super) const FEW_DAYS: i64 = 14;

/// Such as `2026-11-21`.
pub(super) fn date(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).map(|time| time.format("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// Since the epoch.
fn seconds(time: Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let v4 = <[u8; 4]>::try_from(octets).map(|octets| std::net::Ipv4Addr::from(octets).to_string());
            let v6 = <[u8; 16]>::try_from(octets).map(|octets| std::net::Ipv6Addr::from(octets).to_string());
            v4.or(v6).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(until: i32) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["mx.example".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
        parameters.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_is_told_in_one_line() {
        // 2026-11-21.
        let now = 1_795_226_607;
        let text = Certificate::read(&made(2027)).unwrap().describe(now);
        assert!(text.contains("for mx.example 127.0.0.1 ::1, by CN=rcgen self signed cert"), "{text}");
        assert!(text.contains("valid until 2027-01-01, 40 days left, key sha256:"), "{text}");
        let text = Certificate::read(&made(2002)).unwrap().describe(now);
        assert!(text.contains("expired on 2002-01-01, 9091 days ago"), "{text}");
        let mut certificate = Certificate::read(&made(2027)).unwrap();
        certificate.not_after = 1_795_226_607 + 24 * 60 * 60;
        assert!(certificate.describe(now).contains(", 1 day left, "));
    }

    #[test]
    fn the_key_is_told_as_tls_pin_has_it_and_the_subject_where_no_name_is_listed() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "mx.example");
        parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Example, Inc.");
        let certificate = Certificate::read(parameters.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(certificate.pin, Pin::of(&rcgen::PublicKeyData::subject_public_key_info(&key)).to_string());
        assert!(certificate.names[0].contains("CN=mx.example"), "{certificate:?}");
        assert!(certificate.issuer.contains("O=Example\\, Inc."), "{certificate:?}");
        // As rcgen has it: until the year 4096.
        assert_eq!(date(certificate.not_after), "4096-01-01");
    }

    #[test]
    fn a_file_that_expires_is_told_in_time() {
        use crate::transport::step::ProbeVerdict;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        let pem = |until| {
            use base64::engine::{Engine, general_purpose::STANDARD};
            let text = STANDARD.encode(made(until));
            std::fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")).unwrap();
        };
        pem(2027);
        // 2026-12-31, 2026-11-21, 2027-02-01.
        for (now, verdict) in [
            (1_798_700_000, ProbeVerdict::Warning),
            (1_795_226_607, ProbeVerdict::Ok),
            (1_801_400_000, ProbeVerdict::Fault),
        ] {
            assert_eq!(of_file(&path, now).verdict, verdict, "{now}");
        }
        std::fs::write(&path, "no certificate").unwrap();
        assert_eq!(of_file(&path, 0).verdict, ProbeVerdict::Fault);
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let whole = made(2027);
        for cut in 0..whole.len() {
            assert_eq!(Certificate::read(&CertificateDer::from(whole[..cut].to_vec())), None, "cut at {cut}");
        }
    }
}
