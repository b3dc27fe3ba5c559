//! `docs/leafmail.toml` names every key with its default, says something of each, and as it is shipped changes nothing.

use std::time::Duration;

use super::{SAMPLE, values_of};
use crate::config::reading::keys::{OF_ROUTES, sections};
use crate::config::*;

/// A key or a heading that is commented out is right after its `#`; prose has a blank between.
pub(super) fn uncommented(sample: &str) -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) || key.starts_with("[[") => key.to_owned(),
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
        process: ProcessSection {
            user: Some("leafmail".to_owned()),
            group: Some("leafmail".to_owned()),
            ..ProcessSection::default()
        },
        tls: TlsSection {
            certificate: Some("/etc/leafmail/cert.pem".into()),
            key: Some("/etc/leafmail/key.pem".into()),
            client_ca: Some("/etc/leafmail/clients.pem".into()),
            ..TlsSection::default()
        },
        auth: AuthSection { users: Some("/etc/leafmail/users".into()), ..AuthSection::default() },
        reserve: ReserveSection { space: Some(1_000_000_000), inodes: Some(10_000) },
        relay: every_key_of_relay(),
        route: vec![RouteSection {
            name: values::FromText::from_text("scans").ok(),
            senders: vec!["scanner@example.com".parse().unwrap()],
            recipients: vec!["@example.com".parse().unwrap(), "@.example.com".parse().unwrap()],
            clients: vec!["192.168.1.32/28".parse().unwrap()],
            logins: vec!["scanner".to_owned()],
            url: "smtp://scans%40example.com@mail.example.com".parse().ok(),
            ..RouteSection::default()
        }],
        dnsbl: vec![DnsblSection { zone: "bl.example.org".parse().ok(), ..DnsblSection::default() }],
        authentication: AuthenticationSection {
            authserv_id: "mx.example.com".parse().ok(),
            ..AuthenticationSection::default()
        },
        dns: DnsSection { servers: vec!["127.0.0.1:53".parse().unwrap()], ..DnsSection::default() },
        recipients: RecipientsSection {
            source: values::FromText::from_text("file:/etc/leafmail/recipients").ok(),
            source_query: "SELECT 1 FROM mailboxes WHERE address = :address".parse().ok(),
            source_password_file: Some("/etc/leafmail/database-password".into()),
            source_domains: vec!["example.com".parse().unwrap()],
            ..RecipientsSection::default()
        },
        policy_service: vec![PolicyServiceSection {
            address: values::FromText::from_text("unix:/run/postgrey/socket").ok(),
            except: vec!["192.168.1.0/24".parse().unwrap()],
            listeners: vec![":25".parse().unwrap()],
            ..PolicyServiceSection::default()
        }],
        rate_limit: vec![RateLimitSection {
            connections: paces(&[(30, 60), (300, 3_600)]),
            messages: paces(&[(60, 60), (600, 3_600)]),
            recipients: paces(&[(200, 60), (2_000, 3_600)]),
            except: vec!["192.168.1.10/32".parse().unwrap()],
            listeners: vec![":25".parse().unwrap()],
            ..RateLimitSection::default()
        }],
        dkim: vec![DkimSection {
            domains: vec!["example.com".parse().unwrap()],
            selector: "mail2026".parse().ok(),
            key_file: Some("/etc/leafmail/dkim.pem".into()),
            except: vec!["192.168.1.5/32".parse().unwrap()],
        }],
        list: vec![ListSection {
            address: "staff@example.lan".parse().ok(),
            members: vec!["ann@example.com".parse().unwrap(), "bob@example.com".parse().unwrap()],
            members_file: Some("/etc/leafmail/staff".into()),
            members_database: "sqlite:/var/lib/people/people.db".parse().ok(),
            members_query: "SELECT address FROM members WHERE list = :address".parse().ok(),
            members_password_file: Some("/etc/leafmail/database-password".into()),
            bounces: "postmaster@example.lan".parse().ok(),
            owner: "postmaster@example.lan".parse().ok(),
            max_size: Some(1_000_000),
            ..ListSection::default()
        }],
        milter: vec![MilterSection {
            address: values::FromText::from_text("unix:/run/rspamd/milter.sock").ok(),
            except: vec!["192.168.1.0/24".parse().unwrap()],
            listeners: vec![":25".parse().unwrap()],
            macros: vec![(
                values::FromText::from_text("daemon_name").unwrap(),
                values::FromText::from_text("relay").unwrap(),
            )],
            ..MilterSection::default()
        }],
        hook: vec![HookSection {
            command: Some("/etc/leafmail/hook.py".to_owned()),
            url: values::FromText::from_text("https://hooks.example.com/mail").ok(),
            except: vec!["192.168.1.0/24".parse().unwrap()],
            listeners: vec![":25".parse().unwrap()],
            ..HookSection::default()
        }],
        spam: SpamSection {
            bogofilter: Some("bogofilter -d /var/lib/leafmail/bogofilter".to_owned()),
            rspamd: values::FromText::from_text("http://127.0.0.1:11334").ok(),
            tag: crate::spam::SpamScore::new(0.99),
            hold: crate::spam::SpamScore::new(0.999),
            refuse: crate::spam::SpamScore::new(1.0),
            except: vec!["192.168.1.0/24".parse().unwrap()],
            train_spam: "spam@relay.example.lan".parse().ok(),
            train_ham: "ham@relay.example.lan".parse().ok(),
            train_from: vec!["192.168.1.10/32".parse().unwrap()],
            ..SpamSection::default()
        },
        rewrite: vec![RewriteSection {
            senders: vec!["@.example.lan".parse().unwrap()],
            recipients: vec!["@example.com".parse().unwrap()],
            clients: vec!["192.168.1.0/24".parse().unwrap()],
            logins: vec!["scanner".to_owned()],
            routes: values::FromText::from_text("relay").into_iter().collect(),
            envelope_sender: "bounces@example.com".parse().ok(),
            from: "alerts@example.com".parse().ok(),
            sender: "relay@example.com".parse().ok(),
            masquerade: vec!["example.com".parse().unwrap()],
            remove: vec!["Bcc".parse().unwrap(), "X-Originating-IP".parse().unwrap()],
            replace: vec![("User-Agent".parse().unwrap(), values::FromText::from_text("none").unwrap())],
            add: vec![("Organization".parse().unwrap(), values::FromText::from_text("Example Ltd.").unwrap())],
        }],
        serve: ServeSection {
            hosts: vec!["relay.example.lan".parse().unwrap()],
            certificate: Some("/etc/leafmail/page.pem".into()),
            key: Some("/etc/leafmail/page.key".into()),
            ..ServeSection::default()
        },
        aliases: AliasesSection {
            file: Some("/etc/leafmail/aliases".into()),
            local_domains: vec!["relay.example.lan".parse().unwrap(), "example.lan".parse().unwrap()],
            ..AliasesSection::default()
        },
        archive: ArchiveSection { address: "copies@archive.invalid".parse().ok() },
        notices: NoticesSection {
            admin: "postmaster@example.com".parse().ok(),
            from: "mail-errors@example.com".parse().ok(),
            ..NoticesSection::default()
        },
        log: LogSection {
            file: Some("/var/log/leafmail.log".into()),
            trace_clients: vec!["192.168.1.20/32".parse().unwrap()],
            trace_routes: vec!["relay".to_owned()],
            ..LogSection::default()
        },
        heartbeat: HeartbeatSection {
            to: "me@example.com".parse().ok(),
            from: "alerts@example.com".parse().ok(),
            ..HeartbeatSection::default()
        },
        alarm: AlarmSection {
            command: Some("/etc/leafmail/alarm".to_owned()),
            webhook: values::FromText::from_text("https://alerts.example.com/hook").ok(),
            ..AlarmSection::default()
        },
        event_hook: vec![EventHookSection {
            command: Some("/etc/leafmail/events".to_owned()),
            url: values::FromText::from_text("https://events.example.com/hook").ok(),
            routes: vec!["relay".to_owned()],
            ..EventHookSection::default()
        }],
        ..Config::default()
    };
    assert_eq!(shown, examples);
}

fn paces(paces: &[(u32, u64)]) -> Vec<crate::queue::routes::pace::Pace> {
    let pace = |(messages, seconds): &(u32, u64)| crate::queue::routes::pace::Pace {
        messages: *messages,
        per: Duration::from_secs(*seconds),
    };
    paces.iter().map(pace).collect()
}

fn every_key_of_relay() -> RouteSection {
    let timeouts = crate::transport::Timeouts::default();
    RouteSection {
        url: "maildir:./inbox".parse().ok(),
        preset: Some(Preset::Microsoft365),
        region: values::FromText::from_text("eu-west-1").ok(),
        user: values::FromText::from_text("alerts@example.com").ok(),
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
        source: "192.0.2.7".parse().ok(),
        connections: Some(4),
        pace: Some(crate::queue::routes::pace::Pace { messages: 25, per: Duration::from_secs(60) }),
        max_size: Some(25_000_000),
        recipients_per_message: Some(100),
        messages_per_connection: Some(20),
        notices_from: "mail-errors@example.com".parse().ok(),
        timeouts: TimeoutKeys {
            connect: Some(timeouts.connect),
            command: Some(timeouts.command),
            data: Some(timeouts.data),
            block: Some(timeouts.block),
            end_of_data: Some(timeouts.end_of_data),
        },
        oauth2: OAuth2 {
            token_url: values::FromText::from_text("https://login.example.com/token").ok(),
            client_id: Some("leafmail".to_owned()),
            client_secret_file: Some("/etc/leafmail/client-secret".into()),
            refresh_token_file: Some("/etc/leafmail/refresh-token".into()),
            scope: Some("https://outlook.office.com/SMTP.Send offline_access".to_owned()),
            keep_in: Some("./spool/routes/relay.token".into()),
        },
        fallback: vec![RouteSection { url: "smtp://backup.example.com".parse().ok(), ..RouteSection::default() }],
        ..RouteSection::default()
    }
}

#[test]
fn the_sample_names_every_key_and_says_something_of_each() {
    let mut section = String::new();
    let mut named = Vec::new();
    let mut told = false;
    for line in SAMPLE.lines() {
        let heading = line.strip_prefix("#[[").and_then(|line| line.strip_suffix("]]"));
        if let Some(name) = heading.or_else(|| line.strip_prefix('[').and_then(|line| line.strip_suffix(']'))) {
            section = format!("{name}.");
            continue;
        }
        if let Some((key, _)) =
            line.strip_prefix('#').and_then(|line| line.split_once(" = ")).filter(|_| !line.starts_with("# "))
        {
            assert!(told, "nothing is said of {key}");
            named.push(format!("{section}{key}"));
        }
        told = line.starts_with("# ") || (told && line.starts_with('#'));
    }
    assert_eq!(named, every_key());
}

/// Every key of the file; of other routes and next hops than `[relay]` those that it has not, and `url`.
pub(super) fn every_key() -> Vec<String> {
    let mut found = Vec::new();
    for (section, keys) in sections() {
        let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
        let keys = if section == "route" { [&OF_ROUTES[..], &["url"]].concat() } else { keys };
        if section == "route" {
            found.push("relay.fallback.url".to_owned());
        }
        found.extend(keys.iter().map(|key| format!("{prefix}{key}")));
    }
    let is_section = |key: &str| key == "relay.fallback" || sections().iter().any(|(section, _)| *section == key);
    found.retain(|key| !is_section(key));
    found
}
