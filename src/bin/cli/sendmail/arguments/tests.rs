//! Command lines as programs really have them, and any others.

use proptest::prelude::*;

use super::*;

fn parsed(line: &str) -> Invocation {
    parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

/// Submits to these recipients, without a warning.
fn submits(line: &str, recipients: &[&str]) -> Invocation {
    let invocation = parsed(line);
    assert_eq!(invocation.mode, Mode::Submit, "{line}");
    assert_eq!(invocation.recipients, recipients, "{line}");
    assert_eq!(invocation.warnings, [""; 0], "{line}");
    invocation
}

#[test]
fn the_command_lines_of_well_known_programs_are_understood() {
    let cron = submits("-FCronDaemon -i -B8BITMIME -oem root", &["root"]);
    assert_eq!((cron.full_name.as_deref(), cron.dot), (Some("CronDaemon"), LoneDot::IsText));
    submits("-i -FCronDaemon -B8BITMIME -oem joe", &["joe"]);
    submits("-oem -oi -f joe@x -- a@x b@x", &["a@x", "b@x"]);
    let php = submits("-t -i -fwww@x", &[]);
    assert_eq!((php.from_header, php.sender.as_deref()), (true, Some("www@x")));
    submits("-i -f joe@x a@x", &["a@x"]);
    submits("-odi -oeq -odb -o7 -Ac -G -U -n -m -v -L tag -p smtp -h 3 -X /dev/null -C f -O A=b -d0.1 a", &["a"]);
    let dsn = submits("-N success,delay -R hdrs -V id=1 a@x", &["a@x"]);
    assert!(dsn.notify.is_some_and(|notify| notify.success && notify.delay && !notify.failure));
    assert_eq!((dsn.ret, dsn.envid.as_deref()), (Some(Ret::Headers), Some("id=1")));
    let cluster = submits("-tif joe@x", &[]);
    assert!(cluster.from_header && cluster.dot == LoneDot::IsText && cluster.sender.as_deref() == Some("joe@x"));
    assert_eq!(submits("a@x -f b@x c@x", &["a@x", "c@x"]).sender.as_deref(), Some("b@x"));
    assert_eq!(submits("-r <> a@x", &["a@x"]).sender.as_deref(), Some("<>"));
    let empty = parse(&["-f", "", "a@x"].map(str::to_owned));
    assert_eq!((empty.sender.as_deref(), &empty.recipients[..]), (Some(""), &["a@x".to_owned()][..]));
}

#[test]
fn modes_are_told_apart() {
    for (line, mode) in [
        ("-bs", Mode::Dialogue),
        ("-bp", Mode::List),
        ("-bi", Mode::Aliases),
        ("-I", Mode::Aliases),
        ("-bm", Mode::Submit),
        ("-bd -q30m", Mode::Unsupported('d')),
        ("-bv root", Mode::Unsupported('v')),
        ("-q", Mode::Flush),
        ("-q15m", Mode::Flush),
        ("-qRexample.com", Mode::Flush),
        ("--help", Mode::Help),
    ] {
        assert_eq!(parsed(line).mode, mode, "{line}");
    }
    assert_eq!(parsed("-q root").mode, Mode::Submit, "there is mail for somebody");
    assert_eq!(parsed("-q -t").mode, Mode::Submit);
}

#[test]
fn an_address_that_begins_with_a_dash_is_no_option() {
    for address in ["-ali@x", "-t@x", "-nina@x", "-bob@x", "-eve@x", "-@x", "-queue@x", "--joe@x"] {
        let invocation = submits(&format!("-i {address}"), &[address]);
        assert!(!invocation.from_header && invocation.sender.is_none());
    }
    for behind in ["-t", "-fx@y", "-bs", "--"] {
        let invocation = submits(&format!("-- {behind}"), &[behind]);
        assert_eq!((invocation.from_header, invocation.sender), (false, None));
    }
    assert_eq!(parsed("-f -joe@x a@x").sender.as_deref(), Some("-joe@x"));
}

#[test]
fn what_is_not_known_is_told_and_costs_nothing_else() {
    for line in ["-Z root", "--frobnicate root", "-tZx root", "- root", "-N often root", "-V \u{e4} root"] {
        let invocation = parsed(line);
        assert_eq!((invocation.mode, invocation.warnings.len()), (Mode::Submit, 1), "{line}");
        assert_eq!(invocation.recipients, ["root"], "{line}");
    }
    assert!(parsed("-tZx root").from_header);
    assert_eq!(parsed("root -f").warnings.len(), 1);
}

fn harmless() -> impl Strategy<Value = Vec<String>> {
    let one = |text: &'static str| Just(text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    prop_oneof![
        one("-i"),
        one("-oi"),
        one("-t"),
        one("-oem"),
        one("-f a@b"),
        one("-fa@b"),
        one("-F x"),
        one("-N never"),
        one("-v"),
        one("-Zz"),
        one("--strange=1"),
        one("-L tag"),
        one("-odb"),
        one("-q"),
        one("-d9"),
    ]
}

proptest! {
    #[test]
    fn any_arguments_are_read(arguments: Vec<String>) {
        let invocation = parse(&arguments);
        prop_assert!(invocation.recipients.len() <= arguments.len());
    }

    #[test]
    fn no_recipient_is_ever_lost(
        parts in prop::collection::vec(prop_oneof![
            harmless().prop_map(|options| (false, options)),
            "[a-z][a-z0-9@.-]{0,12}".prop_map(|recipient| (true, vec![recipient])),
            "-[a-eg-z0-9][a-z0-9.-]{0,5}@x\\.y".prop_filter("an option with an address", |address| !address.starts_with("-r"))
                .prop_filter("the same in a cluster", |address| is_address(address))
                .prop_map(|recipient| (true, vec![recipient])),
        ], 0..12),
        behind in prop::collection::vec("[-a-zA-Z@.]{1,8}", 0..3),
    ) {
        let mut arguments: Vec<String> = parts.iter().flat_map(|(_, words)| words.clone()).collect();
        let mut expected: Vec<String> =
            parts.iter().filter(|(is_recipient, _)| *is_recipient).flat_map(|(_, words)| words.clone()).collect();
        arguments.push("--".to_owned());
        arguments.extend(behind.clone());
        expected.extend(behind);
        prop_assert_eq!(parse(&arguments).recipients, expected);
    }
}

#[test]
fn values_of_options_of_other_programs_are_neither_recipients_nor_told() {
    for line in [
        "-au joe -ap hunter2 -t",
        "-aujoe -aphunter2 -t",
        "-aujoe@x.example -aphunter2@y -t",
        "-au joe@x.example -ap hunter2@y -am LOGIN -t",
        "-a gmail -t",
        "-agmail -t",
        "-a gmail --passwordeval=hunter2 -t",
        "--user joe@x --passwordeval hunter2 --host h.example --port 587 -t",
        "--user=joe@x --password=hunter2 -t",
        "-S mail.example:587 -w 30 -H hunter2 -t",
        "-C hunter2 -O hunter2 -X hunter2 -t",
        "-Zhunter2 -t",
    ] {
        let invocation = parsed(line);
        assert_eq!(
            (invocation.mode, &invocation.recipients[..], invocation.from_header),
            (Mode::Submit, &[][..], true),
            "{line}"
        );
        let told =
            format!("{:?}", (&invocation.warnings, &invocation.sender, &invocation.full_name, &invocation.envid));
        assert!(!told.contains("hunter2") && !told.contains("joe"), "{told}");
    }
    let invocation = parsed("--from=joe@example.com --read-recipients");
    assert_eq!((invocation.sender.as_deref(), invocation.from_header), (Some("joe@example.com"), true));
    assert!(invocation.recipients.is_empty() && invocation.warnings.is_empty());
    assert_eq!(parsed("--from joe@example.com a@x").recipients, ["a@x"]);
}
