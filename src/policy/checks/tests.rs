//! Each check: what it lets through, what it finds, and that trouble of the DNS never refuses.

use super::*;
use crate::dns::{Exchangers, FixedNames};

const STRANGER: &str = "203.0.113.9:4711";

fn stranger() -> IpAddr {
    "203.0.113.9".parse().unwrap()
}

fn name(text: &str) -> crate::address::Domain {
    text.parse().unwrap()
}

fn table() -> FixedNames {
    let here = stranger();
    FixedNames::default()
        .forward(name("mx.good.example"), here)
        .reverse(here, name("mx.good.example"))
        .exchanger(name("good.example"), 10, name("mx.good.example"))
        .forward(name("plain.example"), "203.0.113.7".parse().unwrap())
        .takes_mail(name("null.example"), Exchangers::Null)
        .takes_mail(name("odd.example"), Exchangers::Hosts(Vec::new()))
        .text(name("text.example"), "no mail here")
        .failing(name("broken.example"))
}

fn strict(with: impl FnOnce(&mut CheckSettings)) -> CheckSettings {
    let mut settings = CheckSettings { threshold: 1, ..CheckSettings::default() };
    with(&mut settings);
    settings
}

fn refuse() -> ByNetwork {
    ByNetwork::all(Strictness::Refuse)
}

fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Accept => "accepted".to_owned(),
        Verdict::AcceptWith(additions) => format!("noted {}", additions.notes.join("; ")),
        Verdict::Refuse(reply) => reply.to_string(),
        Verdict::Defer(reply) => format!("deferred {reply}"),
        other => panic!("{other:?}"),
    }
}

fn client(helo: &str) -> ClientInfo<'_> {
    ClientInfo::new(Peer::tcp(STRANGER.parse().unwrap())).with_helo(Some(helo))
}

async fn mail(settings: CheckSettings, dns: FixedNames, helo: &str, sender: &str) -> String {
    let sender = ReversePath::parse(sender, None).unwrap();
    said(Checks::new(settings, Arc::new(dns)).mail(&client(helo), &sender, None).await)
}

async fn rcpt(settings: CheckSettings, dns: FixedNames, recipient: &str) -> String {
    let checks = Checks::new(settings, Arc::new(dns));
    said(checks.rcpt(&client("x"), &ReversePath::Null, &recipient.parse().unwrap()).await)
}

#[tokio::test]
async fn the_name_in_helo_must_exist() {
    let settings = || strict(|settings| settings.helo_resolvable = refuse());
    for right in ["mx.good.example", "MX.good.example.", "good.example", "[203.0.113.9]"] {
        assert_eq!(mail(settings(), table(), right, "").await, "accepted", "{right}");
    }
    for wrong in ["", "gone.example", "text.example", "a b", "192.0.2.1", "[192.0.2.1]", "localhost"] {
        let told = mail(settings(), table(), wrong, "").await;
        assert!(told.starts_with("550 5.7.1 ") && told.contains("checks.helo_resolvable"), "{wrong}: {told}");
    }
    assert!(mail(settings(), table(), "broken.example", "").await.starts_with("deferred 451 4.4.3 "));
}

#[tokio::test]
async fn the_name_in_helo_and_the_address_must_lead_to_each_other() {
    let settings = || strict(|settings| settings.helo_verified = refuse());
    assert_eq!(mail(settings(), table(), "mx.good.example", "").await, "accepted");
    for (dns, helo, expected) in [
        (table(), "plain.example", "the name plain.example in HELO does not lead to 203.0.113.9"),
        (table(), "[192.0.2.1]", "HELO gave the address [192.0.2.1]"),
        (FixedNames::default().forward(name("a.example"), stranger()), "a.example", "203.0.113.9 has no name"),
        (
            FixedNames::default().forward(name("a.example"), stranger()).reverse(stranger(), name("bank.example")),
            "a.example",
            "203.0.113.9 has no name in the DNS that leads back",
        ),
        // The one is certain, the other cannot be known.
        (FixedNames::default().failing(name("broken.example")), "broken.example", "203.0.113.9 has no name"),
    ] {
        let told = mail(settings(), dns, helo, "").await;
        assert!(told.starts_with("550 5.7.") && told.contains(expected), "{helo}: {told}");
    }
    let unknown =
        FixedNames::default().forward(name("a.example"), stranger()).reverse(stranger(), name("broken.example"));
    assert!(
        mail(settings(), unknown.failing(name("broken.example")), "a.example", "")
            .await
            .starts_with("deferred 451 4.4.3 ")
    );
    assert!(mail(settings(), FixedNames::broken(), "a.example", "").await.starts_with("deferred 451 4.4.3 "));
}

#[tokio::test]
async fn the_domain_of_the_sender_must_take_mail() {
    let settings = || strict(|settings| settings.sender_domain = refuse());
    for right in ["", "a@good.example", "a@plain.example", "a@[192.0.2.1]"] {
        assert_eq!(mail(settings(), table(), "x", right).await, "accepted", "{right}");
    }
    for (wrong, start) in [
        ("a@gone.example", "550 5.1.8 "),
        ("a@text.example", "550 5.1.8 "),
        ("a@odd.example", "550 5.1.8 "),
        ("a@null.example", "550 5.7.27 "),
        ("a@broken.example", "deferred 451 4.4.3 "),
    ] {
        let told = mail(settings(), table(), "x", wrong).await;
        assert!(told.starts_with(start) && told.contains("checks.sender_domain"), "{wrong}: {told}");
    }
}

#[tokio::test]
async fn the_domain_of_the_recipient_must_take_mail_unless_the_configuration_names_it() {
    let settings = || {
        strict(|settings| {
            settings.recipient_domain = refuse();
            settings.known = vec!["@relay.lan".parse().unwrap()];
        })
    };
    for right in ["a@good.example", "a@plain.example", "a@relay.lan"] {
        assert_eq!(rcpt(settings(), table(), right).await, "accepted", "{right}");
    }
    assert_eq!(rcpt(settings(), FixedNames::broken(), "a@relay.lan").await, "accepted");
    for (wrong, start) in [
        ("a@gone.example", "550 5.1.2 "),
        ("a@null.example", "556 5.1.10 "),
        ("a@broken.example", "deferred 451 4.4.3 "),
    ] {
        let told = rcpt(settings(), table(), wrong).await;
        assert!(told.starts_with(start) && told.contains("checks.recipient_domain"), "{wrong}: {told}");
    }
}

#[tokio::test]
async fn odd_characters_are_noted_or_refused() {
    let noted = || strict(|settings| settings.sender_characters = ByNetwork::all(Strictness::Note));
    assert_eq!(mail(noted(), FixedNames::broken(), "x", "joe@x.example").await, "accepted");
    let told = mail(noted(), FixedNames::broken(), "x", "joe..doe@x.example").await;
    assert!(told.starts_with("noted the sender joe..doe@x.example has a dot"), "{told}");
    let refused = || strict(|settings| settings.recipient_characters = refuse());
    assert!(rcpt(refused(), FixedNames::broken(), "\"a b\"@x.example").await.starts_with("553 5.1.3 "));
}

#[tokio::test]
async fn a_note_never_keeps_mail_out_and_a_refusal_goes_before_trouble() {
    let settings = || {
        strict(|settings| {
            settings.helo_resolvable = ByNetwork::all(Strictness::Note);
            settings.sender_domain = ByNetwork::all(Strictness::Note);
        })
    };
    let told = mail(settings(), table(), "gone.example", "a@broken.example").await;
    assert!(told.starts_with("noted the name gone.example in HELO is not in the DNS"), "{told}");
    assert!(told.contains("; checks.sender_domain could not be checked: looking up "), "{told}");
    let both = strict(|settings| {
        settings.helo_resolvable = refuse();
        settings.sender_domain = refuse();
    });
    assert!(mail(both, table(), "broken.example", "a@null.example").await.starts_with("550 5.7.27 "));
}

#[tokio::test]
async fn clients_of_this_site_and_logins_are_checked_only_where_that_is_set() {
    let settings = |own_clients| {
        strict(|settings| {
            settings.sender_domain = refuse();
            settings.own_networks = vec!["203.0.113.0/24".parse().unwrap()];
            settings.own_clients = own_clients;
        })
    };
    let sender = ReversePath::parse("a@gone.example", None).unwrap();
    for (own_clients, accepted) in [(false, true), (true, false)] {
        let checks = Checks::new(settings(own_clients), Arc::new(table()));
        assert_eq!(checks.mail(&client("x"), &sender, None).await == Verdict::Accept, accepted);
        let elsewhere = ClientInfo::new(Peer::tcp("198.51.100.1:1".parse().unwrap()));
        assert_ne!(checks.mail(&elsewhere, &sender, None).await, Verdict::Accept);
        assert_eq!(checks.mail(&elsewhere.with_login(Some("joe")), &sender, None).await == Verdict::Accept, accepted);
        assert_eq!(checks.mail(&ClientInfo::new(Peer::Local), &sender, None).await, Verdict::Accept);
    }
}

#[tokio::test]
async fn the_narrowest_network_says_how_strict_a_check_is() {
    let network = |text: &str, strictness| (text.parse().unwrap(), strictness);
    let by_network = ByNetwork {
        elsewhere: Strictness::Off,
        networks: vec![
            network("203.0.113.9/32", Strictness::Note),
            network("0.0.0.0/0", Strictness::Refuse),
            network("203.0.113.0/24", Strictness::Off),
        ],
        listeners: Vec::new(),
    };
    for (peer, expected) in [
        ("203.0.113.9:1", Strictness::Note),
        ("203.0.113.8:1", Strictness::Off),
        ("198.51.100.1:1", Strictness::Refuse),
        ("[2001:db8::1]:1", Strictness::Off),
    ] {
        assert_eq!(by_network.of(&ClientInfo::new(Peer::tcp(peer.parse().unwrap()))), expected, "{peer}");
    }
    assert!(!by_network.is_off() && ByNetwork::default().is_off());
}

/// A list, and the answer that it gives about the client.
fn list(zone: &str, weight: i32, no_answer: crate::policy::Fallback) -> DnsListSettings {
    DnsListSettings { zone: name(zone), weight, answers: vec!["127.0.0.0/8".parse().unwrap()], no_answer }
}

fn asking(lists: Vec<DnsListSettings>, threshold: i32) -> CheckSettings {
    strict(|settings| {
        settings.listed = refuse();
        settings.lists = lists;
        settings.threshold = threshold;
    })
}

fn answering(zones: &[(&str, [u8; 4])]) -> FixedNames {
    zones.iter().fold(FixedNames::default(), |table, (zone, answer)| {
        table.forward(name(&format!("9.113.0.203.{zone}")), (*answer).into())
    })
}

#[tokio::test]
async fn a_client_on_lists_that_weigh_enough_is_refused_with_the_reason_of_the_list() {
    use crate::policy::Fallback::Defer;
    let lists = || vec![list("a.example", 2, Defer), list("b.example", 1, Defer), list("good.example", -2, Defer)];
    let (a, b, good) = (("a.example", [127, 0, 0, 2]), ("b.example", [127, 0, 0, 4]), ("good.example", [127, 0, 0, 1]));
    for (answers, refused) in
        [(vec![], false), (vec![a], true), (vec![b], false), (vec![a, b], true), (vec![a, b, good], false)]
    {
        let told = mail(asking(lists(), 2), answering(&answers), "x", "").await;
        assert_eq!(told.starts_with("550 5.7.1 203.0.113.9 is listed by a.example"), refused, "{answers:?}: {told}");
        assert_eq!(told == "accepted", !refused, "{told}");
    }
    let why = answering(&[a]).text(name("9.113.0.203.a.example"), "see\r\n250 https://a.example/?203.0.113.9");
    let told = mail(asking(lists(), 2), why, "x", "").await;
    assert!(told.contains("a.example (see??250 https://a.example/?203.0.113.9); the relay asks"), "{told}");
    let mut noting = asking(lists(), 2);
    noting.listed = ByNetwork::all(Strictness::Note);
    assert!(mail(noting, answering(&[a]), "x", "").await.starts_with("noted 203.0.113.9 is listed by a.example"));
}

#[tokio::test]
async fn only_answers_of_the_loopback_that_are_meant_count() {
    use crate::policy::Fallback::Defer;
    let only = || {
        let answers = vec!["127.0.0.2/31".parse().unwrap(), "127.0.1.0/24".parse().unwrap()];
        asking(vec![DnsListSettings { answers, ..list("a.example", 1, Defer) }], 1)
    };
    for (answer, refused) in [
        ([127, 0, 0, 2], true),
        ([127, 0, 0, 3], true),
        ([127, 0, 1, 9], true),
        ([127, 0, 0, 4], false),
        ([192, 0, 2, 1], false),
        ([126, 0, 0, 2], false),
    ] {
        let told = mail(only(), answering(&[("a.example", answer)]), "x", "").await;
        assert_eq!((told.starts_with("550 "), told == "accepted"), (refused, !refused), "{answer:?}: {told}");
    }
}

#[tokio::test]
async fn a_listener_says_how_strict_a_check_is_before_any_network() {
    let strictness = |text: &str, strictness| (text.parse().unwrap(), strictness);
    let by_network = ByNetwork {
        elsewhere: Strictness::Off,
        networks: vec![("203.0.113.0/24".parse().unwrap(), Strictness::Note)],
        listeners: vec![strictness(":25", Strictness::Refuse), strictness("127.0.0.1:25", Strictness::Off)],
    };
    let settings = strict(|settings| settings.sender_characters = by_network.clone());
    let checks = Checks::new(settings, Arc::new(table()));
    let sender =
        ReversePath::parse("a..b@good.example", None).or_else(|_| ReversePath::parse("\"a b\"@good.example", None));
    for (listener, expected) in [
        (Some("0.0.0.0:25"), "55"),
        (Some("127.0.0.1:25"), "accepted"),
        (Some("0.0.0.0:587"), "noted "),
        (None, "noted "),
    ] {
        let client = client("x").at_listener(listener.map(|at| at.parse().unwrap()));
        let told = said(checks.mail(&client, sender.as_ref().unwrap(), None).await);
        assert!(told.starts_with(expected), "{listener:?}: {told}");
    }
}

#[tokio::test]
async fn a_list_that_may_not_be_asked_or_does_not_answer_is_trouble_where_it_could_change_the_verdict() {
    use crate::policy::Fallback::{Accept, Defer};
    let a = ("a.example", [127, 0, 0, 2]);
    for last in 252..=255 {
        let refusing = ("b.example", [127, 255, 255, last]);
        let both = |no_answer| vec![list("a.example", 1, Defer), list("b.example", 1, no_answer)];
        let told = async |no_answer, threshold, answers: &[(&str, [u8; 4])]| {
            mail(asking(both(no_answer), threshold), answering(answers), "x", "").await
        };
        assert!(told(Defer, 1, &[refusing]).await.starts_with("deferred 451 4.4.3 "));
        assert_eq!(told(Accept, 1, &[refusing]).await, "accepted");
        assert!(told(Defer, 1, &[refusing, a]).await.starts_with("550 5.7.1 "), "enough without it");
        assert_eq!(told(Defer, 3, &[refusing, a]).await, "accepted", "not enough even with it");
        assert!(told(Defer, 2, &[refusing, a]).await.starts_with("deferred 451 4.4.3 "));
    }
    let failing = answering(&[a]).failing(name("9.113.0.203.good.example"));
    let with_good = vec![list("a.example", 1, Defer), list("good.example", -1, Defer)];
    assert!(
        mail(asking(with_good, 1), failing, "x", "").await.starts_with("deferred 451 4.4.3 "),
        "it could be a good client"
    );
}

#[tokio::test]
async fn a_list_that_may_not_be_asked_is_reported_until_a_fresh_answer() {
    use crate::policy::Unanswered;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl HealthObserver for Told {
        fn answered(&self, program: &str) {
            self.0.lock().unwrap().push(format!("{program} answers"));
        }

        fn unanswered(&self, program: &str, trouble: &Unanswered<'_>) {
            self.0.lock().unwrap().push(format!("{program}: {}; {}", trouble.error, trouble.meanwhile));
        }
    }

    let told = Arc::new(Told::default());
    let observer: Arc<dyn HealthObserver> = told.clone();
    let settings = asking(vec![list("b.example", 1, crate::policy::Fallback::Accept)], 1);
    let refusing = answering(&[("b.example", [127, 255, 255, 254])]);
    let checks = Checks::reporting_to(settings, Arc::new(refusing), &observer);
    let ask = async |address: &str| {
        let client = ClientInfo::new(Peer::tcp(address.parse().unwrap())).with_helo(Some("x"));
        said(checks.mail(&client, &ReversePath::Null, None).await)
    };
    for address in [STRANGER, STRANGER] {
        assert_eq!(ask(address).await, "accepted");
    }
    let refused = "dnsbl b.example: it answers 127.255.255.254, which means that it does not serve this relay or its name \
                   server; clients are judged without it";
    assert_eq!(*told.0.lock().unwrap(), [refused]);
    // It has no answer about another client, which is one.
    assert_eq!(ask("203.0.113.10:1").await, "accepted");
    assert_eq!(told.0.lock().unwrap()[1..], ["dnsbl b.example answers"]);
    ask(STRANGER).await;
    assert_eq!(told.0.lock().unwrap().len(), 2, "what is remembered");
}

#[tokio::test]
async fn a_client_with_an_address_of_ipv6_is_looked_up_by_nibbles() {
    let nibbles = "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.a.example";
    let dns = FixedNames::default().forward(name(nibbles), [127, 0, 0, 2].into());
    let settings = asking(vec![list("a.example", 1, crate::policy::Fallback::Defer)], 1);
    let client = ClientInfo::new(Peer::tcp("[2001:db8::9]:1".parse().unwrap()));
    let told = said(Checks::new(settings, Arc::new(dns)).mail(&client, &ReversePath::Null, None).await);
    assert!(told.starts_with("550 5.7.1 2001:db8::9 is listed by a.example"), "{told}");
}

#[tokio::test]
async fn the_test_points_of_a_list_tell_whether_it_works() {
    let point = |last: u8| name(&format!("{last}.0.0.127.a.example"));
    let answer = |last: u8| IpAddr::from([127, 0, 0, last]);
    let right = FixedNames::default().forward(point(2), answer(2));
    let settings = list("a.example", 1, crate::policy::Fallback::Defer);
    assert_eq!(probe_list(&right, &settings).await, Ok(()));
    for (dns, expected) in [
        (FixedNames::default(), "it does not have 127.0.0.2"),
        (right.clone().forward(point(1), answer(2)), "it has 127.0.0.1"),
        (FixedNames::default().forward(point(2), [127, 255, 255, 254].into()), "does not serve this relay"),
        (FixedNames::broken(), "looking up "),
    ] {
        let told = probe_list(&dns, &settings).await.unwrap_err();
        assert!(told.contains(expected), "{told}");
    }
}
