//! The configuration as a whole: what a slip in the file is answered with, that no input makes it panic, and that the
//! sample names every key.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use serde::de::value::Error as FieldsError;
use serde::de::{Deserializer, Error as _, Visitor};

use super::route::TimeoutsTable;
use super::*;

const SAMPLE: &str = include_str!("../../docs/leafmail.toml");

fn parsed(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("leafmail.toml")).map_err(|error| error.to_string())
}

/// The same without what it remembers of the file.
fn values_of(text: &str) -> Config {
    Config { origin: Origin::default(), ..parsed(text).unwrap() }
}

#[test]
fn an_empty_file_means_the_defaults_which_serve_the_loopback_only() {
    let config = values_of("");
    assert_eq!(config, Config::default());
    assert_eq!(config.check(), Ok(()));
    assert!(config.rules().networks.iter().all(|network| network.addr().is_loopback()));
    assert!(config.listen.addresses.is_empty());
}

#[test]
fn every_slip_names_its_line_and_what_was_expected() {
    for (text, error) in [
        (
            "\n[clients]\nnetworks = [\n  \"10.0.0.0/8\",\n  \"192.168.1\",\n]",
            "leafmail.toml:5: expected a network such as 192.168.1.0/24, but found \"192.168.1\"",
        ),
        ("[clients]\nnetwroks = []", "leafmail.toml:2: unknown key \"netwroks\"; did you mean \"networks\"?"),
        ("[cleints]\nnetworks = []", "leafmail.toml:1: unknown key \"cleints\"; did you mean \"clients\"?"),
        ("[protocol]\nspeed = 3", "leafmail.toml:2: unknown key \"speed\"; the keys here are strict_821"),
        ("[senders]\nspeed = 3", "leafmail.toml:2: unknown key \"speed\"; the keys here are allow, deny"),
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
        ("spool = 3", "leafmail.toml:1: expected a path, but found integer 3"),
        (
            "[listen]\naddresses = [\"2525\"]",
            "leafmail.toml:2: expected an address such as 127.0.0.1:2525, [::1]:2525, tls:0.0.0.0:465 or unix:/run/leafmail/smtp.sock, but found \"2525\"",
        ),
        (
            "[clients]\nhelo = [\"*.lan\", \".*\"]",
            "leafmail.toml:2: expected a name such as printer.lan, names below one such as *.lan, or *, but found \".*\"",
        ),
        ("[clients]\nhelo = []", "leafmail.toml:2: expected a list with at least one entry, but found an empty one"),
        ("[clients]\nverify = \"dns\"", "leafmail.toml:2: expected none or rdns, but found \"dns\""),
        ("[clients]\nreverse_names = \"yes\"", "leafmail.toml:2: expected a boolean, but found string \"yes\""),
        (
            "[senders]\n\nallow = [\"*@example.com\"]",
            "leafmail.toml:3: expected an address such as user@example.com, a domain such as @example.com, or subdomains such as @.example.com, but found \"*@example.com\"",
        ),
        ("[recipients]\nmax = 99", "leafmail.toml:2: expected a whole number from 100 to 10000, but found integer 99"),
        ("[recipients]\nmax = -1", "leafmail.toml:2: expected a whole number from 100 to 10000, but found integer -1"),
        (
            "[message]\nmax_size = \"35M\"",
            "leafmail.toml:2: expected a size with its unit, such as 500kB, 35MB or 64MiB, but found \"35M\"",
        ),
        (
            "[message]\nmax_size = 35",
            "leafmail.toml:2: expected a size with its unit, such as 500kB, 35MB or 64MiB, but found integer 35",
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
        ("[limits]\nsessions = 0", "leafmail.toml:2: expected a whole number from 1 to 100000, but found integer 0"),
        (
            "[queue]\nretry = [\n\"1m\",\n\"0s\"]",
            "leafmail.toml:4: expected a duration from 1s to 1d, but found \"0s\"",
        ),
        ("[queue]\nretry = []", "leafmail.toml:2: expected a list with at least one entry, but found an empty one"),
        (
            "[log]\nlevel = \"loud\"",
            "leafmail.toml:2: expected off, error, warn, info, debug or trace, but found \"loud\"",
        ),
        (
            "[relay]\nurl = \"mail.example.com\"",
            "leafmail.toml:2: expected smtp://HOST, smtps://HOST, mx: or maildir:PATH, but found \"mail.example.com\"",
        ),
        (
            "[relay]\nauth = \"ntlm\"",
            "leafmail.toml:2: expected auto, plain, login, cram-md5, scram-sha-256 or xoauth2, but found \"ntlm\"",
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
        ("[relay]\nxforward = 1", "leafmail.toml:2: expected a boolean, but found integer 1"),
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
    assert_eq!(error, "leafmail.toml:3: expected a path, but found integer 1");
}

#[test]
fn values_reach_the_stages() {
    let config = values_of(
        "hostname = \"relay.lan\"\n[clients]\nown_public_networks = [\"2001:db8:1::/48\"]\nverify = \"rdns\"\n\
         [relay]\nurl = \"smtp://u@mail.example.com\"\npassword_file = \"/p\"\n[relay.timeouts]\ndata = \"7s\"\n",
    );
    let route = config.route();
    assert_eq!((route.helo.as_str(), route.timeouts.data), ("relay.lan", Duration::from_secs(7)));
    assert_eq!(route.timeouts.end_of_data, crate::transport::Timeouts::default().end_of_data);
    assert_eq!(route.password, Some(crate::transport::Secret::File("/p".into())));
    let rules = config.rules();
    assert_eq!((rules.networks.len(), rules.default_domain.as_str()), (3, "relay.lan"));
    assert_eq!(rules.verify, crate::policy::Verify::Rdns);
}

#[test]
fn a_relay_of_the_command_line_takes_the_password_along_only_for_a_user() {
    let text = "[relay]\nurl = \"smtp://u@h\"\npassword_env = \"P\"";
    let mut config = parsed(text).unwrap();
    config.relay_to("maildir:./here".parse().unwrap());
    assert_eq!((config.route().password, config.check()), (None, Ok(())));
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
            let _ = config.check().map_err(|error| error.to_string());
        }
    }

    #[test]
    fn no_value_of_any_key_makes_it_panic(key in proptest::sample::select(every_key()), value in "\"\\PC{0,40}\"|\\[\"\\PC{0,40}\"\\]|-?[0-9]{1,25}|true|\\{\\}|\\[\\]|1e9|nan|1979-05-27") {
        if let Ok(config) = parsed(&format!("{key} = {value}")) {
            let _ = config.check().map_err(|error| error.to_string());
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
}

/// A key that is commented out stands right after its `#`; prose has a blank between.
fn uncommented(sample: &str) -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => key.to_owned(),
        _ => line.to_owned(),
    };
    sample.lines().map(bare).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_as_it_is_shipped_means_the_defaults() {
    assert_eq!(values_of(SAMPLE), Config::default());
}

#[test]
fn the_sample_shows_every_default() {
    let shown = values_of(&uncommented(SAMPLE));
    // Those without a fixed default are shown with an example.
    let examples = Config {
        hostname: "relay.example.lan".parse().unwrap(),
        default_domain: Some("example.lan".parse().unwrap()),
        tls: Tls {
            certificate: Some("/etc/leafmail/cert.pem".into()),
            key: Some("/etc/leafmail/key.pem".into()),
            client_ca: Some("/etc/leafmail/clients.pem".into()),
            ..Tls::default()
        },
        auth: Auth { users: Some("/etc/leafmail/users".into()), ..Auth::default() },
        reserve: Reserve { space: Some(1_000_000_000), inodes: Some(10_000) },
        relay: Relay {
            password_file: Some("/etc/leafmail/password".into()),
            password_env: Some("LEAFMAIL_PASSWORD".to_owned()),
            password_command: Some("pass show smarthost".to_owned()),
            token_file: Some("/run/leafmail/token".into()),
            token_command: Some("oauth2-token smarthost".to_owned()),
            tls_roots: Some(crate::transport::Roots::System),
            tls_pin: "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().ok(),
            tls_cert: Some("/etc/leafmail/client.pem".into()),
            tls_key: Some("/etc/leafmail/client.key".into()),
            helo: Some("relay.example.com".parse().unwrap()),
            oauth2: OAuth2 {
                token_url: values::FromText::from_text("https://login.example.com/token").ok(),
                client_id: Some("leafmail".to_owned()),
                client_secret_file: Some("/etc/leafmail/client-secret".into()),
                refresh_token_file: Some("/etc/leafmail/refresh-token".into()),
                scope: Some("https://outlook.office.com/SMTP.Send offline_access".to_owned()),
                keep_in: Some("./spool/routes/relay.token".into()),
            },
            ..Relay::default()
        },
        log: Log { file: Some("/var/log/leafmail.log".into()), ..Log::default() },
        ..Config::default()
    };
    assert_eq!(shown, examples);
}

#[test]
fn the_sample_names_every_key_and_says_something_of_each() {
    let mut section = String::new();
    let mut named = Vec::new();
    let mut told = false;
    for line in SAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) =
            line.strip_prefix('#').and_then(|line| line.split_once(" = ")).filter(|_| !line.starts_with("# "))
        {
            assert!(told, "nothing is said of {key}");
            named.push(format!("{section}{key}"));
        }
        told = line.starts_with("# ") || (told && line.starts_with('#'));
    }
    assert_eq!(named, every_key());
}

/// Every key of the file, from what serde knows of the structs.
fn every_key() -> Vec<String> {
    let sections = [
        ("listen.", fields_of::<Listen>()),
        ("clients.", fields_of::<Clients>()),
        ("tls.", fields_of::<Tls>()),
        ("auth.", fields_of::<Auth>()),
        ("senders.", fields_of::<Senders>()),
        ("recipients.", fields_of::<Recipients>()),
        ("verify.", fields_of::<Verify>()),
        ("message.", fields_of::<Message>()),
        ("protocol.", fields_of::<Protocol>()),
        ("limits.", fields_of::<Limits>()),
        ("reserve.", fields_of::<Reserve>()),
        ("relay.", fields_of::<Relay>()),
        ("relay.timeouts.", fields_of::<TimeoutsTable>()),
        ("relay.oauth2.", fields_of::<OAuth2>()),
        ("queue.", fields_of::<Queue>()),
        ("log.", fields_of::<Log>()),
    ];
    let is_section = |key: &str| sections.iter().any(|(prefix, _)| prefix.strip_suffix('.') == Some(key));
    let top = fields_of::<Config>();
    let inner = sections.iter().flat_map(|(prefix, fields)| fields.iter().map(move |field| format!("{prefix}{field}")));
    top.iter().map(|field| (*field).to_owned()).chain(inner).filter(|key| !is_section(key)).collect()
}

fn fields_of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut fields = Vec::new();
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

/// Notes the fields that a struct asks for, and gives none.
struct Fields<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = FieldsError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsError> {
        Err(FieldsError::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, FieldsError> {
        self.0.extend_from_slice(fields);
        Err(FieldsError::custom(fmt::Error))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
