//! SPF as a policy: who is checked, what is refused, and the field that a message gets.

use super::*;
use crate::clock::Timestamp;
use crate::dns::FixedNames;
use crate::envelope::Peer;
use crate::policy::{ByNetwork, Inspection as _};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }
}

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

fn names() -> FixedNames {
    FixedNames::default()
        .text(name("good.example"), "v=spf1 ip4:192.0.2.1 -all")
        .text(name("other.example"), "v=spf1 exp=why.example -all")
        .text(name("why.example"), "%{i} is \"none\" of ours")
        .text(name("soft.example"), "v=spf1 ~all")
        .text(name("wrong.example"), "v=spf1 wrong\"\u{1b}(")
        .text(name("s._domainkey.test.example"), "v=DKIM1; k=ed25519; t=y; p=AAAA")
        .text(name("_dmarc.bank.example"), "v=DMARC1; p=reject")
        .failing(name("slow.example"))
}

fn policy(spf: Strictness, spf_helo: Strictness, own_clients: bool) -> Authentication {
    let settings = AuthenticationSettings {
        spf: ByNetwork::all(spf),
        spf_helo: ByNetwork::all(spf_helo),
        dkim: ByNetwork::default(),
        dmarc: ByNetwork::default(),
        authserv_id: name("relay.example"),
        hostname: name("relay.example"),
        own_networks: vec!["10.0.0.0/8".parse().unwrap()],
        own_clients,
    };
    Authentication::new(settings, Arc::new(names()), Arc::new(Noon))
}

async fn asked(policy: &Authentication, address: &str, helo: &str, sender: &str) -> Verdict {
    let client = ClientInfo::new(Peer::tcp((address.parse::<IpAddr>().unwrap(), 25).into())).with_helo(Some(helo));
    policy.mail(&client, &ReversePath::parse(sender, None).unwrap(), None).await
}

fn code(verdict: &Verdict) -> u16 {
    match verdict {
        Verdict::Refuse(reply) | Verdict::Defer(reply) => reply.code(),
        Verdict::Accept => 0,
        Verdict::AcceptWith(_) => 250,
        Verdict::Disconnect(_) => panic!("{verdict:?}"),
    }
}

#[tokio::test]
async fn a_fail_is_refused_trouble_is_deferred_and_all_else_is_noted() {
    use Strictness::{Note, Off, Refuse};
    for (spf, spf_helo, helo, sender, expected) in [
        (Refuse, Off, "x", "a@good.example", 250),
        (Refuse, Off, "x", "a@other.example", 550),
        (Refuse, Off, "x", "a@soft.example", 250),
        (Refuse, Off, "x", "a@wrong.example", 250),
        (Refuse, Off, "x", "a@none.example", 250),
        (Refuse, Off, "x", "a@slow.example", 451),
        (Refuse, Off, "x", "a@[192.0.2.1]", 250),
        (Note, Off, "x", "a@other.example", 250),
        (Note, Off, "x", "a@slow.example", 250),
        // Without a sender the name in HELO is asked about.
        (Refuse, Off, "other.example", "", 550),
        (Off, Refuse, "other.example", "", 550),
        (Refuse, Off, "good.example", "", 250),
        (Off, Refuse, "other.example", "a@good.example", 550),
        (Off, Refuse, "slow.example", "a@good.example", 451),
        (Refuse, Note, "other.example", "a@good.example", 250),
        // What is certain goes first.
        (Refuse, Refuse, "slow.example", "a@other.example", 550),
        (Refuse, Refuse, "[192.0.2.1]", "a@good.example", 250),
        (Off, Off, "other.example", "a@other.example", 0),
    ] {
        let verdict = asked(&policy(spf, spf_helo, false), "192.0.2.1", helo, sender).await;
        assert_eq!(code(&verdict), expected, "{spf:?} {spf_helo:?} {helo} {sender}: {verdict:?}");
    }
}

#[tokio::test]
async fn the_reply_has_the_words_of_the_domain_as_such() {
    let policy = policy(Strictness::Refuse, Strictness::Off, false);
    let Verdict::Refuse(reply) = asked(&policy, "192.0.2.9", "x", "a@other.example").await else { panic!() };
    let text = reply.text();
    assert!(text.starts_with("other.example says by SPF that 192.0.2.9 may not send its mail"), "{text}");
    assert!(text.ends_with("other.example explains: 192.0.2.9 is \"none\" of ours"), "{text}");
}

#[tokio::test]
async fn clients_of_this_site_and_those_who_logged_in_are_not_checked_unless_asked() {
    for own_clients in [false, true] {
        let policy = policy(Strictness::Refuse, Strictness::Off, own_clients);
        let expected = if own_clients { 550 } else { 0 };
        assert_eq!(code(&asked(&policy, "10.1.1.1", "x", "a@other.example").await), expected);
        let stranger = ClientInfo::new(Peer::tcp("198.51.100.1:25".parse().unwrap())).with_login(Some("joe"));
        let sender = ReversePath::parse("a@other.example", None).unwrap();
        assert_eq!(code(&policy.mail(&stranger, &sender, None).await), expected);
        let local = ClientInfo::new(Peer::Local);
        assert_eq!(policy.mail(&local, &sender, None).await, Verdict::Accept);
    }
}

/// What becomes of a message of a stranger that no SPF speaks for.
async fn inspected(dkim: Strictness, dmarc: Strictness, header: &str) -> Verdict {
    let shared = policy(Strictness::Off, Strictness::Off, false).0;
    shared.visits().entry(1).or_default().header = header.len();
    let peer = Peer::tcp("198.51.100.1:25".parse().unwrap());
    let mut check = Box::new(MessageCheck::new(shared, 1, peer, Some((dkim, dmarc))));
    check.octets(format!("{header}\r\nhello\r\n").as_bytes()).await;
    check.end().await
}

#[tokio::test]
async fn no_second_domain_is_a_way_past_a_policy_of_dmarc() {
    for (from, expected) in [
        ("From: ceo@bank.example\r\n", 550),
        ("From: ceo@none.example\r\n", 250),
        ("From: <x@none.example> <ceo@bank.example>\r\n", 550),
        ("From: ceo@bank.example, x@none.example\r\n", 550),
        ("From: nobody, ceo@bank.example\r\n", 550),
        ("From: nobody\r\n", 250),
        ("To: nobody\r\n", 250),
    ] {
        let verdict = inspected(Strictness::Off, Strictness::Refuse, from).await;
        assert_eq!(code(&verdict), expected, "{from}: {verdict:?}");
        assert_eq!(code(&inspected(Strictness::Off, Strictness::Note, from).await), 250, "{from}");
    }
}

#[tokio::test]
async fn mail_of_a_domain_that_tests_dkim_is_as_unsigned_mail() {
    let by = |domain: &str| {
        format!("DKIM-Signature: v=1; a=ed25519-sha256; d={domain}; s=s; h=from; bh=AA; b=AA\r\nFrom: a@b.example\r\n")
    };
    let both = by("test.example") + &by("wrong.example");
    for (header, expected) in [(by("test.example"), 250), (by("wrong.example"), 550), (both, 550)] {
        let verdict = inspected(Strictness::Refuse, Strictness::Off, &header).await;
        assert_eq!(code(&verdict), expected, "{header}: {verdict:?}");
    }
}

#[tokio::test]
async fn the_field_has_all_that_was_asked_and_nothing_breaks_out_of_it() {
    let policy = policy(Strictness::Note, Strictness::Note, false);
    let added = async |address: &str, helo: &str, sender: &str| match asked(&policy, address, helo, sender).await {
        Verdict::AcceptWith(additions) => {
            (additions.header.iter().map(|line| line.as_str().to_owned()).collect::<Vec<_>>(), additions.notes)
        }
        other => panic!("{other:?}"),
    };
    let (header, notes) = added("192.0.2.1", "mx.good.example", "a@good.example").await;
    assert_eq!(
        header,
        [
            "Received-SPF: pass (relay.example: 192.0.2.1 is checked against good.example) identity=mailfrom; \
             receiver=relay.example; client-ip=192.0.2.1; envelope-from=\"a@good.example\"; helo=\"mx.good.example\"; \
             mechanism=\"ip4:192.0.2.1\"",
            "Received-SPF: none (relay.example: 192.0.2.1 is checked against mx.good.example) identity=helo; \
             receiver=relay.example; client-ip=192.0.2.1; envelope-from=\"a@good.example\"; helo=\"mx.good.example\"",
        ]
    );
    assert_eq!(notes[0], "SPF: the sender's domain good.example says pass (ip4:192.0.2.1)");
    let hostile = "a\"; x=(\\)\r\nBcc: b@c.example".repeat(20);
    let (header, _) = added("2001:db8::1", &hostile, "\"(a\\\"b\"@wrong.example").await;
    assert!(header[0].starts_with("Received-SPF: permerror ") && header[0].contains("client-ip=\"2001:db8::1\""));
    for line in &header {
        let (before, behind) = (line.split_once('(').unwrap().0, line.split_once(')').unwrap().1);
        let bare: String = [before, behind].concat().split('"').step_by(2).collect();
        assert!(!bare.contains("Bcc") && line.matches('"').count() % 2 == 0 && !line.contains('\\'), "{line}");
    }
    let (header, _) = added("192.0.2.1", &hostile, &format!("{}@good.example", "x".repeat(255))).await;
    assert_eq!(header.len(), 2, "long texts are shortened, not the field left out");
}
