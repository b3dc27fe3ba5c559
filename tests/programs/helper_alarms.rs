//! Programs that are asked about mail and give no answer: an alarm when it begins, one when it is over, and what `stats` and
//! `doctor` say in between.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use crate::site::{Running, Site, wait_until};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

/// A site whose programs are all missing, and whose alarms are lines of the file `told`.
fn site() -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let at = |name: &str| site.path(name).display().to_string();
    let more = format!(
        "\n[alarm]\ncommand = \"\"\"(printf '%s %s ' $LEAFMAIL_ALARM_STATE $LEAFMAIL_ALARM_CONDITION; cat) >> {}\"\"\"\n\
         [recipients]\nsource = \"command:exit 9\"\nsource_domains = [\"example.com\"]\nsource_no_answer = \"accept\"\n\
         [[policy_service]]\naddress = \"unix:{}\"\n[[milter]]\naddress = \"unix:{}\"\nno_answer = \"accept\"\n\
         [[hook]]\ncommand = \"exit 3\"\nno_answer = \"accept\"\n",
        at("told"),
        at("policy"),
        at("milter"),
    );
    fs::write(site.config(), text + &more).unwrap();
    site
}

fn told(site: &Site) -> Vec<String> {
    fs::read_to_string(site.path("told")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn troubles(site: &Site) -> serde_json::Value {
    let octets = fs::read(site.spool().join("routes/helpers.json")).unwrap_or_default();
    serde_json::from_slice(&octets).unwrap_or_default()
}

/// As if each had given no answer for ten minutes.
fn age(site: &Site) {
    let mut all = troubles(site);
    for (_, trouble) in all.as_object_mut().unwrap() {
        let earlier = trouble["since"].as_u64().unwrap() - 600_000;
        trouble["since"] = earlier.into();
    }
    fs::write(site.spool().join("routes/helpers.json"), all.to_string()).unwrap();
}

fn run(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A policy service that goes on with all mail.
fn serve(site: &Site) {
    let listener = UnixListener::bind(site.path("policy")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|octets| octets > 0) {
                if line == "\n" {
                    stream.get_mut().write_all(b"action=DUNNO\n\n").unwrap();
                }
                line.clear();
            }
        }
    });
}

/// What a client hears of a recipient. The receiver goes on, as a kill may lose what it noticed last.
fn try_recipient(site: &Site, expected: &str) -> Running {
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    client.expect("RCPT TO:<b@example.com>", expected);
    if expected == "250" {
        client.expect("DATA", "354");
        client.finish(MESSAGE);
    }
    client.expect("QUIT", "221");
    smtpd
}

#[test]
fn a_program_that_does_not_answer_is_an_alarm_once_and_once_when_it_does() {
    let site = site();
    let smtpd = try_recipient(&site, "451 4.3.5");
    let policy = format!("policy service unix:{}", site.path("policy").display());
    let milter = format!("milter unix:{}", site.path("milter").display());
    wait_until("the state of the programs", || troubles(&site).as_object().is_some_and(|all| all.len() == 3));
    drop(smtpd);
    assert!(run(&site, &[]).is_empty() && told(&site).is_empty(), "it is no alarm at once: {:?}", told(&site));
    age(&site);
    for _ in 0..3 {
        run(&site, &[]);
    }
    let alarms = told(&site);
    assert_eq!(alarms.len(), 3, "{alarms:?}");
    let of = |name: &str| alarms.iter().find(|alarm| alarm.contains(name)).unwrap_or_else(|| panic!("{alarms:?}"));
    let begun = format!("begun helper_down:{} {policy} has given no answer since ", policy.replace(' ', "_"));
    assert!(of(&policy).starts_with(&begun) && of(&policy).ends_with("; clients are deferred with 451"), "{alarms:?}");
    assert!(of(&milter).ends_with("; clients are accepted without it"), "{alarms:?}");
    assert!(of("recipients.source").contains("exit code 9"), "{alarms:?}");
    for (arguments, expected) in [
        (&["stats"][..], format!("{policy} has given no answer since ")),
        (&["stats", "--json"], format!("\"name\":\"{policy}\"")),
        (&["doctor"], format!("smtpd: {policy} has given no answer since ")),
    ] {
        let text = run(&site, arguments).replace("\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&expected), "{arguments:?}: {text}");
    }
    assert_eq!(troubles(&site).as_object().unwrap().len(), 3, "doctor got no answer either");

    serve(&site);
    let _smtpd = try_recipient(&site, "250");
    wait_until("the state of the programs", || !troubles(&site).as_object().unwrap().contains_key(&policy));
    wait_until("the hook to be noticed", || troubles(&site).as_object().unwrap().contains_key("hook[0]"));
    run(&site, &[]);
    let alarms = told(&site);
    assert!(alarms.len() == 4 && alarms[3].starts_with("over helper_down:policy_service_unix:"), "{alarms:?}");
    assert_eq!(site.delivered().len(), 1);
}

#[test]
fn a_program_that_answers_doctor_or_is_removed_is_no_alarm() {
    let site = site();
    let smtpd = try_recipient(&site, "451 4.3.5");
    wait_until("the state of the programs", || troubles(&site).as_object().is_some_and(|all| all.len() == 3));
    drop(smtpd);
    age(&site);
    run(&site, &[]);
    assert_eq!(told(&site).len(), 3);
    serve(&site);
    let text = run(&site, &["doctor"]);
    assert!(text.contains("it answers doctor, and its alarm ends"), "{text}");
    run(&site, &[]);
    assert!(told(&site).len() == 4 && told(&site)[3].contains("policy_service"), "{:?}", told(&site));
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), &text[..text.find("[[milter]]").unwrap()]).unwrap();
    run(&site, &[]);
    assert!(told(&site).len() == 5 && told(&site)[4].starts_with("over helper_down:milter"), "{:?}", told(&site));
    assert!(!run(&site, &["stats"]).contains("milter"), "the configuration has none");
}
