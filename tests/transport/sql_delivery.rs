//! Mail in tables: the same with SQLite, PostgreSQL and MariaDB.

use sqlx::Row;

use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use crate::support::peers::sql_servers::{PASSWORD, TestDatabase};
use leafmail::transport::{RouteFailure, RouteSettings, SecretSource, Transport};

const TEXT: &[u8] =
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@y.example>\r\nTo: a@x.example\r\nSubject: =?utf-8?b?8J+YgA==?= \xfc\r\n\
Date: Sat, 21 Nov 2026 02:03:27 +0100\r\nX-Spam-Score: 1.5\r\n\r\nGr\xc3\xbc\xc3\x9fe\0\r\n";

/// A route into the table of a database.
fn route(database: &TestDatabase) -> RouteSettings {
    of(database, &database.url)
}

fn of(database: &TestDatabase, url: &str) -> RouteSettings {
    let file = database.path().join("secret");
    std::fs::write(&file, PASSWORD).unwrap();
    let password = url.contains('@').then_some(SecretSource::File(file));
    RouteSettings { password, ..settings(url) }
}

fn text(database: &TestDatabase, column: &str) -> String {
    let kind = if database.scheme == "mysql" { "CHAR(200000)" } else { "TEXT" };
    let name = database.quoted(column);
    let row = database.rows(&format!("SELECT CAST({name} AS {kind}) FROM new_mail ORDER BY mail_id")).remove(0);
    row.get(0)
}

#[test]
fn a_message_becomes_one_row_for_each_recipient() {
    for database in TestDatabase::all() {
        let mut transport = transport(&route(&database));
        let envelope = envelope("me@y.example", &["a@X.example", "b@x.example"]);
        for _ in 0..3 {
            let delivery = deliver(&mut *transport, &envelope, &mut Pieces::cut(TEXT, 3)).unwrap();
            assert_eq!(letters(&delivery.outcomes), ["D2.0.0"; 2]);
            assert_eq!(delivery.relay, database.url);
        }
        assert_eq!(database.number("SELECT count(*) FROM new_mail"), 2, "{}", database.scheme);
        for (column, expected) in [
            ("sender", "me@y.example"),
            ("recipient", "a@x.example"),
            ("received", "2026-11-21 02:33:27"),
            ("date", "2026-11-21 01:03:27"),
            ("from", "Jürgen <j@y.example>"),
            ("to", "a@x.example"),
            ("subject", "😀 ü"),
            ("body", "Grüße\u{fffd}\r\n"),
            ("charset", "us-ascii"),
            ("content_type", "text/plain"),
            ("spam_score", "1.5"),
        ] {
            assert_eq!(text(&database, column), expected, "{}: {column}", database.scheme);
        }
        let mail: Vec<u8> = database.rows("SELECT mail FROM new_mail").remove(0).get(0);
        assert_eq!(mail, TEXT, "{}", database.scheme);
    }
}

#[test]
fn the_copy_of_an_archive_has_a_row_for_each_recipient_of_the_message() {
    for database in TestDatabase::all() {
        let mut envelope = envelope("me@y.example", &["a@x.example", "b@x.example"]);
        envelope.add_archive(&"copies@archive.invalid".parse().unwrap());
        let delivery = deliver(&mut *transport(&route(&database)), &envelope, &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0"; 3]);
        assert_eq!(database.number("SELECT count(*) FROM new_mail"), 2, "{}", database.scheme);
        assert_eq!(database.number("SELECT count(*) FROM new_mail WHERE recipient LIKE '%archive%'"), 0);
    }
}

#[test]
fn text_of_any_length_and_large_mail_fit() {
    for database in TestDatabase::all() {
        let mut transport = transport(&route(&database));
        let long = format!("Subject: {}\r\n\r\nx", "s".repeat(100_000));
        deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(long)).unwrap();
        assert_eq!(text(&database, "subject").len(), 100_000, "{}", database.scheme);
        let large = [b"Subject: x\r\n\r\n".to_vec(), b"line of text\r\n".repeat(3_000_000)].concat();
        let delivery = deliver(&mut *transport, &envelope("", &["b@x.example"]), &mut Pieces::of(&large)).unwrap();
        if database.scheme == "mysql" {
            // 16 MiB are the default; another message goes all the same.
            assert_eq!(letters(&delivery.outcomes), ["L4.3.0"]);
            assert!(delivery.outcomes[0].reason().text.contains("max_allowed_packet"), "{delivery:?}");
        } else {
            assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
        }
        let delivery = deliver(&mut *transport, &envelope("", &["c@x.example"]), &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0"], "{delivery:?}");
    }
}

fn fault(transport: &mut dyn Transport) -> RouteFailure {
    let failed = deliver(transport, &envelope("", &["late@x.example"]), &mut Pieces::of(TEXT));
    let fault = failed.expect_err("a fault of the route");
    assert!(!fault.reason.text.contains(PASSWORD), "{fault}");
    fault
}

fn works(transport: &mut dyn Transport) {
    let delivery = deliver(transport, &envelope("", &["late@x.example"]), &mut Pieces::of(TEXT)).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
}

#[test]
fn a_table_that_was_changed_pauses_the_route_in_plain_words() {
    for database in TestDatabase::all() {
        let mut transport = transport(&route(&database));
        works(&mut *transport);
        database.execute("ALTER TABLE new_mail RENAME COLUMN subject TO topic");
        let fault_now = fault(&mut *transport);
        assert!(fault_now.reason.text.contains("new_mail has no column subject"), "{fault_now}");
        database.execute("ALTER TABLE new_mail RENAME COLUMN topic TO subject");
        works(&mut *transport);
        database.execute("ALTER TABLE new_mail RENAME TO old_mail");
        let fault_now = fault(&mut *transport);
        assert!(fault_now.reason.text.contains("there is no table new_mail"), "{fault_now}");
        assert!(fault_now.reason.text.contains("sql-schema"), "{fault_now}");
        database.execute("CREATE TABLE new_mail AS SELECT * FROM old_mail");
        let fault_now = fault(&mut *transport);
        assert!(fault_now.reason.text.contains("no UNIQUE (spool_id, recipient)"), "{fault_now}");
        database.execute("DROP TABLE new_mail");
        database.execute("ALTER TABLE old_mail RENAME TO new_mail");
        works(&mut *transport);
        assert_eq!(database.number("SELECT count(*) FROM new_mail"), 1, "{}", database.scheme);
    }
}

#[test]
fn a_server_that_is_away_or_refuses_the_login_pauses_the_route() {
    for mut database in [TestDatabase::postgres(), TestDatabase::mariadb()].into_iter().flatten() {
        let mut way = transport(&route(&database));
        works(&mut *way);
        database.stop();
        fault(&mut *way);
        database.start();
        works(&mut *way);
        let mut by_tcp = transport(&of(&database, &database.tcp));
        works(&mut *by_tcp);
        // The connection broke while nobody used it.
        database.stop();
        database.start();
        works(&mut *by_tcp);
        let settings = of(&database, &database.tcp);
        std::fs::write(database.path().join("secret"), "wrong").unwrap();
        let fault_now = fault(&mut *transport(&settings));
        assert!(fault_now.reason.text.contains("leaf"), "{fault_now}");
        std::fs::remove_file(database.path().join("secret")).unwrap();
        assert!(fault(&mut *transport(&settings)).reason.text.contains("password file"));
    }
}

#[test]
fn a_file_that_cannot_be_written_pauses_the_route() {
    let database = TestDatabase::sqlite();
    let other = database.path().join("other.db");
    std::fs::write(&other, "this is no database, but text that is long enough to be taken for one").unwrap();
    let fault_now = fault(&mut *transport(&settings(&format!("sqlite:{}", other.display()))));
    assert!(fault_now.reason.text.contains("not a database"), "{fault_now}");
    let elsewhere = transport(&settings("sqlite:/nonexistent/mail.db"));
    let fault_now = fault(&mut *{ elsewhere });
    assert!(fault_now.reason.text.contains("unable to open"), "{fault_now}");
}

#[test]
fn narrow_columns_of_an_older_table_take_what_fits() {
    for database in TestDatabase::all().into_iter().filter(|database| database.scheme != "sqlite") {
        let change = if database.scheme == "mysql" {
            "MODIFY subject VARCHAR(10) NOT NULL"
        } else {
            "ALTER COLUMN subject TYPE VARCHAR(10)"
        };
        database.execute(&format!("ALTER TABLE new_mail {change}"));
        let mut transport = transport(&route(&database));
        let mail = "Subject: ü23456789012345\r\n\r\nx";
        let delivery = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(mail)).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
        assert_eq!(text(&database, "subject"), "ü234567890");
        // What cannot be cut is a trouble of this message alone.
        let change = if database.scheme == "mysql" {
            "MODIFY recipient VARCHAR(14) COLLATE utf8mb4_bin NOT NULL"
        } else {
            "ALTER COLUMN recipient TYPE VARCHAR(14)"
        };
        database.execute(&format!("ALTER TABLE new_mail {change}"));
        let delivery =
            deliver(&mut *transport, &envelope("", &["long.name@x.example"]), &mut Pieces::of(mail)).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["L4.3.0"]);
        let delivery = deliver(&mut *transport, &envelope("", &["b@x.example"]), &mut Pieces::of(mail)).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    }
}

#[test]
fn a_row_that_another_unique_key_refuses_is_not_said_to_be_stored() {
    for database in TestDatabase::all() {
        let mut transport = transport(&route(&database));
        works(&mut *transport);
        database.execute("CREATE UNIQUE INDEX other ON new_mail (hash)");
        // The same row again is there already.
        works(&mut *transport);
        let again = deliver(&mut *transport, &envelope("", &["other@x.example"]), &mut Pieces::of(TEXT));
        assert!(again.is_err(), "{}: {again:?}", database.scheme);
        assert_eq!(database.number("SELECT count(*) FROM new_mail"), 1, "{}", database.scheme);
    }
}

#[test]
fn a_date_that_its_column_does_not_take_becomes_that_of_the_receipt() {
    let Some(database) = TestDatabase::mariadb() else { return };
    database.execute("ALTER TABLE new_mail MODIFY date TIMESTAMP NOT NULL");
    let mail = "Date: Sat, 21 Nov 9998 02:03:27 +0000\r\n\r\nx";
    let delivery =
        deliver(&mut *transport(&route(&database)), &envelope("", &["a@x.example"]), &mut Pieces::of(mail)).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    assert_eq!(text(&database, "date"), text(&database, "received"));
}
