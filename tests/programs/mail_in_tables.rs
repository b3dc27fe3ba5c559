//! Mail in a table, as an administrator and the author of a web mail meet it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use sqlx::Row;

use crate::have::have_python;
use crate::site::Site;
use crate::support::peers::sql_servers::{PASSWORD, TestDatabase};

/// A site whose mail goes into a table.
fn site(database: &TestDatabase, url: &str) -> Site {
    let site = Site::new("");
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    fs::write(site.path("secret"), PASSWORD).unwrap();
    let password = format!("\npassword_file = \"{}\"", site.path("secret").display());
    let password = if database.scheme == "sqlite" { "" } else { &password };
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace(&inbox, &format!("url = \"{url}\"{password}"))).unwrap();
    site
}

fn words(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The statements of a page, in order.
fn queries(page: &str) -> Vec<String> {
    page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_queries_of_the_page_find_what_was_sent() {
    for database in TestDatabase::all() {
        for url in [&database.url, &database.tcp] {
            let site = site(&database, url);
            let smtpd = site.listen(&[]);
            for subject in ["about invoice 1", "other"] {
                let mail = format!("From: Joe <joe@example.net>\r\nSubject: {subject}\r\n\r\ntext\r\n");
                smtpd.client().submit("joe@example.net", &["me@example.com", "you@example.com"], mail.as_bytes());
            }
            assert!(site.run(&[]).status.success());
            // Later, as its row that is taken back uses up a number.
            assert!(
                words(&site, &["doctor", "relay"]).contains("takes mail"),
                "{}",
                words(&site, &["doctor", "relay"])
            );
            assert!(site.shelf("queue").is_empty(), "{}: {}", database.scheme, site.states());
        }
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sql.md")).unwrap();
        let quote = |query: &str| if database.scheme == "mysql" { query.replace('"', "`") } else { query.to_owned() };
        let queries: Vec<String> = queries(&page).iter().map(|query| quote(query)).collect();
        let (last, queries) = queries.split_last().unwrap();
        let inner = |query: &str| query.trim().trim_end_matches(';').to_owned();
        let count = |query: &String| database.number(&format!("SELECT count(*) FROM ({}) AS found", inner(query)));
        let counts: Vec<i64> = queries.iter().map(count).collect();
        // Mail for each of two recipients, by each of two URLs.
        assert_eq!(counts, [4, 1, 2, 8, 2], "{}", database.scheme);
        let newest: String = {
            let kind = if database.scheme == "mysql" { "CHAR(100)" } else { "TEXT" };
            database.rows(&format!("SELECT CAST(subject AS {kind}) FROM ({}) AS newest", inner(&queries[0])))[0].get(0)
        };
        assert_eq!(newest, "other");
        assert!(last.starts_with("DELETE"));
        database.execute(last);
        assert_eq!(database.number("SELECT count(*) FROM new_mail"), 8, "nothing is as old as that");
    }
}

#[test]
fn a_database_that_lacks_its_table_keeps_mail_waiting_and_doctor_says_what_to_do() {
    for database in [TestDatabase::postgres(), TestDatabase::mariadb()].into_iter().flatten() {
        database.execute("DROP TABLE new_mail");
        let site = site(&database, &database.url);
        site.listen(&[]).client().submit("joe@example.net", &["me@example.com"], b"Subject: waits\r\n\r\n");
        for _ in 0..3 {
            assert!(site.run(&["flush"]).status.success());
        }
        assert_eq!(site.shelf("queue").len(), 1);
        let doctor = words(&site, &["doctor", "relay"]);
        assert!(doctor.contains("there is no table new_mail"), "{doctor}");
        let list = words(&site, &["list"]);
        assert!(list.contains("there is no table"), "{list}");
        database.make_table(&words(&site, &["sql-schema", database.scheme]));
        assert!(site.run(&["flush"]).status.success());
        assert!(site.shelf("queue").is_empty(), "{}", site.states());
        assert_eq!(database.number("SELECT count(*) FROM new_mail"), 1);
    }
}

#[test]
fn doctor_finds_rights_that_are_missing_and_an_engine_that_commits_nothing() {
    let Some(database) = TestDatabase::mariadb() else { return };
    let site = site(&database, &database.url);
    database.execute("REVOKE ALL ON mail.* FROM leaf@localhost");
    database.execute("GRANT SELECT ON mail.new_mail TO leaf@localhost");
    let doctor = words(&site, &["doctor", "relay"]);
    assert!(doctor.contains("denied"), "{doctor}");
    database.execute("GRANT SELECT, INSERT, UPDATE ON mail.new_mail TO leaf@localhost");
    let doctor = words(&site, &["doctor", "relay"]);
    assert!(doctor.contains("takes mail"), "{doctor}");
    assert_eq!(database.number("SELECT count(*) FROM new_mail"), 0);
    database.execute(
        "ALTER TABLE new_mail ENGINE=MyISAM ROW_FORMAT=DEFAULT, DROP INDEX once, MODIFY recipient VARCHAR(150) \
                      COLLATE utf8mb4_bin NOT NULL, ADD UNIQUE KEY once (spool_id, recipient)",
    );
    let doctor = words(&site, &["doctor", "relay"]);
    assert!(doctor.contains("engine MyISAM"), "{doctor}");
    assert_eq!(database.number("SELECT count(*) FROM new_mail"), 0);
}

/// What Python's `email` reads of each mail of a file, as JSON: subject, body, content type.
const ORACLE: &str = r#"
import sys, json, email, email.policy, email.header
for mail in sys.stdin.buffer.read().split(b"\n=====\n"):
    message = email.message_from_bytes(mail, policy=email.policy.default)
    part = message.get_body(("plain", "html"))
    body = part.get_content() if part is not None else ""
    print(json.dumps([str(message["Subject"]), body.replace("\r\n", "\n"), message.get_content_type()]))
"#;

/// Odd mail: each charset in each encoding, single or in parts, with its label written in different ways.
fn odd_mail() -> Vec<Vec<u8>> {
    let mut python = Command::new("/usr/bin/python3");
    let mut child = python.args(["-c", GENERATOR]).stdout(Stdio::piped()).spawn().unwrap();
    let mut octets = Vec::new();
    std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut octets).unwrap();
    assert!(child.wait().unwrap().success());
    let text: Vec<String> = serde_json::from_slice(&octets).unwrap();
    text.iter().map(|mail| mail.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()).collect()
}

const GENERATOR: &str = r#"
import base64, json, quopri
T = {"latin": "Grüße, naïve café", "cyr": "Привет мир", "greek": "Γειά σου", "jp": "こんにちは世界", "zh": "你好世界",
     "tw": "你好世界繁體", "kr": "안녕하세요", "heb": "שלום", "arab": "مرحبا", "thai": "สวัสดี", "pl": "zażółć gęślą",
     "tr": "İstanbul şğ", "euro": "€ “x”", "emoji": "😀 ok", "ascii": "plain = text?"}
C = [("utf-8", "emoji"), ("UTF8", "cyr"), ("us-ascii", "ascii"), ("iso-8859-1", "latin"), ("iso-8859-2", "pl"),
     ("iso-8859-5", "cyr"), ("iso-8859-7", "greek"), ("iso-8859-8", "heb"), ("iso-8859-9", "tr"), ("iso-8859-15", "latin"),
     ("windows-1250", "pl"), ("Windows-1251", "cyr"), ("windows-1252", "euro"), ("windows-1253", "greek"), ("windows-1254", "tr"),
     ("windows-1255", "heb"), ("windows-1256", "arab"), ("windows-1257", "pl"), ("cp437", "latin"), ("cp850", "latin"),
     ("cp852", "pl"), ("cp866", "cyr"), ("koi8-r", "cyr"), ("koi8-u", "cyr"), ("iso-2022-jp", "jp"), ("shift_jis", "jp"),
     ("cp932", "jp"), ("euc-jp", "jp"), ("gb2312", "zh"), ("gbk", "zh"), ("gb18030", "zh"), ("hz-gb-2312", "zh"),
     ("big5", "tw"), ("euc-kr", "kr"), ("cp949", "kr"), ("iso-2022-kr", "kr"), ("tis-620", "thai"), ("utf-7", "latin"),
     ("utf-16", "emoji"), ("utf-32", "emoji"), ("iso-8859-13", "pl"), ("iso-8859-16", "pl")]
P = {"hz-gb-2312": "hz"}
mails = []
for charset, kind in C:
    text = T[kind]; octets = text.encode(P.get(charset, charset))
    word = base64.b64encode(octets).decode()
    q = "".join("=%02X" % o for o in octets)
    subjects = ["=?%s?B?%s?=" % (charset, word), "=?%s?q?%s?=" % (charset, q), "Re: =?%s?B?%s?=\r\n and more" % (charset, word)]
    wide = charset in ("utf-16", "utf-32")
    bodies = [("base64", base64.encodebytes(octets).replace(b"\n", b"\r\n"))]
    # A line end that was added on the way would be half a letter.
    if not wide: bodies += [("quoted-printable", q.encode() + b"\r\n"), ("8bit", octets + b"\r\n")]
    for subject in subjects:
        for encoding, body in bodies:
            for label in ['; charset="%s"' % charset, "; format=flowed; Charset=%s" % charset]:
                part = ("Content-Type: text/plain%s\r\nContent-Transfer-Encoding: %s\r\n\r\n" % (label, encoding)).encode() + body
                head = ("From: a@b.example\r\nSubject: %s\r\nMIME-Version: 1.0\r\n" % subject).encode()
                mails.append(head + part)
                mails.append(head + b"Content-Type: multipart/mixed; boundary=\"q q\"\r\n\r\npreamble\r\n--q q\r\n" + part
                             + b"\r\n--q q\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--q q--\r\n")
print(json.dumps([m.decode("latin-1") for m in mails]))
"#;

#[test]
fn rows_have_what_pythons_email_module_reads_charset_by_charset() {
    if !have_python("email") {
        return;
    }
    let mails = odd_mail();
    assert!(mails.len() > 1000, "{}", mails.len());
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", ORACLE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), mails.join(&b"\n=====\n"[..]));
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let told = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let database = TestDatabase::sqlite();
    let site = site(&database, &database.url);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.send(b"EHLO client.example\r\n");
    client.reply();
    for mail in &mails {
        client.send(b"MAIL FROM:<a@b.example> BODY=8BITMIME\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        (0..3).for_each(|_| drop(client.reply()));
        client.send(&[&mail[..], b"\r\n.\r\n"].concat());
        let reply = client.reply();
        assert!(reply.starts_with("250"), "{reply}");
    }
    assert!(site.run(&[]).status.success());
    assert!(site.shelf("queue").is_empty(), "{}", site.states());
    let rows = database.rows("SELECT subject, body, content_type, mail FROM new_mail ORDER BY spool_id");
    let read = String::from_utf8(told.stdout).unwrap();
    assert_eq!((rows.len(), read.lines().count()), (mails.len(), mails.len()));
    let mut different = Vec::new();
    for (row, line) in rows.iter().zip(read.lines()) {
        let [subject, body, kind]: [String; 3] = serde_json::from_str(line).unwrap();
        let ours = [0, 1, 2].map(|column| row.get::<String, _>(column).replace("\r\n", "\n"));
        if ours[0] != subject || ours[1].trim_end() != body.trim_end().trim_start_matches('\u{feff}') || ours[2] != kind
        {
            different.push(format!("{ours:?} and not {:?}", [subject, body, kind]));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {}: {:#?}",
        different.len(),
        rows.len(),
        &different[..different.len().min(10)]
    );
}
