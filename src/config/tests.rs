//! The configuration as a whole: what a slip in the file is answered with, that no input makes it panic, and that the
//! sample names every key.

mod sample;
mod slips;

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::reading::keys::REPEATED;
use super::*;
use crate::queue::InDoubt;
use crate::transport::RouteSettings;
use sample::{every_key, uncommented};

const SAMPLE: &str = include_str!("../../docs/leafmail.toml");

fn parsed(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("leafmail.toml")).map_err(|error| error.to_string())
}

/// The same without what it remembers of the file.
fn values_of(text: &str) -> Config {
    Config { origin: ConfigOrigin::default(), ..parsed(text).unwrap() }
}

#[test]
fn an_empty_file_means_the_defaults_which_serve_the_loopback_only() {
    let config = values_of("");
    assert_eq!(config, Config::default());
    assert_eq!(config.check(), Ok(()));
    assert!(config.rules().networks.iter().all(|network| network.addr().is_loopback()));
    assert!(config.listen.addresses.is_empty());
    assert_eq!((config.queue.in_doubt, config.aliases.file), (InDoubt::Resend, None));
    assert_eq!(config.notices, NoticesSection { admin: None, per_hour: 100, copy_failures: false, from: None });
}

#[test]
fn every_slip_names_its_line_and_what_was_expected() {
    for (text, error) in [
        (
            "\n[clients]\nnetworks = [\n  \"10.0.0.0/8\",\n  \"192.168.1\",\n]",
            "leafmail.toml:5: expected a network such as 192.168.1.0/24, but found \"192.168.1\"",
        ),
        ("[clients]\nnetwroks = []", "leafmail.toml:2: unknown key \"netwroks\"; did you mean \"networks\"?"),
        ("[cleints]\nnetworks = []", "leafmail.toml:1: unknown section \"cleints\"; did you mean \"clients\"?"),
        (
            "[protocol]\nspeed = 3",
            "leafmail.toml:2: unknown key \"speed\"; the keys in [protocol] are strict_821, strict_syntax, require_helo, early_talkers",
        ),
        ("[protocol]\nearly_talkers = \"pause\"", "leafmail.toml:2: expected serve or refuse, but found \"pause\""),
        ("[protocol]\nrequire_helo = \"yes\"", "leafmail.toml:2: expected true or false, but found the text \"yes\""),
        ("[protocol]\nstrict_syntax = 1", "leafmail.toml:2: expected true or false, but found the number 1"),
        ("[senders]\nspeed = 3", "leafmail.toml:2: unknown key \"speed\"; the keys in [senders] are allow, deny"),
        ("[relay.timeouts]\nconect = \"1s\"", "leafmail.toml:2: unknown key \"conect\"; did you mean \"connect\"?"),
        (
            "hostname = \"a b\"",
            "leafmail.toml:1: expected a host or domain name such as relay.example.lan, but found \"a b\"",
        ),
        (
            "hostname = \"bücher.lan\"",
            "leafmail.toml:1: expected a host or domain name such as relay.example.lan, but found \"bücher.lan\"",
        ),
        (
            "hostname = \"\"",
            "leafmail.toml:1: expected a host or domain name such as relay.example.lan, but found an empty text",
        ),
        ("spool = \"\"", "leafmail.toml:1: expected a path, but found an empty text"),
        ("spool_sync = \"never\"", "leafmail.toml:1: expected auto or always, but found \"never\""),
        ("spool_sync = false", "leafmail.toml:1: expected auto or always, but found false"),
        ("spool = 3", "leafmail.toml:1: expected a path, but found the number 3"),
        (
            "[listen]\naddresses = [\"2525\"]",
            "leafmail.toml:2: expected an address such as 127.0.0.1:2525, [::1]:2525, tls:0.0.0.0:465 or unix:/run/leafmail/smtp.sock, but found \"2525\"; the address is missing: 127.0.0.1:2525 takes mail from this host alone",
        ),
        (
            "[clients]\nhelo = [\"*.lan\", \".*\"]",
            "leafmail.toml:2: expected a name such as printer.lan, names below one such as *.lan, or *, but found \".*\"",
        ),
        ("[clients]\nhelo = []", "leafmail.toml:2: expected a list with at least one entry, but found an empty one"),
        ("[clients]\nverify = \"dns\"", "leafmail.toml:2: expected none or rdns, but found \"dns\""),
        ("[clients]\nreverse_names = \"yes\"", "leafmail.toml:2: expected true or false, but found the text \"yes\""),
        (
            "[senders]\n\nallow = [\"*@example.com\"]",
            "leafmail.toml:3: expected an address such as user@example.com, a domain such as @example.com, or subdomains such as @.example.com, but found \"*@example.com\"",
        ),
        (
            "[recipients]\nmax = 99",
            "leafmail.toml:2: expected a whole number from 100 to 10000, but found the number 99",
        ),
        (
            "[recipients]\nmax = -1",
            "leafmail.toml:2: expected a whole number from 100 to 10000, but found the number -1",
        ),
        (
            "[message]\nmax_size = \"35M\"",
            "leafmail.toml:2: expected a size with its unit, such as 500kB, 35MB or 64MiB, but found \"35M\"",
        ),
        (
            "[message]\nmax_size = 35",
            "leafmail.toml:2: expected a size with its unit, such as 500kB, 35MB or 64MiB, but found the number 35",
        ),
        ("[message]\nmax_size = \"1kB\"", "leafmail.toml:2: expected a size from 64KiB to 2GB, but found \"1kB\""),
        (
            "[verify]\naddresses = [\n\"joe\"]",
            "leafmail.toml:3: expected an address such as user@example.lan, but found \"joe\"",
        ),
        (
            "[verify]\n\nlists = { \"staff\" = [\"a@b\"] }",
            "leafmail.toml:3: expected an address such as user@example.lan, but found \"staff\"",
        ),
        (
            "[verify]\nlists = { \"staff@b\" = [] }",
            "leafmail.toml:2: expected a list with at least one entry, but found an empty one for staff@b",
        ),
        (
            "[clients]\nxclient = [\"proxy\"]",
            "leafmail.toml:2: expected a network such as 192.168.1.0/24, but found \"proxy\"",
        ),
        (
            "[clients]\nxforward = [\"10.0.0.1/8\"]",
            "leafmail.toml:2: expected the network 10.0.0.0/8 or the address 10.0.0.1, but found \"10.0.0.1/8\"",
        ),
        ("[queue]\nreturn_full = \"1GB\"", "leafmail.toml:2: expected a size from 1kB to 100MB, but found \"1GB\""),
        (
            "[message]\nrequired_headers = [\"From:\"]",
            "leafmail.toml:2: expected the name of a header field such as Subject, but found \"From:\"",
        ),
        ("[message]\nbare_newline = \"accept\"", "leafmail.toml:2: expected refuse or normalize, but found \"accept\""),
        (
            "[limits]\nidle = \"5 minutes\"",
            "leafmail.toml:2: expected a duration such as 30s, 5m, 1h30m or 4d, but found \"5 minutes\"",
        ),
        ("[limits]\nidle = \"2h\"", "leafmail.toml:2: expected a duration from 1s to 1h, but found \"2h\""),
        ("[limits]\nsessions = 0", "leafmail.toml:2: expected a whole number from 1 to 100000, but found the number 0"),
        (
            "[queue]\nretry = [\n\"1m\",\n\"0s\"]",
            "leafmail.toml:4: expected a duration from 1s to 1d, but found \"0s\"",
        ),
        ("[queue]\nretry = []", "leafmail.toml:2: expected a list with at least one entry, but found an empty one"),
        ("[queue]\nin_doubt = \"drop\"", "leafmail.toml:2: expected resend or hold, but found \"drop\""),
        (
            "[notices]\nadmin = \"postmaster\"",
            "leafmail.toml:2: expected an address in ASCII such as user@example.lan, but found \"postmaster\"",
        ),
        (
            "[notices]\nper_hour = 0",
            "leafmail.toml:2: expected a whole number from 1 to 100000, but found the number 0",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "leafmail.toml:2: expected off, error, warn, info, debug or trace, but found \"loud\"",
        ),
        (
            "[relay]\nurl = \"mail.example.com\"",
            "leafmail.toml:2: expected a URL that begins with smtp:, smtps:, lmtp:, mx:, maildir:, mbox:, pipe:, pipe+from:, sqlite:, postgres:, postgresql:, mysql:, mariadb:, https:, http:, hold:, discard: or error:, but found \"mail.example.com\"",
        ),
        (
            "[relay]\nauth = \"ntlm\"",
            "leafmail.toml:2: expected auto, plain, login, cram-md5, scram-sha-256, xoauth2, oauthbearer or external, but found \"ntlm\"",
        ),
        (
            "[relay]\ntls_roots = \"sytem\"",
            "leafmail.toml:2: expected system, webpki or the path of a PEM file, but found \"sytem\"",
        ),
        (
            "[relay]\ntls_pin = \"sha1:00\"",
            "leafmail.toml:2: expected sha256: and 64 hexadecimal digits or 44 characters of base64, but found \"sha1:00\"",
        ),
        ("[relay]\neight_bit = \"7bit\"", "leafmail.toml:2: expected send or bounce, but found \"7bit\""),
        ("[relay]\nxforward = 1", "leafmail.toml:2: expected true or false, but found the number 1"),
        (
            "[relay.oauth2]\ntoken_url = \"http://login.example.com/token\"",
            "leafmail.toml:2: expected a URL such as https://login.example.com/token (http: to 127.0.0.1 or [::1] only), but found \"http://login.example.com/token\"",
        ),
    ] {
        assert_eq!(parsed(text).unwrap_err(), error);
    }
}

#[test]
fn what_is_not_toml_names_its_line_on_one_line() {
    for (text, line) in
        [("a = 1\nb = [", 2), ("\n\nx y", 3), ("[log]\nlevel = \"info", 2), ("spool = \"a\"\nspool = \"b\"", 2)]
    {
        let error = parsed(text).unwrap_err();
        assert!(error.starts_with(&format!("leafmail.toml:{line}: ")) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn files_of_other_editors_are_read_with_the_same_lines() {
    assert_eq!(values_of("\u{feff}spool = \"a\"\r\n").spool.to_str(), Some("a"));
    let error = parsed("\u{feff}# x\r\n\r\nspool = 1\r\n").unwrap_err();
    assert_eq!(error, "leafmail.toml:3: expected a path, but found the number 1");
}

/// The main next hop of the last route.
fn relay(config: &Config) -> RouteSettings {
    config.routes().pop().unwrap().hops.remove(0)
}

#[test]
fn values_reach_the_stages() {
    assert_eq!(values_of("spool_sync = \"always\"").spool_sync, SpoolSync::Always);
    let config = values_of(
        "hostname = \"relay.lan\"\n[clients]\nown_public_networks = [\"2001:db8:1::/48\"]\nverify = \"rdns\"\n\
         [relay]\nurl = \"smtp://u@mail.example.com\"\npassword_file = \"/p\"\n[relay.timeouts]\ndata = \"7s\"\n",
    );
    let route = relay(&config);
    assert_eq!((route.helo.as_str(), route.timeouts.data), ("relay.lan", Duration::from_secs(7)));
    assert_eq!(route.timeouts.end_of_data, crate::transport::Timeouts::default().end_of_data);
    assert_eq!(route.password, Some(crate::transport::SecretSource::File("/p".into())));
    let told =
        values_of("[queue]\nin_doubt = \"hold\"\n[notices]\nadmin = \"a@b\"\nper_hour = 7\ncopy_failures = true");
    assert_eq!((told.queue.in_doubt, told.check()), (InDoubt::Hold, Ok(())));
    let notices = NoticesSection { admin: "a@b".parse().ok(), per_hour: 7, copy_failures: true, from: None };
    assert_eq!(told.notices, notices);
    let rules = config.rules();
    assert_eq!((rules.networks.len(), rules.default_domain.as_str()), (3, "relay.lan"));
    assert_eq!(rules.verify, crate::policy::Verify::Rdns);
}

#[test]
fn a_relay_of_the_command_line_takes_the_password_along_only_for_a_user() {
    let text = "[relay]\nurl = \"smtp://u@h\"\npassword_env = \"P\"";
    let mut config = parsed(text).unwrap();
    config.relay_to("maildir:./here".parse().unwrap());
    assert_eq!((relay(&config).password, config.check()), (None, Ok(())));
    let mut config = parsed("[relay]\nurl = \"maildir:x\"").unwrap();
    config.relay_to("smtp://u@h".parse().unwrap());
    // The file's line says something else by now.
    assert!(config.check().unwrap_err().to_string().starts_with("leafmail.toml: relay.url names the user"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", raw: String) {
        let _ = (parsed(&text).map(|config| config.check()), parsed(&raw).map(|config| config.check()));
    }

    #[test]
    fn no_damage_to_a_good_file_makes_it_panic(cut in 0..SAMPLE.len(), length in 0..40_usize, put in "\\PC{0,12}|[\\[\\]{}\"'=.\\n#0-9-]{0,12}") {
        let text = uncommented(SAMPLE);
        let from = text.floor_char_boundary(cut.min(text.len()));
        let to = text.floor_char_boundary((from + length).min(text.len()));
        let damaged = format!("{}{put}{}", &text[..from], &text[to..]);
        if let Ok(config) = parsed(&damaged) {
            let _ = (config.check().map_err(|error| error.to_string()), config.routes(), config.rewritings());
        }
    }

    #[test]
    fn no_value_of_any_key_makes_it_panic(key in proptest::sample::select(every_key()), value in "\"\\PC{0,40}\"|\\[\"\\PC{0,40}\"\\]|-?[0-9]{1,25}|true|\\{\\}|\\[\\]|1e9|nan|1979-05-27") {
        let (table, key) = key.rsplit_once('.').unwrap_or(("", &key));
        let heading = match table {
            "" => String::new(),
            name if name == "relay.fallback" || REPEATED.contains(&name) => format!("[[{table}]]\n"),
            _ => format!("[{table}]\n"),
        };
        if let Ok(config) = parsed(&format!("{heading}{key} = {value}")) {
            let _ = (config.check().map_err(|error| error.to_string()), config.routes(), config.rewritings());
        }
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for text in [
        "[".repeat(100_000),
        "a=".to_owned() + &"[".repeat(100_000),
        "a=".to_owned() + &"{a=".repeat(100_000),
        "a.".repeat(50_000),
    ] {
        assert!(parsed(&text).is_err());
    }
    // As deep as the reader goes.
    for depth in 1..100 {
        let nested = format!("relay={{{}{}}}", "fallback=[{".repeat(depth), "}]".repeat(depth));
        let _ = parsed(&nested).map(|config| (config.check(), config.routes()));
    }
}
