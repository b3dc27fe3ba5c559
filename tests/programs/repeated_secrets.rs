//! A next hop that repeats the login in its refusals: nothing that stays or is shown has the password in it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::engine::{Engine, general_purpose::STANDARD};

use crate::fake_smarthost::{FakeSmarthost, Script, reply};
use crate::site::Site;

const PASSWORD: &str = "s3cr+t/pass w0rd%41";

/// The forms in which the password must not be seen anywhere.
fn forms() -> Vec<String> {
    let plain = STANDARD.encode(format!("\0me\0{PASSWORD}"));
    let percent = "s3cr%2Bt%2Fpass%20w0rd%2541";
    let blob = plain.trim_end_matches('=').to_owned();
    vec![PASSWORD.to_owned(), STANDARD.encode(PASSWORD), percent.to_owned(), percent.to_lowercase(), blob]
}

/// A reply that repeats it in each form, on two lines.
fn echo(code: u16) -> String {
    let [plain, base64, percent, lower, blob] = &forms()[..] else { unreachable!() };
    let class = code / 100;
    format!(
        "{code}-{class}.7.0 {plain} is not liked, nor is {base64}, {percent} or {lower}\r\n\
         {code} {class}.7.0 AUTH PLAIN {blob} and {} are not, user=me password={plain}",
        &blob[..blob.len() - 5]
    )
}

/// A route for each step and code; each message is for one of them.
fn site(hosts: &[(String, FakeSmarthost)]) -> Site {
    let site = Site::new("");
    fs::write(site.path("password"), format!("{PASSWORD}\n")).unwrap();
    let mut text = fs::read_to_string(site.config()).unwrap();
    for (name, host) in hosts {
        let _ = writeln!(
            text,
            "[[route]]\nname = \"{name}\"\nrecipients = [\"@{name}.example\"]\nurl = \"smtp://me@{}?tls=none\"\n\
             password_file = \"{}\"",
            host.address,
            site.path("password").display()
        );
    }
    let alarms = site.path("alarms");
    let _ = writeln!(text, "[alarm]\ncommand = \"cat >> {}\"\nroute_paused = \"1s\"", alarms.display());
    fs::write(site.config(), text).unwrap();
    site
}

/// Each file below a folder but the password's own.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() && path.file_name().is_some_and(|name| name != "password") {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn has(octets: &[u8], form: &str) -> bool {
    octets.windows(form.len()).any(|window| window == form.as_bytes())
}

#[test]
fn a_password_that_the_next_hop_repeats_is_seen_nowhere() {
    let mut hosts = Vec::new();
    for step in ["AUTH", "MAIL", "RCPT", "DATA", "end", "RSET"] {
        for code in [421_u16, 451, 550, 334, 299] {
            // RSET comes after a refused recipient; what is answered there is no verdict.
            let script = Script::new().offers(["AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES"]);
            let script = script.always(step, reply(echo(code)));
            let script = if step == "RSET" { script.always("RCPT", reply("550 5.1.1 no")) } else { script };
            hosts.push((format!("{}{code}", step.to_lowercase()), FakeSmarthost::start(script)));
        }
    }
    let site = site(&hosts);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    for (name, _) in &hosts {
        client.submit("me@lan.example", &[&format!("b@{name}.example")], b"Subject: x\r\n\r\ntext\r\n");
    }
    let mut seen = Vec::new();
    let mut note = |what: &str, output: std::process::Output| {
        seen.push((what.to_owned(), [output.stdout, output.stderr].concat()));
    };
    note("run", site.run(&["-vv"]));
    note("flush", site.run(&["-vv", "flush"]));
    for verb in
        [&["list"][..], &["list", "--json"], &["stats"], &["stats", "--json"], &["shape"], &["show"], &["doctor"]]
    {
        note(&verb.join(" "), site.run(verb));
    }
    for (name, _) in &hosts {
        let recipient = format!("b@{name}.example");
        note("explain", site.run(&["explain", "--recipient", &recipient]));
        note("explain --json", site.run(&["explain", "--json", "--recipient", &recipient]));
    }
    note("smtpd --check", site.smtpd().arg("--check").output().unwrap());
    files(site.path("").as_path(), &mut seen);
    assert!(seen.iter().any(|(_, octets)| has(octets, "is not liked")), "the refusals are somewhere");
    let bounced = |(name, octets): &(String, Vec<u8>)| name.contains("inbox") && has(octets, "is not liked");
    let of = |what: &str| {
        seen.iter()
            .filter(|(name, _)| name == what)
            .map(|(_, octets)| String::from_utf8_lossy(octets))
            .collect::<String>()
    };
    assert!(seen.iter().any(bounced), "no notification quotes a refusal: {}\n{}", of("run"), of("flush"));
    for (name, host) in &hosts {
        assert!(host.record().connections > 0, "{name} was asked");
    }
    for (what, octets) in &seen {
        for form in forms() {
            let text = String::from_utf8_lossy(octets);
            let line = text.lines().find(|line| line.contains(&form)).unwrap_or_default();
            assert!(!has(octets, &form), "{what}: {form}: {line}");
        }
    }
}
