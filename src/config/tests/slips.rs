//! Slips in a file: all are said at once, each with its line, and in words that are not those of serde or Rust.

use super::sample::every_key;
use super::{parsed, uncommented};
use crate::config::reading::keys::{REPEATED, sections};

/// A file with one key set to this.
fn with(key: &str, value: &str) -> String {
    let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
    match section {
        "" => format!("{key} = {value}"),
        name if name == "relay.fallback" || REPEATED.contains(&name) => format!("[[{section}]]\n{key} = {value}"),
        _ => format!("[{section}]\n{key} = {value}"),
    }
}

#[test]
fn a_wrong_type_of_value_is_answered_in_plain_words() {
    let words = [
        "sequence",
        "map",
        "string",
        "boolean",
        "integer",
        "float",
        "struct",
        "invalid type",
        "invalid value",
        "invalid length",
        "unit value",
        "Some(",
        "None",
        "Option",
        "usize",
        "u64",
        "i64",
        "unknown field",
        "missing field",
        "`",
        "_private",
    ];
    let values = [
        "3",
        "-3",
        "1.5",
        "true",
        "\"\"",
        "\"\\u0000\"",
        "\"5 x\"",
        "[]",
        "[3]",
        "[[\"a\"]]",
        "{}",
        "{ a = 1 }",
        "[{ a = 1 }]",
        "1979-05-27",
        "nan",
        "99999999999999999999999999",
        "0x10",
    ];
    let headings =
        sections().into_iter().map(|(name, _)| name.to_owned()).filter(|name| !name.contains('.') && !name.is_empty());
    for key in every_key().into_iter().chain(headings) {
        let mut refused = 0;
        for value in values {
            let Err(error) = parsed(&with(&key, value)) else { continue };
            refused += 1;
            let line = if key.contains('.') { 2 } else { 1 };
            let reason =
                error.strip_prefix(&format!("leafmail.toml:{line}: ")).unwrap_or_else(|| panic!("{key}: {error}"));
            let reason = reason.split('"').step_by(2).collect::<String>();
            let told: Vec<_> = words.iter().filter(|word| reason.contains(*word)).collect();
            assert!(told.is_empty(), "{key} = {value}: {told:?} in {error}");
        }
        assert!(refused > 5, "{key}: only {refused} of the values were refused");
    }
}

#[test]
fn a_value_of_the_wrong_type_says_what_was_expected() {
    for (key, value, expected) in [
        ("queue.retry", "\"5m\"", "expected a list such as [\"5m\"], but found the text \"5m\""),
        (
            "clients.networks",
            "\"10.0.0.0/8\"",
            "expected a list such as [\"10.0.0.0/8\"], but found the text \"10.0.0.0/8\"",
        ),
        (
            "clients.networks",
            "\"lan\"",
            "expected a list in brackets, each entry a network such as 192.168.1.0/24, but found the text \"lan\"",
        ),
        ("listen.addresses", "2525", "expected a list in brackets, each entry an address such as 127.0.0.1:2525"),
        ("tls.require", "\"true\"", "expected true or false, without quotes, but found the text \"true\""),
        ("tls.require", "1", "expected true or false, but found the number 1"),
        (
            "limits.sessions",
            "\"500\"",
            "expected a whole number from 1 to 100000, without quotes, but found the text \"500\"",
        ),
        ("limits.sessions", "1.5", "expected a whole number from 1 to 100000, but found the number 1.5"),
        ("limits.idle", "300", "expected a duration such as 30s, 5m, 1h30m or 4d, but found the number 300"),
        ("spool", "[\"a\"]", "expected a path, but found a list"),
        ("spool", "1979-05-27", "expected a path, but found a date"),
        ("spool", "{}", "expected a path, but found a table"),
        ("clients", "3", "expected a section, [clients], but found the number 3"),
        (
            "clients",
            "[{}]",
            "expected a heading in one bracket, [clients], as there is one such section, but found a list",
        ),
        ("relay.timeouts", "3", "expected a section, [relay.timeouts], but found the number 3"),
        (
            "dkim.selector",
            "\"a b\"",
            "expected a selector such as mail2026: letters, digits and hyphens, but found \"a b\"",
        ),
        (
            "rewrite",
            "3",
            "expected a heading in two brackets, [[rewrite]], as there may be several, but found the number 3",
        ),
        (
            "aliases.table",
            "3",
            "expected a table of names and what they mean, such as { \"NAME\" = [\"ADDRESS\"] }, but found",
        ),
        ("aliases.table", "1979-05-27", "expected a table of names and what they mean"),
        ("verify.lists", "[]", "expected a table of names and what they mean"),
        ("listen.hide_extensions", "[\"DSN\"]", "expected a table of names and what they mean"),
        (
            "clients.hide_extensions",
            "{ \"10.0.0.0/8\" = [\"TLS\"] }",
            "expected the keyword of an extension, such as STARTTLS, CHUNKING or 8BITMIME, but found \"TLS\"",
        ),
        (
            "clients.hide_extensions",
            "{ \"lan\" = [\"DSN\"] }",
            "expected a network such as 192.168.1.0/24, but found \"lan\"",
        ),
        (
            "listen.hide_extensions",
            "{ \"127.0.0.1:25\" = [] }",
            "expected a list with at least one entry, but found an empty one for 127.0.0.1:25",
        ),
        (
            "limits.sessions",
            "99999999999999999999999999",
            "expected a whole number from 1 to 100000, but found the number 9999",
        ),
    ] {
        let error = parsed(&with(key, value)).unwrap_err();
        let reason = error.split_once(": ").unwrap().1;
        assert!(reason.starts_with(expected), "{error}");
    }
}

#[test]
fn slips_in_the_keys_of_a_next_hop_and_of_notices_say_what_was_expected() {
    for (key, value, expected) in [
        ("relay.recipients_per_message", "\"100\"", "expected a whole number from 1 to 10000, without quotes"),
        ("relay.recipients_per_message", "0", "expected a whole number from 1 to 10000, but found the number 0"),
        (
            "relay.messages_per_connection",
            "10001",
            "expected a whole number from 1 to 10000, but found the number 10001",
        ),
        ("relay.ip", "4", "expected 4, 6 or any, in quotes"),
        ("relay.ip", "\"ipv4\"", "expected 4, 6 or any, in quotes"),
        ("relay.mx_networks", "\"10.0.0.0/8\"", "expected a list such as [\"10.0.0.0/8\"]"),
        ("relay.mx_networks", "[\"lan\"]", "expected a network such as 192.168.1.0/24, but found \"lan\""),
        ("relay.mx_networks", "[\"10.0.0.1/8\"]", "expected the network 10.0.0.0/8 or the address 10.0.0.1"),
        ("relay.mta_sts", "\"enforce\"", "expected true or false"),
        ("relay.discard_extensions", "\"DSN\"", "expected a list"),
        ("relay.discard_extensions", "[\"STARTTLS\"]", "expected "),
        ("relay.notices_from", "\"<>\"", "expected an address in ASCII such as user@"),
        ("relay.notices_from", "true", "expected an address in ASCII such as user@"),
        ("notices.from", "\"bücher@example.com\"", "expected an address in ASCII such as user@"),
        ("notices.from", "[\"a@b\"]", "expected an address in ASCII such as user@"),
        ("alarm.failed", "-1", "expected a whole number from 0 to 100000, but found the number -1"),
        ("alarm.failed", "\"1\"", "expected a whole number from 0 to 100000, without quotes"),
        ("relay.long_lines", "\"fold\"", "expected keep or wrap, but found \"fold\""),
        ("relay.long_lines", "998", "expected keep or wrap, but found the number 998"),
        ("submission.long_lines", "true", "expected keep or wrap, but found true"),
        ("rewrite.remove", "\"Bcc\"", "expected a list such as [\"Bcc\"], but found the text \"Bcc\""),
        ("rewrite.add", "\"X: y\"", "expected a table of names and what they mean"),
        ("rewrite.replace", "{ X = 3 }", "expected the content of a header field"),
        ("relay.eight_bit", "false", "expected "),
        ("relay.chunking", "\"yes\"", "expected true or false"),
        ("relay.xforward", "1", "expected true or false, but found the number 1"),
        ("relay.connections", "101", "expected a whole number from 1 to 100, but found the number 101"),
        ("spam.tag", "\"0.9\"", "expected a score such as 0.99 or 6, but found the text"),
        ("spam.hold", "1001", "expected a score from -1000 to 1000, but found the number 1001"),
        ("spam.refuse", "nan", "expected a score from -1000 to 1000"),
        ("spam.train_ham", "\"ham\"", "expected an address such as user@"),
        ("spam.timeout", "\"5m\"", "expected a duration from 1s to 4m"),
        ("relay.pace", "30", "expected "),
        ("relay.max_size", "1", "expected a size"),
        ("relay.source", "\"lan\"", "expected an address of this host such as 192.0.2.7, but found \"lan\""),
        ("relay.auth", "\"ntlm\"", "expected auto, plain, login"),
        ("relay.tls_pin", "\"md5:x\"", "expected "),
        ("relay.helo", "\"a b\"", "expected "),
        ("recipients.source", "\"sqlite:x?table=t\"", "expected no table= here, as the query names it"),
        ("recipients.source_query", "\"SELECT 1 WHERE a = ':address'\"", "expected :address without quotes"),
        ("list.members_query", "\"DROP TABLE people\"", "expected a query that begins with SELECT or WITH"),
        ("list.members_database", "\"/var/people.db\"", "expected a URL that begins with sqlite:, postgres: or mysql:"),
    ] {
        let error = parsed(&with(key, value)).unwrap_err();
        let reason = error.split_once(": ").unwrap().1;
        assert!(error.starts_with("leafmail.toml:2: ") && reason.starts_with(expected), "{key} = {value}: {error}");
    }
    let fallback = "[relay]\nurl = \"smtp://a.example\"\n[[relay.fallback]]\nurl = \"smtp://b.example\"\nnotices_from = \"a@b.example\"\n";
    let error = parsed(fallback).unwrap().check().unwrap_err().to_string();
    assert!(
        error.contains(":5: relay.fallback[0].notices_from is set, but that is a matter of the whole route"),
        "{error}"
    );
}

#[test]
fn all_slips_are_said_in_the_order_of_their_lines() {
    let said = |text: &str| parsed(text).unwrap_err();
    assert_eq!(
        said("[queue]\nretry = \"5m\"\n[relay]\nhostname = \"x\"\npassword = \"y\"\n[limits]\nidle = 3\nspeed = 1\n"),
        "leafmail.toml:2: expected a list such as [\"5m\"], but found the text \"5m\"\n\
         leafmail.toml:4: \"hostname\" belongs above the first [section], not in [relay]\n\
         leafmail.toml:5: unknown key \"password\": passwords stay in a file of their own: password_file = \
         \"/etc/leafmail/password\"\n\
         leafmail.toml:7: expected a duration such as 30s, 5m, 1h30m or 4d, but found the number 3\n\
         leafmail.toml:8: unknown key \"speed\"; the keys in [limits] are sessions, sessions_per_address, \
         connections_per_second, exempt, idle, session, slow_after_errors, close_after_errors, slowest_body, junk_commands, \
         overload, overload_idle, auth_failures, lockout, refusals, refused_messages, shutdown"
    );
    let lists = said("[clients]\nnetworks = [\n\"10.0.0.0/8\",\n\"lan\",\n3,\n]\nhelo = [\n\"..\"]\n");
    let lines: Vec<_> = lists.lines().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["4", "5", "8"], "{lists}");
    let routes =
        said("[[route]]\nnmae = \"a\"\n[[route]]\nname = \"b\"\n[[route.fallback]]\nurl = 3\n[[relay]]\nurl = 3\n");
    let lines: Vec<_> = routes.lines().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["2", "6", "7"], "{routes}");
}

#[test]
fn contradictions_are_said_with_slips_elsewhere() {
    let lines = |text: &str| {
        let error = parsed(text).and_then(|config| config.check().map_err(|error| error.to_string())).unwrap_err();
        error.lines().map(|line| line.split(':').nth(1).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let contradiction = "[notices]\ncopy_failures = true\n[clients]\nnetworks = [\"0.0.0.0/0\"]\n";
    assert_eq!(lines(contradiction), "2 4");
    assert_eq!(lines(&format!("{contradiction}[log]\nlevle = \"info\"\n")), "2 4 6");
    // What was meant may have been in order.
    assert_eq!(lines(&format!("{contradiction}[recipients]\nalow = [\"@example.com\"]\n")), "2 6");
    assert_eq!(lines("[relay]\nurl = \"smtp://u@h\"\npassword = \"p\"\n"), "3");
    assert_eq!(lines("[relay]\nurl = \"smtp://u@h\"\nhostname = \"p\"\n"), "2 3");
    assert_eq!(lines("[notices]\ncopy_failures = true\nadmin = 3\n"), "3");
    assert_eq!(lines("networks = [\"10.0.0.0/8\"]\n[clients]\nxclient = [\"8.8.8.8\"]\n"), "1");
}

#[test]
fn very_many_slips_are_cut_short() {
    let many: String = (0..2_000).map(|number| format!("key{number} = 1\n")).collect();
    let error = parsed(&many).unwrap_err();
    assert!(error.lines().count() == 21 && error.ends_with("\nand more"), "{error}");
    assert!(error.starts_with("leafmail.toml:1: unknown key"), "{error}");
    let all_wrong = uncommented(super::SAMPLE).replace(" = ", " = 1.5 #");
    assert!(parsed(&all_wrong).unwrap_err().lines().count() > 19);
}
