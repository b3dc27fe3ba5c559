//! Tables and whom they lead to, and texts that are no tables.

use proptest::prelude::*;

use super::*;

fn local() -> LocalDomains {
    LocalDomains { domains: vec!["lan".parse().unwrap(), "nas.lan".parse().unwrap()], default: "lan".parse().unwrap() }
}

fn target(aliases: &Aliases, mailbox: &str) -> String {
    match aliases.target(&mailbox.parse().unwrap()) {
        Target::Unchanged => "-".into(),
        Target::One(one) => one.to_string(),
        Target::Many(several) => several.iter().map(Mailbox::to_string).collect::<Vec<_>>().join(" "),
    }
}

fn fault(text: &str) -> String {
    Aliases::parse(text, local()).unwrap_err().to_string()
}

#[test]
fn addresses_lead_to_whom_the_table_says() {
    for (text, pairs) in [
        (
            "root: admin@example.com",
            &[
                ("root@lan", "admin@example.com"),
                ("ROOT@NAS.lan", "admin@example.com"),
                ("root@example.com", "-"),
                ("root+cron@lan", "admin@example.com"),
                ("roots@lan", "-"),
            ][..],
        ),
        // The whole address, the local part, the domain, all local domains.
        (
            "*: d@x\n@nas.lan: c@x\nroot: b@x\nroot@nas.lan: a@x\nroot+ups: e@x\n@other.org: f@x\nu@y.z: g@x",
            &[
                ("root@nas.lan", "a@x"),
                ("root+ups@nas.lan", "a@x"),
                ("root@lan", "b@x"),
                ("root+ups@lan", "e@x"),
                ("me@nas.lan", "c@x"),
                ("me@lan", "d@x"),
                ("me@example.com", "-"),
                ("me@other.org", "f@x"),
                ("U+v@y.z", "g@x"),
                ("+@lan", "d@x"),
            ],
        ),
        // Names of names, and a name that is no alias.
        (
            "postmaster: root\nroot: admin, joe\nadmin: boss@x, joe\n",
            &[("postmaster@lan", "boss@x joe@lan"), ("joe@lan", "-"), ("admin@lan", "boss@x joe@lan")],
        ),
        ("root: admin@nas.lan\nadmin: a@x", &[("root@lan", "a@x"), ("admin@nas.lan", "a@x")]),
        ("list: a@x, A@X, a@x, b@x", &[("list@lan", "a@x A@X b@x")]),
        // A copy stays.
        (
            "root: root, a@x\nall: root",
            &[("root@nas.lan", "root@nas.lan a@x"), ("root@lan", "root@lan a@x"), ("all@nas.lan", "root@lan a@x")],
        ),
        ("root: \\root, \\joe\njoe: a@x", &[("root@nas.lan", "root@nas.lan joe@lan"), ("joe@lan", "a@x")]),
        ("root: root", &[("root@lan", "-")]),
        ("root: root, root@lan, a@x", &[("root@lan", "root@lan a@x"), ("root@nas.lan", "root@nas.lan root@lan a@x")]),
        ("*: admin\nadmin: \\boss@nas.lan", &[("x@lan", "boss@nas.lan"), ("boss@nas.lan", "-")]),
        // Who is caught by a catch-all that leads to himself stays himself.
        ("*: admin@lan", &[("x@nas.lan", "admin@lan"), ("admin@lan", "-")]),
        ("*: joe\nroot: a@x", &[("x@nas.lan", "joe@lan"), ("root@lan", "a@x")]),
        ("@lan: root@lan, ann\nroot: a@x", &[("x@lan", "a@x ann@lan"), ("root@lan", "a@x"), ("x@nas.lan", "-")]),
        ("root: joe\n*: a@x", &[("root@lan", "a@x"), ("joe@lan", "a@x")]),
        ("\"root\": \"a@x\"\n\"two words\":b@x,c@x", &[("root@lan", "a@x"), ("\"two words\"@lan", "b@x c@x")]),
        ("a@[IPv6:::1]: b@[IPv6:::2]", &[("a@[IPv6:::1]", "b@[IPv6:::2]")]),
        ("", &[("root@lan", "-")]),
    ] {
        let aliases = Aliases::parse(text, local()).unwrap();
        for (mailbox, expected) in pairs {
            assert_eq!(target(&aliases, mailbox), *expected, "{mailbox} in {text:?}");
        }
        assert_eq!(aliases.is_empty(), text.is_empty());
    }
    assert_eq!(target(&Aliases::none(local()), "root@lan"), "-");
}

#[test]
fn the_file_in_the_documentation_means_what_is_said_there() {
    let page = include_str!("../../../docs/aliases-and-rewriting.md");
    let (_, rest) = page.split_once("`/etc/leafmail/aliases`:\n```\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let domains = ["lan", "nas.lan", "ups.lan"].map(|domain| domain.parse().unwrap()).to_vec();
    let aliases = Aliases::parse(text, LocalDomains { domains, default: "example.com".parse().unwrap() }).unwrap();
    for (mailbox, expected) in [
        ("root@nas.lan", "ann@example.com night@example.com"),
        ("Root+cron@nas.lan", "ann@example.com night@example.com"),
        ("backup@lan", "backup@lan ann@example.com"),
        ("alarm@ups.lan", "ann@example.com night@example.com"),
        ("x@printer.lan", "helpdesk@example.com"),
        ("x@ups.lan", "ann@example.com"),
        ("root@example.com", "-"),
    ] {
        assert_eq!(target(&aliases, mailbox), expected, "{mailbox}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, expected) in [
        ("a: b@x\n\nroot", "line 3: expected a name, a colon and targets"),
        (" a: b@x", "line 1: expected a name at the beginning of the line, but found white space"),
        ("root:", "line 1: expected an address or another name as target, but found nothing"),
        ("root: a@x,,b@x", "line 1: expected an address or another name as target, but found nothing"),
        ("root: a@x\n# c\nRoot: b@x", "line 3: there is an alias of this name already, at line 1"),
        (
            "root: a b",
            "line 1: expected a local part of atoms and dots, but found \"a b\"; targets are addresses or names of aliases, with commas between them",
        ),
        ("root: *", "line 1: * is no target: expected an address or another name"),
        (
            "root: \"|/usr/bin/vacation root\"",
            "line 1: leafmail only relays: it hands no mail to commands, files or lists, as \"|/usr/bin/vacation root\" wants",
        ),
        (
            "x: a@x,\n /dev/null",
            "line 1: leafmail only relays: it hands no mail to commands, files or lists, as \"/dev/null\" wants",
        ),
        (
            "x: :include:/etc/list",
            "line 1: leafmail only relays: it hands no mail to commands, files or lists, as \":include:/etc/list\" wants",
        ),
        (
            "w: x\nx: y\ny: z\nz: x",
            "line 2: it leads back to itself, by way of line 2, line 3, line 4; a backslash before a target means that it is no alias",
        ),
        (
            "x: y@lan\ny: x@lan",
            "line 1: it leads back to itself, by way of line 1, line 2; a backslash before a target means that it is no alias",
        ),
    ] {
        assert_eq!(fault(text), expected);
    }
    for bad in ["*@lan: a@x", "a b: c@x", "@: a@x", "@a b: c@x", "|x: a@x", ": a@x", "<a@b>: c@x", "\u{1b}a: c@x"] {
        let error = fault(bad);
        assert!(error.starts_with("line 1: expected a name such as root") && !error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn ten_aliases_may_lead_to_each_other_and_no_more() {
    let chain = |names: &[usize]| names.iter().map(|n| format!("a{n}: a{}\n", n + 1)).collect::<String>();
    let ten: Vec<usize> = (1..=10).collect();
    let eleven: Vec<usize> = (1..=11).collect();
    let backwards: Vec<usize> = eleven.iter().rev().copied().collect();
    assert_eq!(target(&Aliases::parse(&chain(&ten), local()).unwrap(), "a1@lan"), "a11@lan");
    assert!(fault(&chain(&eleven)).starts_with("line 11: more than 10 aliases lead to each other"));
    assert!(fault(&chain(&backwards)).starts_with("line 11: more than 10 aliases lead to each other"));
}

#[test]
fn what_multiplies_is_bounded() {
    let list = |name: &str, count: usize, target: &dyn Fn(usize) -> String| {
        format!("{name}: {}\n", (0..count).map(target).collect::<Vec<_>>().join(", "))
    };
    let most = list("all", 1_000, &|n| format!("u{n}@x"));
    let Target::Many(all) = Aliases::parse(&most, local()).unwrap().target(&"all@lan".parse().unwrap()) else {
        panic!()
    };
    assert_eq!(all.len(), 1_000);
    assert_eq!(fault(&format!("{most}more: all, v@x")), "line 2: it leads to more than 1000 addresses");
    assert_eq!(fault(&list("all", 1_001, &|n| format!("u{n}@x"))), "line 1: expected at most 1000 targets");
    // Each of 300 lists names the same thousand.
    let lists: String = (0..300).map(|n| format!("l{n}: all\n")).collect();
    assert!(fault(&format!("{most}{lists}")).ends_with("the aliases up to here lead to too many addresses"));
}

#[test]
fn a_table_of_the_configuration_is_the_same_table() {
    let table = |name: &str, targets: &[&str]| {
        BTreeMap::from([(name.to_owned(), targets.iter().map(|&target| target.to_owned()).collect::<Vec<_>>())])
    };
    let aliases = Aliases::new("", &table("root", &["a@x", "joe"]), local()).unwrap();
    assert_eq!(target(&aliases, "root@nas.lan"), "a@x joe@lan");
    let error = Aliases::new("", &table("root", &["|cmd"]), local()).unwrap_err();
    assert!(error.to_string().starts_with("alias \"root\": leafmail only relays") && error.line().is_none());
    let both = Aliases::new("root: a@x\n", &table("joe", &["root"]), local()).unwrap();
    assert_eq!(target(&both, "joe@lan"), "a@x");
    let twice = Aliases::new("root: a@x\n", &table("ROOT", &["b@x"]), local()).unwrap_err().to_string();
    assert_eq!(twice, "alias \"ROOT\": there is an alias of this name already, at line 1");
    assert_eq!(Aliases::parse("x", local()).unwrap_err().line(), Some(1));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-c@*+:,#\"\\\\| \n\t\\[\\]]|lan|é){0,60}", local_part in "[a-c]{1,2}(\\+a)?") {
        if let Ok(aliases) = Aliases::parse(&text, local()) {
            let _any = aliases.target(&format!("{local_part}@lan").parse().unwrap());
        }
    }

    #[test]
    fn what_is_looked_up_is_resolved_to_the_end(links in proptest::collection::vec((0..6_usize, 0..6_usize), 0..8)) {
        let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (from, to) in links {
            table.entry(format!("n{from}")).or_default().push(format!("n{to}"));
        }
        if let Ok(aliases) = Aliases::new("", &table, local()) {
            for name in table.keys() {
                let mailbox: Mailbox = format!("{name}@lan").parse().unwrap();
                let targets = match aliases.target(&mailbox) {
                    Target::Unchanged => vec![mailbox],
                    Target::One(one) => vec![one],
                    Target::Many(several) => several,
                };
                for target in targets {
                    // No alias, or one that keeps a copy for itself.
                    let own = table.get(target.local());
                    prop_assert!(own.is_none_or(|own| own.iter().any(|to| to == target.local())));
                }
            }
        }
    }
}
