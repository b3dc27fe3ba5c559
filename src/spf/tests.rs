//! SPF on fixed names: each mechanism, each limit, each kind of trouble, and hostile records.

use super::*;
use crate::address::Domain;
use crate::dns::{Exchangers, FixedNames};

fn name(text: &str) -> Domain {
    Domain::of_records(text).unwrap()
}

/// Names with these records of SPF.
fn records(records: &[(&str, &str)]) -> FixedNames {
    records.iter().fold(FixedNames::default(), |names, (domain, text)| names.text(name(domain), text))
}

async fn ask(dns: &FixedNames, address: &str, sender: &str, helo: &str) -> SpfOutcome {
    let (local, domain) = sender.rsplit_once('@').unwrap();
    let (of_sender, receiver) = (name(domain), name("relay.example"));
    let address = address.parse().unwrap();
    let client = SpfClient { address, helo, local, domain: &of_sender, receiver: &receiver, unix_time: 1_700_000_000 };
    check_host(dns, &client, domain).await
}

/// What a record of `d.example` says of 192.0.2.1.
async fn result(dns: &FixedNames, record: &str) -> SpfResult {
    let dns = dns.clone().text(name("d.example"), record);
    ask(&dns, "192.0.2.1", "joe@d.example", "mx.d.example").await.result
}

use SpfResult::*;

#[tokio::test]
async fn each_mechanism_of_spf_matches_what_it_should() {
    let here = "192.0.2.1".parse().unwrap();
    let dns = FixedNames::default()
        .forward(name("d.example"), "192.0.2.77".parse().unwrap())
        .forward(name("here.example"), here)
        .forward(name("mx1.example"), here)
        .exchanger(name("mail.example"), 10, name("gone.example"))
        .exchanger(name("mail.example"), 20, name("mx1.example"))
        .reverse(here, name("liar.d.example"))
        .reverse(here, name("client.here.example"))
        .forward(name("client.here.example"), here)
        .forward(name("192.joe.x.example"), "127.0.0.2".parse().unwrap())
        .text(name("pass.example"), "v=spf1 ip4:192.0.2.0/24 -all")
        .text(name("fail.example"), "v=spf1 -all")
        .text(name("soft.example"), "v=spf1 ~all")
        .text(name("neutral.example"), "v=spf1 ?all")
        .text(name("wrong.example"), "v=spf1 nonsense");
    for (record, expected) in [
        ("v=spf1", Neutral),
        ("v=spf1 +all", Pass),
        ("V=SPF1 -ALL", Fail),
        ("v=spf1  ~all  ", SoftFail),
        ("v=spf1 ?all", Neutral),
        ("v=spf10 -all", None),
        ("v=spf1-all", None),
        ("v=spf1 ip4:192.0.2.1 -all", Pass),
        ("v=spf1 ip4:192.0.2.0/31 -all", Pass),
        ("v=spf1 ip4:192.0.2.0/32 -all", Fail),
        ("v=spf1 ip4:1.2.3.4/0 -all", Pass),
        ("v=spf1 ip6:2001:db8::/32 -all", Fail),
        ("v=spf1 a -all", Fail),
        ("v=spf1 a/24 -all", Pass),
        ("v=spf1 a//24 -all", Fail),
        ("v=spf1 a:here.example -all", Pass),
        ("v=spf1 a:here.example. -all", Pass),
        ("v=spf1 a:gone.example -all", Fail),
        ("v=spf1 mx:mail.example -all", Pass),
        ("v=spf1 mx:here.example -all", Fail),
        ("v=spf1 ptr -all", Fail),
        ("v=spf1 ptr:here.example -all", Pass),
        ("v=spf1 ptr:e.example -all", Fail),
        ("v=spf1 exists:%{i1r}.%{l}.x.example -all", Pass),
        ("v=spf1 exists:%{i}.x.example -all", Fail),
        ("v=spf1 include:pass.example -all", Pass),
        ("v=spf1 include:fail.example ~all", SoftFail),
        ("v=spf1 include:soft.example -all", Fail),
        ("v=spf1 include:neutral.example -all", Fail),
        ("v=spf1 include:here.example -all", PermError),
        ("v=spf1 include:wrong.example -all", PermError),
        ("v=spf1 -include:pass.example +all", Fail),
        ("v=spf1 redirect=pass.example", Pass),
        ("v=spf1 redirect=fail.example", Fail),
        ("v=spf1 redirect=fail.example +all", Pass),
        ("v=spf1 redirect=here.example", PermError),
        ("v=spf1 redirect=a..b.example", PermError),
        ("v=spf1 moo=%{d} x.y-z= ?all", Neutral),
    ] {
        assert_eq!(result(&dns, record).await, expected, "{record}");
    }
}

#[tokio::test]
async fn a_record_with_one_wrong_term_is_wrong_as_a_whole() {
    for record in [
        "v=spf1 +all nonsense",
        "v=spf1 +all all:x.example",
        "v=spf1 +all all/8",
        "v=spf1 +all include",
        "v=spf1 +all include:",
        "v=spf1 +all include:x.example/24",
        "v=spf1 +all exists",
        "v=spf1 +all ptr:",
        "v=spf1 +all ptr/24",
        "v=spf1 +all a:",
        "v=spf1 +all a:localhost",
        "v=spf1 +all a:x.123",
        "v=spf1 +all a:x.-y",
        "v=spf1 +all a/33",
        "v=spf1 +all a/08",
        "v=spf1 +all a/",
        "v=spf1 +all a//129",
        "v=spf1 +all a:x.example//",
        "v=spf1 +all mx:%{x}.example",
        "v=spf1 +all mx:%d.example",
        "v=spf1 +all mx:%{d.example",
        "v=spf1 +all mx:%{d0}",
        "v=spf1 +all mx:%{dr1}",
        "v=spf1 +all mx:%{d;}",
        "v=spf1 +all exists:%{c}.x.example",
        "v=spf1 +all ip4",
        "v=spf1 +all ip4:",
        "v=spf1 +all ip4:1.2.3",
        "v=spf1 +all ip4:1.2.3.4:25",
        "v=spf1 +all ip4:1.2.3.4/33",
        "v=spf1 +all ip4:1.2.3.4//32",
        "v=spf1 +all ip4:::1",
        "v=spf1 +all ip6:1.2.3.4",
        "v=spf1 +all ip6:::1/129",
        "v=spf1 +all redirect=",
        "v=spf1 redirect=a.example redirect=a.example",
        "v=spf1 exp=a.example EXP=a.example +all",
        "v=spf1 moo=%{q} +all",
        "v=spf1 +all -",
        "v=spf1 +all --all",
        "v=spf1\t+all +all\tx",
        "v=spf1 +all \u{fc}",
        "v=spf1 +all a:\u{1}.example",
    ] {
        let found = result(&FixedNames::default(), record).await;
        let expected = if record.starts_with("v=spf1\t") { None } else { PermError };
        assert_eq!(found, expected, "{record}");
    }
    let two = records(&[("d.example", "v=spf1 +all"), ("d.example", "v=spf1 -all"), ("d.example", "other")]);
    let outcome = ask(&two, "192.0.2.1", "joe@d.example", "x").await;
    assert_eq!((outcome.result, outcome.problem.unwrap().contains("more than one")), (PermError, true));
}

#[tokio::test]
async fn what_cannot_have_a_record_has_none_and_trouble_is_no_fail() {
    let dns = records(&[("d.example", "v=spf1 a:slow.example -all"), ("p.example", "v=spf1 ptr -all")])
        .failing(name("slow.example"))
        .failing(name("1.2.0.192.in-addr.arpa"));
    let outcome = ask(&dns, "192.0.2.1", "joe@d.example", "x").await;
    assert_eq!(outcome.result, TempError);
    assert!(outcome.problem.unwrap().contains("slow.example"));
    // RFC 7208 5.5: without an answer about names, ptr does not match.
    assert_eq!(ask(&dns, "192.0.2.1", "joe@p.example", "x").await.result, Fail);
    assert_eq!(ask(&FixedNames::broken(), "192.0.2.1", "joe@d.example", "x").await.result, TempError);
    let long = format!("{}.example", "a".repeat(64));
    let receiver = name("relay.example");
    for domain in ["", "localhost", "a..example", "[192.0.2.1]", "a\r\nb.example", &long, "none.example"] {
        let client = SpfClient {
            address: "192.0.2.1".parse().unwrap(),
            helo: domain,
            local: "postmaster",
            domain: &receiver,
            receiver: &receiver,
            unix_time: 0,
        };
        assert_eq!(check_host(&dns, &client, domain).await.result, None, "{domain:?}");
    }
    assert_eq!(ask(&dns, "::ffff:192.0.2.1", "joe@p.example", "x").await.mechanism.as_deref(), Some("-all"));
}

#[tokio::test]
async fn the_limits_of_look_ups_are_those_of_the_rfc() {
    let here = "192.0.2.1".parse().unwrap();
    let near = FixedNames::default().forward(name("here.example"), "192.0.2.9".parse().unwrap());
    let terms = |count: usize, term: &str| format!("v=spf1{} +all", format!(" {term}").repeat(count));
    assert_eq!(result(&near, &terms(10, "a:here.example")).await, Pass);
    assert_eq!(result(&near, &terms(11, "a:here.example")).await, PermError);
    // Terms that do not ask are not counted.
    assert_eq!(result(&near, &terms(100, "ip4:10.0.0.1")).await, Pass);
    assert_eq!(result(&near, &terms(2, "a:gone.example")).await, Pass);
    assert_eq!(result(&near, &terms(3, "a:gone.example")).await, PermError);
    assert_eq!(result(&near, &terms(3, "exists:gone.example")).await, PermError);
    assert_eq!(result(&near, &terms(3, "mx:gone.example")).await, PermError);
    // Loops end.
    for record in ["v=spf1 include:d.example -all", "v=spf1 redirect=d.example"] {
        assert_eq!(result(&near, record).await, PermError, "{record}");
    }
    let many = |count: u8| {
        let hosts = (0..count).map(|number| crate::dns::Exchanger {
            preference: number.into(),
            host: name(&format!("mx{number}.example")),
        });
        let last = name(&format!("mx{}.example", count - 1));
        near.clone().takes_mail(name("many.example"), Exchangers::Hosts(hosts.collect())).forward(last, here)
    };
    assert_eq!(result(&many(10), "v=spf1 mx:many.example -all").await, Pass);
    assert_eq!(result(&many(11), "v=spf1 mx:many.example -all").await, PermError);
    let named = |count: u8| {
        let dns = (0..count).fold(near.clone(), |dns, number| dns.reverse(here, name(&format!("n{number}.d.example"))));
        dns.forward(name(&format!("n{}.d.example", count - 1)), here)
    };
    assert_eq!(result(&named(10), "v=spf1 ptr -all").await, Pass);
    assert_eq!(result(&named(11), "v=spf1 ptr -all").await, Fail);
}

#[tokio::test]
async fn macros_are_replaced_as_in_the_examples_of_the_rfc() {
    let here: std::net::IpAddr = "192.0.2.3".parse().unwrap();
    let explained = async |text: &str, address: &str, sender: &str| {
        let dns = records(&[("email.example.com", "v=spf1 exp=e.example.com -all"), ("e.example.com", text)])
            .reverse(here, name("mx.example.com"))
            .reverse(here, name("x.email.example.com"))
            .forward(name("mx.example.com"), here)
            .forward(name("x.email.example.com"), here);
        let outcome = ask(&dns, address, sender, "mx.example.org").await;
        assert_eq!(outcome.result, Fail);
        outcome.explanation
    };
    for (text, expected) in [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{h} %{r} %{t}", "mx.example.org relay.example 1700000000"),
        ("%{c}", "192.0.2.3"),
        ("%{p}", "x.email.example.com"),
        ("%{S} is %{D}%%%_%-", "strong-bad%40email.example.com is email.example.com% %20"),
        (
            "See http://%{d}/why?s=%{S}&i=%{I}",
            "See http://email.example.com/why?s=strong-bad%40email.example.com&i=192.0.2.3",
        ),
    ] {
        assert_eq!(explained(text, "192.0.2.3", "strong-bad@email.example.com").await.as_deref(), Some(expected));
    }
    let six = explained("%{ir}.%{v}.%{c}", "2001:db8::cb01", "a@email.example.com").await.unwrap();
    assert_eq!(six, "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.2001:db8::cb01");
    assert_eq!(explained("%{p}", "192.0.2.99", "a@email.example.com").await.as_deref(), Some("unknown"));
    for wrong in ["%{z}", "50% off", "\u{fc}", "", " ", &"x".repeat(500)] {
        assert_eq!(explained(wrong, "192.0.2.3", "a@email.example.com").await, Option::None, "{wrong}");
    }
}

#[tokio::test]
async fn explanations_are_those_of_the_record_that_decides() {
    let dns = records(&[
        ("a.example", "v=spf1 include:b.example exp=why.a.example -all"),
        ("b.example", "v=spf1 exp=why.b.example -all"),
        ("c.example", "v=spf1 redirect=b.example exp=why.a.example"),
        ("d.example", "v=spf1 exp=two.example ~all"),
        ("e.example", "v=spf1 exp=two.example -all"),
        ("why.a.example", "ask a"),
        ("why.b.example", "ask b\r\n250 ok"),
        ("why.b.example", "never"),
        ("two.example", "one"),
        ("two.example", "two"),
    ]);
    for (sender, result, explanation) in [
        ("x@a.example", Fail, Some("ask a")),
        // What is no text in ASCII, or not alone, explains nothing.
        ("x@c.example", Fail, Option::None),
        ("x@d.example", SoftFail, Option::None),
        ("x@e.example", Fail, Option::None),
    ] {
        let outcome = ask(&dns, "192.0.2.1", sender, "x").await;
        assert_eq!((outcome.result, outcome.explanation.as_deref()), (result, explanation), "{sender}");
    }
}

#[tokio::test]
async fn hostile_records_and_names_are_bounded() {
    let large = format!("v=spf1 {}-all", "ip4:10.0.0.1 ".repeat(8_000));
    assert_eq!(result(&FixedNames::default(), &large).await, Fail);
    // A name of which all but the last 253 octets are left out, and macros that make megabytes.
    let local = "x".repeat(255);
    let tail = format!("{}.example", "y".repeat(60));
    let growing = format!("v=spf1 exists:%{{l}}.{tail} -all");
    let dns = records(&[("d.example", &growing)]).forward(name(&tail), "127.0.0.2".parse().unwrap());
    assert_eq!(ask(&dns, "192.0.2.1", &format!("{local}@d.example"), "x").await.result, Pass);
    let exploding = format!("v=spf1 exists:{}.example -all", "%{s}".repeat(10_000));
    let dns = records(&[("d.example", &exploding)]);
    assert_eq!(ask(&dns, "192.0.2.1", &format!("{local}@d.example"), "x").await.result, Fail);
    let outcome = ask(&records(&[("d.example", "v=spf1 \u{1b}[2J")]), "192.0.2.1", "a@d.example", "x").await;
    assert!(outcome.problem.unwrap().chars().all(|c| c.is_ascii_graphic() || c == ' '));
}

proptest::proptest! {
    #[test]
    fn no_record_and_no_sender_makes_spf_panic(
        terms in "[-+~?a-z0-9:/%{}._= ]{0,80}",
        octets in proptest::collection::vec(proptest::num::u8::ANY, 0..60),
        local in "[ -~]{1,40}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let plain = String::from_utf8_lossy(&octets).into_owned();
        for record in [terms.clone(), plain, format!("exists:%{{l}}.%{{{terms}}}.x.example -all")] {
            let dns = records(&[("d.example", &format!("v=spf1 {record}"))]);
            let outcome = runtime.block_on(ask(&dns, "2001:db8::1", &format!("{local}@d.example"), &local));
            let mut texts = outcome.mechanism.iter().chain(&outcome.problem);
            proptest::prop_assert!(texts.all(|text| !text.contains(['\r', '\n', '\0'])));
        }
    }
}
