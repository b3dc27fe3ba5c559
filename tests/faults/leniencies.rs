//! The settings that make the receiver more lenient, or stricter: the suites of smuggling, injection and open relays run
//! with each of them, and with all lenient ones at once.
//!
//! A setting is added to [`SETTINGS`]; every key of `[protocol]` must be there.

use leafmail::address::Syntax;
use leafmail::session::Settings;
use leafmail::smtp::body::BareNewline;

use crate::lab;
use crate::site::Site;

/// A key with what it may be set to. The first value is the most lenient one.
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    values: &'static [Value],
}

/// A value as it is written, and what it means for a session in this process; nothing, if it is not the session's affair.
struct Value {
    written: &'static str,
    apply: fn(&mut Settings),
}

const fn value(written: &'static str, apply: fn(&mut Settings)) -> Value {
    Value { written, apply }
}

const SETTINGS: &[Setting] = &[
    Setting {
        key: "message.bare_newline",
        values: &[value("\"normalize\"", |settings| settings.bare_newline = BareNewline::Normalize)],
    },
    Setting {
        // The addresses of the clients of these tests, in this process and over sockets.
        key: "clients.lf_only",
        values: &[value("[\"192.168.0.0/16\", \"127.0.0.1\"]", |settings| {
            settings.lf_only = vec!["192.0.2.0/24".parse().unwrap()];
        })],
    },
    Setting {
        key: "message.required_headers",
        values: &[value("[\"Subject\"]", |settings| settings.required_fields = ["Subject".to_owned()].into())],
    },
    // Its lenient value is the default; with the other there is no EHLO, which the suites begin with.
    Setting { key: "protocol.strict_821", values: &[value("false", |_| {})] },
    Setting {
        key: "protocol.strict_syntax",
        values: &[
            value("false", |settings| settings.syntax = Syntax::Lenient),
            value("true", |settings| settings.syntax = Syntax::Strict),
        ],
    },
    Setting {
        key: "protocol.require_helo",
        values: &[
            value("false", |settings| settings.require_helo = false),
            value("true", |settings| settings.require_helo = true),
        ],
    },
    Setting { key: "protocol.early_talkers", values: &[value("\"serve\"", |_| {}), value("\"refuse\"", |_| {})] },
    Setting { key: "auth.any_password_from", values: &[value("[\"127.0.0.1\"]", |_| {})] },
];

/// One choice of settings.
#[derive(Clone)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    chosen: Vec<(&'static str, &'static Value)>,
}

impl Configuration {
    /// Whether only one setting is not the default.
    pub(crate) fn is_single(&self) -> bool {
        self.chosen.len() == 1
    }

    /// For a session in this process.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        self.chosen.iter().for_each(|(_, value)| (value.apply)(settings));
    }

    /// For a program: into the configuration of a site.
    pub(crate) fn write(&self, site: &Site) {
        let mut text = std::fs::read_to_string(site.config()).unwrap();
        for (key, value) in &self.chosen {
            let (section, key) = key.split_once('.').unwrap();
            // What the site has set itself is replaced.
            let lines = text.lines().filter(|line| !line.starts_with(&format!("{key} = ")));
            text = lines.map(|line| format!("{line}\n")).collect();
            let (header, setting) = (format!("[{section}]\n"), format!("{key} = {}\n", value.written));
            match text.contains(&header) {
                true => text = text.replacen(&header, &format!("{header}{setting}"), 1),
                false => text += &format!("{header}{setting}"),
            }
        }
        std::fs::write(site.config(), text).unwrap();
    }
}

/// The defaults, each value of each setting alone, and all lenient ones at once.
pub(crate) fn all() -> Vec<Configuration> {
    let defaults = Configuration { name: "the defaults".to_owned(), chosen: Vec::new() };
    let single = SETTINGS.iter().flat_map(|setting| {
        setting.values.iter().map(|value| Configuration {
            name: format!("{} = {}", setting.key, value.written),
            chosen: vec![(setting.key, value)],
        })
    });
    let lenient = SETTINGS.iter().map(|setting| (setting.key, &setting.values[0])).collect();
    let together = Configuration { name: "all leniencies".to_owned(), chosen: lenient };
    std::iter::once(defaults).chain(single).chain([together]).collect()
}

/// For what takes long: the defaults and all leniencies at once; in the full form all.
pub(crate) fn some() -> Vec<Configuration> {
    let all = all();
    lab::either(vec![all[0].clone(), all[all.len() - 1].clone()], all)
}

#[test]
fn every_key_of_protocol_is_among_the_settings_that_the_suites_run_with() {
    let sample = include_str!("../../docs/leafmail.toml");
    let section = sample.split("\n[protocol]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let keys: Vec<_> = section.lines().filter_map(|line| line.strip_prefix('#')?.split_once(" = ")).collect();
    let keys: Vec<_> = keys.iter().map(|(key, _)| *key).filter(|key| !key.contains(' ')).collect();
    assert!(keys.contains(&"strict_821"), "{keys:?}");
    for key in keys {
        assert!(SETTINGS.iter().any(|setting| setting.key == format!("protocol.{key}")), "protocol.{key} is missing");
    }
}

#[test]
fn every_configuration_is_one() {
    for configuration in all() {
        let site = Site::new("");
        configuration.write(&site);
        let check = site.smtpd().args(["--listen", "127.0.0.1:0", "--check"]).output().unwrap();
        let said = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{}: {said}", configuration.name);
    }
}
