//! DMARC on fixed names: records, the tree walk, alignment, and trouble.

use super::record::DmarcRecord;
use super::walk::TreeWalk;
use super::*;
use crate::address::Domain;
use crate::dns::FixedNames;

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

fn records(records: &[(&str, &str)]) -> FixedNames {
    records
        .iter()
        .fold(FixedNames::default(), |names, (domain, text)| names.text(name(&format!("_dmarc.{domain}")), text))
}

async fn asked(dns: &FixedNames, author: &str, spf: &str, dkim: &[&str]) -> DmarcOutcome {
    let (author, spf) = (name(author), (!spf.is_empty()).then(|| name(spf)));
    let dkim: Vec<Domain> = dkim.iter().map(|domain| name(domain)).collect();
    let dkim: Vec<&Domain> = dkim.iter().collect();
    evaluate(dns, &DmarcIdentities { author: &author, spf: spf.as_ref(), dkim: &dkim, is_uncertain: false }).await
}

#[test]
fn a_record_of_dmarc_begins_with_its_version_and_has_a_policy() {
    for (text, policy) in [
        ("v=DMARC1; p=reject", Some(DmarcPolicy::Reject)),
        ("v = DMARC1 ;P=Quarantine;", Some(DmarcPolicy::Quarantine)),
        ("v=DMARC1;p=none;fo=1;unknown=x", Some(DmarcPolicy::None)),
        ("v=DMARC1; rua=mailto:a@b.example", Some(DmarcPolicy::None)),
        ("v=DMARC1; p=maybe; rua=mailto:a@b.example", Some(DmarcPolicy::None)),
        ("v=DMARC1; p=maybe", None),
        ("v=DMARC1; p=reject; sp=none; np=Quarantine", Some(DmarcPolicy::Reject)),
        ("v=DMARC1; p=reject; sp=maybe; rua=mailto:a@b.example", Some(DmarcPolicy::None)),
        ("v=DMARC1; p=reject; np=; rua=mailto:a@b.example", Some(DmarcPolicy::None)),
        ("v=DMARC1; p=reject; sp=maybe", None),
        ("v=DMARC1; p=reject; np=maybe", None),
        ("v=DMARC1", None),
        ("p=reject; v=DMARC1", None),
        ("v=dmarc1; p=reject", None),
        ("v=DMARC10; p=reject", None),
        ("v=spf1 -all", None),
        ("", None),
    ] {
        assert_eq!(DmarcRecord::parse(text.as_bytes()).map(|record| record.policy), policy, "{text}");
    }
    assert_eq!(DmarcRecord::parse(b"v=DMARC1; p=reject; x=\xff"), None);
    assert_eq!(DmarcRecord::parse(format!("v=DMARC1; p=reject; {}", "x=y; ".repeat(20_000)).as_bytes()), None);
}

#[tokio::test]
async fn the_organization_is_found_by_the_walk() {
    let dns = records(&[
        ("example.com", "v=DMARC1; p=reject"),
        ("mail.example.com", "v=DMARC1; p=none"),
        ("own.example.com", "v=DMARC1; p=none; psd=n"),
        ("gov.test", "v=DMARC1; p=reject; psd=y"),
        ("two.test", "v=DMARC1; p=reject"),
        ("two.test", "v=DMARC1; p=none"),
        ("mail.a.b.c.d.e.f.example.com", "v=DMARC1; p=none"),
    ]);
    for (domain, expected) in [
        ("example.com", "example.com"),
        ("a.mail.example.com", "example.com"),
        ("a.own.example.com", "own.example.com"),
        ("a.city.gov.test", "city.gov.test"),
        ("city.gov.test", "city.gov.test"),
        ("gov.test", "gov.test"),
        ("a.two.test", "a.two.test"),
        ("none.test", "none.test"),
    ] {
        let walk = TreeWalk::from(&dns, &name(domain)).await.unwrap();
        assert_eq!(walk.organization(), name(expected), "{domain}");
    }
    // Of more than 8 labels the walk leaves some out.
    let long = name("x.y.mail.a.b.c.d.e.f.example.com");
    let walk = TreeWalk::from(&dns, &long).await.unwrap();
    assert_eq!(walk.records.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["example.com"]);
}

#[tokio::test]
async fn mail_passes_where_spf_or_dkim_is_of_the_same_organization() {
    use DmarcVerdict::{Fail, None, Pass};
    let dns = records(&[
        ("a.example", "v=DMARC1; p=reject"),
        ("s.example", "v=DMARC1; p=quarantine; adkim=s; aspf=s"),
        ("gov.test", "v=DMARC1; p=reject; psd=y"),
    ]);
    for (author, spf, dkim, expected) in [
        ("a.example", "a.example", &[][..], Pass),
        ("a.example", "bounce.a.example", &[], Pass),
        ("a.example", "", &["x.a.example"], Pass),
        ("x.a.example", "y.a.example", &[], Pass),
        ("x.a.example", "a.example", &[], Pass),
        ("A.example", "", &["b.example", "a.EXAMPLE"], Pass),
        ("a.example", "b.example", &["ba.example", "example"], Fail),
        ("a.example", "", &[], Fail),
        ("s.example", "s.example", &[], Pass),
        ("s.example", "x.s.example", &["x.s.example"], Fail),
        ("s.example", "", &["s.example"], Pass),
        // Two who registered below one public suffix.
        ("one.gov.test", "two.gov.test", &["gov.test"], Fail),
        ("one.gov.test", "x.one.gov.test", &[], Pass),
        ("none.example", "none.example", &[], None),
    ] {
        assert_eq!(asked(&dns, author, spf, dkim).await.verdict, expected, "{author} {spf} {dkim:?}");
    }
}

#[tokio::test]
async fn the_policy_is_that_of_the_nearest_record_and_a_test_is_milder() {
    use DmarcPolicy::{None, Quarantine, Reject};
    let dns = records(&[
        ("a.example", "v=DMARC1; p=reject; sp=quarantine; np=none"),
        ("own.a.example", "v=DMARC1; p=none"),
        ("t.example", "v=DMARC1; p=reject; t=y"),
        ("q.example", "v=DMARC1; p=quarantine; t=y"),
        ("p.example", "v=DMARC1; p=quarantine"),
        ("gov.test", "v=DMARC1; p=none; np=reject; psd=y"),
    ])
    .forward(name("there.a.example"), "192.0.2.1".parse().unwrap());
    for (author, expected) in [
        ("a.example", Reject),
        ("there.a.example", Quarantine),
        ("gone.a.example", None),
        ("own.a.example", None),
        ("t.example", Quarantine),
        ("q.example", None),
        ("x.p.example", Quarantine),
        ("gone.gov.test", Reject),
    ] {
        assert_eq!(asked(&dns, author, "", &[]).await.policy, Some(expected), "{author}");
    }
}

#[tokio::test]
async fn trouble_of_the_dns_is_no_fail_of_dmarc() {
    let dns = records(&[("a.example", "v=DMARC1; p=reject")])
        .failing(name("_dmarc.slow.test"))
        .failing(name("_dmarc.slow.a.example"));
    assert_eq!(asked(&dns, "slow.test", "", &[]).await.verdict, DmarcVerdict::TempError);
    assert_eq!(asked(&dns, "a.example", "slow.a.example", &[]).await.verdict, DmarcVerdict::TempError);
    // What is certain is enough.
    assert_eq!(asked(&dns, "a.example", "slow.a.example", &["a.example"]).await.verdict, DmarcVerdict::Pass);
    // Whether an author's name exists counts for the policy only, which mail that is aligned needs not.
    let dns = dns.text(name("_dmarc.np.example"), "v=DMARC1; p=reject; np=none").failing(name("x.np.example"));
    assert_eq!(asked(&dns, "x.np.example", "np.example", &[]).await.verdict, DmarcVerdict::Pass);
    assert_eq!(asked(&dns, "x.np.example", "", &[]).await.verdict, DmarcVerdict::TempError);
    let author = name("a.example");
    let known = DmarcIdentities { author: &author, spf: None, dkim: &[], is_uncertain: true };
    let outcome = evaluate(&dns, &known).await;
    assert_eq!((outcome.verdict, outcome.policy), (DmarcVerdict::TempError, Some(DmarcPolicy::Reject)));
}
