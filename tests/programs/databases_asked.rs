//! Databases that know which mailboxes exist and who the members of a list are: RCPT, VRFY, EXPN and delivery agree, and while one is
//! down mail waits.

use std::fs;

use crate::site::{Running, Site};
use crate::support::peers::sql_servers::{PASSWORD, TestDatabase};

const MESSAGE: &[u8] = b"From: Ann <ann@example.com>\r\nSubject: lunch\r\n\r\nAt noon.\r\n";

fn tables(database: &TestDatabase) {
    database.execute("CREATE TABLE mailboxes (address VARCHAR(200) PRIMARY KEY)");
    database.execute("CREATE TABLE members (list VARCHAR(200), address VARCHAR(200))");
    database.execute("INSERT INTO mailboxes VALUES ('joe@example.lan'), ('o''neil@example.lan')");
    for member in ["ann@example.com", "bob@example.com", "no address"] {
        database.execute(&format!("INSERT INTO members VALUES ('staff@example.lan', '{member}')"));
    }
}

/// A site that asks at this URL, with a list whose members may write to it.
fn site(scheme: &str, url: &str) -> Site {
    let site = Site::new("");
    fs::write(site.path("secret"), PASSWORD).unwrap();
    let password = |key: &str| match scheme {
        "sqlite" => String::new(),
        _ => format!("{key} = \"{}\"\n", site.path("secret").display()),
    };
    let text = format!(
        "[recipients]\nsource = \"{url}\"\nsource_query = \"SELECT 1 FROM mailboxes WHERE address = :address\"\n\
         source_domains = [\"example.lan\"]\nsource_timeout = \"5s\"\n{}[verify]\nsource = true\n\
         [[list]]\naddress = \"staff@example.lan\"\nexpn = true\nmembers_database = \"{url}\"\n\
         members_query = \"SELECT address FROM members WHERE list = :local || '@' || :domain ORDER BY address\"\n{}",
        password("source_password_file"),
        password("members_password_file"),
    );
    // There || is another word for OR.
    let text = if scheme == "mysql" { text.replace(":local || '@' || :domain", ":address") } else { text };
    let config = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), config + &text).unwrap();
    site
}

/// The replies to RCPT, in one transaction from this sender.
fn replies(smtpd: &Running, sender: &str, recipients: &[&str]) -> Vec<String> {
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect(&format!("MAIL FROM:<{sender}>"), "250");
    let ask = |recipient: &&str| {
        client.send(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
        client.reply().trim_end().to_owned()
    };
    recipients.iter().map(ask).collect()
}

fn words(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// While the database answers.
fn answers(site: &Site, smtpd: &Running, scheme: &str) {
    let said = replies(
        smtpd,
        "ann@example.com",
        &[
            "JOE@example.lan",
            "o'neil@example.lan",
            "amy@example.lan",
            "\"x' OR '1'='1\"@example.lan",
            "Staff@example.lan",
            "amy@else.where",
        ],
    );
    for (said, expected) in said.iter().zip(["250", "250", "550 5.1.1", "550 5.1.1", "250", "250"]) {
        assert!(said.starts_with(expected), "{scheme}: {said}");
    }
    let eve = replies(smtpd, "eve@example.com", &["staff@example.lan"]);
    assert!(eve[0].starts_with("550 5.7.2 "), "{scheme}: {eve:?}");
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("VRFY joe@example.lan", "250 2.1.5 <joe@example.lan>");
    client.expect("VRFY amy@example.lan", "550 5.1.1");
    client.expect("VRFY staff@example.lan", "250 2.1.5 <staff@example.lan>");
    let members = client.expect("EXPN staff", "250");
    assert_eq!(members, "250-2.1.5 <ann@example.com>\r\n250 2.1.5 <bob@example.com>\r\n", "{scheme}");
    let doctor = words(site, &["doctor"]);
    assert!(doctor.contains("it knows that leafmail-doctor-nobody does not exist"), "{scheme}: {doctor}");
    assert!(doctor.contains("2 members"), "{scheme}: {doctor}");
    let log = smtpd.log();
    assert!(log.contains("\"no address\" is no address, and gets no copy"), "{scheme}: {log}");
}

#[test]
fn rcpt_vrfy_expn_and_delivery_agree_with_the_database() {
    for database in TestDatabase::all() {
        tables(&database);
        for url in [&database.url, &database.tcp] {
            let site = site(database.scheme, url);
            let smtpd = site.listen(&[]);
            answers(&site, &smtpd, database.scheme);
            let id = smtpd.client().submit("ann@example.com", &["staff@example.lan"], MESSAGE);
            let told = words(&site, &["explain", &id]);
            assert!(told.contains("staff@example.lan is a list with 2 members"), "{told}");
            for _ in 0..2 {
                assert!(site.run(&[]).status.success());
            }
            let delivered = site.delivered().concat();
            let delivered = String::from_utf8_lossy(&delivered);
            for member in ["ann", "bob"] {
                assert!(delivered.contains(&format!("X-Original-To: {member}@example.com\r\n")), "{delivered}");
            }
            assert!(site.shelf("queue").is_empty(), "{}: {}", database.scheme, site.states());
        }
    }
}

#[test]
fn while_the_database_is_down_mail_waits_and_nobody_is_refused() {
    for mut database in [TestDatabase::postgres(), TestDatabase::mariadb()].into_iter().flatten() {
        tables(&database);
        let site = site(database.scheme, &database.tcp);
        let smtpd = site.listen(&[]);
        smtpd.client().submit("ann@example.com", &["staff@example.lan"], MESSAGE);
        drop(smtpd);
        database.stop();
        // Nothing is known of before.
        let smtpd = site.listen(&[]);
        let said = replies(&smtpd, "ann@example.com", &["joe@example.lan", "staff@example.lan", "amy@else.where"]);
        for (said, expected) in said.iter().zip(["451 4.3.0", "451 4.3.0", "250"]) {
            assert!(said.starts_with(expected), "{}: {said}", database.scheme);
        }
        let mut client = smtpd.client();
        client.expect("EHLO device", "250");
        client.expect("VRFY joe@example.lan", "252");
        client.expect("EXPN staff@example.lan", "451 4.3.0");
        smtpd.wait_for_log("asking for the members of the list staff@example.lan: ");
        assert!(site.run(&["flush"]).status.success());
        assert_eq!((site.shelf("queue").len(), site.delivered().len()), (1, 0), "{}", site.states());
        let list = words(&site, &["list"]);
        assert!(list.contains("members of the mailing list"), "{list}");
        let doctor = words(&site, &["doctor"]);
        assert!(doctor.contains("it gives no answer") && doctor.contains("list staff@example.lan"), "{doctor}");
        database.start();
        for _ in 0..2 {
            assert!(site.run(&["flush"]).status.success());
        }
        assert_eq!((site.shelf("queue").len(), site.delivered().len()), (0, 1), "one copy for both: {}", site.states());
    }
}

#[test]
fn what_asks_a_database_changes_nothing_in_it() {
    for database in TestDatabase::all() {
        tables(&database);
        let site = site(database.scheme, &database.url);
        let text = fs::read_to_string(site.config()).unwrap();
        let query = match database.scheme {
            "postgres" => {
                "WITH gone AS (DELETE FROM mailboxes RETURNING address) SELECT address FROM gone WHERE address = :address"
            }
            _ => "SELECT 1 FROM mailboxes WHERE address = :address",
        };
        let asked = "SELECT 1 FROM mailboxes WHERE address = :address";
        fs::write(site.config(), text.replace(asked, query)).unwrap();
        let smtpd = site.listen(&[]);
        let said = replies(&smtpd, "ann@example.com", &["joe@example.lan"]);
        let expected = if database.scheme == "postgres" { "451" } else { "250" };
        assert!(said[0].starts_with(expected), "{}: {said:?}", database.scheme);
        assert_eq!(database.number("SELECT count(*) FROM mailboxes"), 2, "{}", database.scheme);
    }
    let site = site("sqlite", "sqlite:/nowhere/people.db");
    let smtpd = site.listen(&[]);
    assert!(replies(&smtpd, "ann@example.com", &["joe@example.lan"])[0].starts_with("451 4.3.0"));
}
