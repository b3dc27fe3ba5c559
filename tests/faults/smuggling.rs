//! Smuggling: whatever looks like the end of a message to somebody else is message octets to us, wherever the network cuts.
//!
//! With each setting of `leniencies.rs`. In this process over the session, at every octet; over sockets and TLS, with the fakes that real servers fell for. What is
//! counted is one thing: messages of the second sender. There may be none.

use std::io::{Read, Write};

use leafmail::session::{Settings, Terms};

use crate::dialogue::{Log, World, run};
use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::lab;
use crate::leniencies::{self, Configuration};
use crate::site::{Running, Site};
use crate::tls_client;

/// What has been taken for a line end somewhere: alone, doubled, with NUL, in other alphabets, with the eighth bit, and nothing.
const LINE_ENDS: [&[u8]; 22] = [
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\r\n",
    b"\n\r",
    b"\r\n\r",
    b"\r\0\n",
    b"\0\r\n",
    b"\r\n\0",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"\x1a",
    b"\x85",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xa9",
    b"\x8d\x8a",
    b" \r\n",
    b"\r\n ",
    b"\r \n",
    b"",
];
/// And for the dot.
const DOTS: [&[u8]; 4] = [b".", b"..", b"\xef\xbc\x8e", b"\xae"];

const START: &[u8] = b"Subject: x\r\n\r\ntext";
const START_LF: &[u8] = b"Subject: x\n\ntext";
const SMUGGLED: &[u8] = b"MAIL FROM:<smuggled@b>\r\nRCPT TO:<evil@c>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n";

/// Every fake end of data; none holds the true one.
fn fakes() -> Vec<Vec<u8>> {
    let mut fakes = Vec::new();
    for before in LINE_ENDS {
        for dot in DOTS {
            for after in LINE_ENDS {
                let fake = [before, dot, after].concat();
                if !fake.windows(5).any(|octets| octets == b"\r\n.\r\n") {
                    fakes.push(fake);
                }
            }
        }
    }
    fakes.sort();
    fakes.dedup();
    fakes
}

/// What a client sends up to the message, the message with what is smuggled in it, and what ends it.
fn by_data(fake: &[u8]) -> Vec<u8> {
    let begin = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    [begin, START, fake, SMUGGLED, b"QUIT\r\n"].concat()
}

/// The same in one chunk, in which even the true end is none.
fn by_chunk(fake: &[u8]) -> Vec<u8> {
    let text = [START, fake, SMUGGLED].concat();
    let begin = format!("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT {} LAST\r\n", text.len());
    [begin.as_bytes(), &text, b"QUIT\r\n"].concat()
}

/// The same by a client that ends all other lines with LF alone: no end is in it for those who may not.
fn by_lf(fake: &[u8]) -> Vec<u8> {
    let begin = b"EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n";
    [begin, START_LF, fake, SMUGGLED, b"QUIT\n"].concat()
}

/// The settings of sessions that the configurations come to, each once.
fn all_settings() -> Vec<Settings> {
    let mut all = Vec::new();
    for configuration in leniencies::all() {
        let mut settings = Settings { add_missing_headers: false, ..Settings::new("relay.example".parse().unwrap()) };
        configuration.apply(&mut settings);
        if !all.contains(&settings) {
            all.push(settings);
        }
    }
    all
}

/// One message at most, of the first sender, with all that was smuggled in it.
fn assert_is_whole(log: &Log, sent: &[u8]) {
    let shown = sent.escape_ascii();
    let opened: Vec<_> = log.effects.iter().filter(|effect| effect.starts_with("open ")).collect();
    assert_eq!(opened, ["open <a@b> -> <c@d>"], "{shown}");
    assert!(log.messages.len() <= 1, "{shown}");
    for message in &log.messages {
        assert!(message.windows(10).any(|octets| octets == b"smuggled@b"), "{shown}");
    }
    let last = String::from_utf8_lossy(&log.replies).lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("221 "), "{shown}: the dialogue went on as {last}");
}

#[test]
fn no_fake_end_of_data_is_one_wherever_it_is_cut() {
    let fakes: Vec<Vec<u8>> = match lab::full() {
        true => fakes(),
        false => fakes().into_iter().step_by(5).chain(KNOWN.map(<[u8]>::to_vec)).collect(),
    };
    let mut runs = 0_u64;
    for settings in all_settings() {
        for fake in &fakes {
            let mut all = vec![by_data(fake), by_chunk(fake)];
            // To whom an exception is made, LF . LF is an end.
            if settings.lf_only.is_empty() {
                all.push(by_lf(fake));
            }
            for sent in all {
                let whole = run(&settings, &World::default(), &[&sent]);
                assert_is_whole(&whole, &sent);
                let at = sent.windows(4).position(|octets| octets == b"text").unwrap() + 4;
                let near = at.saturating_sub(2)..(at + fake.len() + 3).min(sent.len());
                for cut in lab::either(near, 1..sent.len()) {
                    let (start, end) = sent.split_at(cut);
                    assert_eq!(run(&settings, &World::default(), &[start, end]), whole, "{}", sent.escape_ascii());
                    runs += 1;
                }
                let octets: Vec<&[u8]> = sent.chunks(1).collect();
                assert_eq!(run(&settings, &World::default(), &octets), whole, "{}", sent.escape_ascii());
                runs += 2;
            }
        }
    }
    let (fakes, configurations) = (fakes.len(), all_settings().len());
    lab::report(
        "smuggling",
        &format!("{fakes} fake ends, {configurations} configurations, {runs} dialogues, 0 accepted"),
    );
}

#[test]
fn the_true_end_within_a_chunk_is_text() {
    let settings = all_settings().remove(0);
    let sent = by_chunk(b"\r\n.\r\n");
    let whole = run(&settings, &World::default(), &[&sent]);
    assert_is_whole(&whole, &sent);
    assert_eq!(whole.messages.len(), 1, "it is a good message");
    for cut in 1..sent.len() {
        let (start, end) = sent.split_at(cut);
        assert_eq!(run(&settings, &World::default(), &[start, end]), whole);
    }
}

#[test]
fn nothing_that_follows_starttls_in_clear_text_is_heard_and_no_fake_end_within() {
    let terms = Terms { starttls: true, ..Terms::default() };
    let clear = b"EHLO x\r\nSTARTTLS\r\nEHLO x\r\nMAIL FROM:<smuggled@b>\r\nRCPT TO:<evil@c>\r\nDATA\r\nevil\r\n.\r\n";
    for settings in all_settings() {
        for fake in fakes().iter().step_by(lab::either(11, 1)) {
            let world = World { terms: terms.clone(), after_tls: by_data(fake), ..World::default() };
            let whole = run(&settings, &world, &[clear]);
            assert_is_whole(&whole, fake);
            // The octets within TLS are cut as the first piece is long.
            for cut in 1..clear.len() {
                let (start, end) = clear.split_at(cut);
                assert_eq!(run(&settings, &world, &[start, end]), whole, "{}", fake.escape_ascii());
            }
        }
    }
}

/// The fakes of which advisories tell (CVE-2023-51764 and its kin, 2024 and 2026).
const KNOWN: [&[u8]; 14] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\0\r\n",
    b"\r\n\0.\r\n",
    b"\x85.\x85",
    b"\x0b.\x0b",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
    b"\r\n\x00.\r\n\x00",
];

/// A smtpd that lets a client err as often as it likes.
fn patient(configuration: &Configuration) -> (Site, Running) {
    let site = Site::new(
        "[tls]\ncertificate = \"cert\"\nkey = \"key\"\n[limits]\nslow_after_errors = 1000\nclose_after_errors = 1000\n",
    );
    let text = std::fs::read_to_string(site.config()).unwrap();
    // One connection, so that what it carried can be read as a whole.
    let text = text.replace("[relay]\n", "[relay]\nconnections = 1\n");
    std::fs::write(site.config(), text).unwrap();
    configuration.write(&site);
    tls_client::write_certificate(&site);
    let smtpd = site.listen(&[]);
    (site, smtpd)
}

/// Sends it cut at each octet around the fake, each piece in a packet or a record of its own, and hears all replies.
fn converse(stream: &mut (impl Read + Write), fake: &[u8], sent: &[u8]) {
    let at = sent.windows(START.len()).position(|octets| octets == START).unwrap() + START.len();
    let (before, rest) = sent.split_at(at);
    let (middle, after) = rest.split_at(fake.len());
    stream.write_all(before).unwrap();
    for octet in middle.chunks(1) {
        stream.write_all(octet).unwrap();
        stream.flush().unwrap();
    }
    stream.write_all(after).unwrap();
    stream.flush().unwrap();
    let mut replies = Vec::new();
    // A peer that closes TLS without a goodbye is an end too.
    let _ = stream.read_to_end(&mut replies);
    let replies = String::from_utf8_lossy(&replies).into_owned();
    assert!(replies.trim_end().lines().last().unwrap_or_default().starts_with("221 "), "{replies}");
}

#[test]
fn over_sockets_and_tls_nothing_of_the_second_sender_is_accepted_nor_sent_on() {
    for configuration in leniencies::all() {
        let name = &configuration.name;
        let (site, smtpd) = patient(&configuration);
        let fakes: Vec<&[u8]> =
            KNOWN.into_iter().step_by(if configuration.is_single() { lab::either(5, 1) } else { 1 }).collect();
        for fake in &fakes {
            for sent in [by_data(fake), by_chunk(fake)] {
                let mut clear = tls_client::connect(smtpd.address());
                // Whoever talks before the greeting is sent away.
                tls_client::line(&mut clear);
                converse(&mut clear, fake, &sent);
                let mut secured = tls_client::starttls(smtpd.address());
                converse(&mut secured, fake, &sent);
            }
        }
        let smarthost = FakeSmarthost::start(Script::new().offers(["8BITMIME", "PIPELINING", "SIZE 1000000"]));
        let relay = format!("smtp://{}?tls=none", smarthost.address);
        let listed = String::from_utf8(site.run(&["list", "--json"]).stdout).unwrap();
        assert!(!listed.contains("smuggled@b"), "{listed}");
        assert!(site.run(&["--relay", &relay, "flush"]).status.success());
        let record = smarthost.record();
        assert!(record.verbs("MAIL").iter().all(|line| line.starts_with("MAIL FROM:<a@b>")), "{:?}", record.commands);
        assert_eq!(record.messages.len(), listed.lines().count(), "{name}");
        assert!(!record.messages.is_empty(), "text in which other alphabets end lines is mail");
        assert_is_clean(&record.octets);
        lab::report("smuggling", &format!("{} dialogues over TCP and TLS with {name}", 4 * fakes.len()));
    }
}

/// Neither a CR nor an LF alone, nor a NUL.
fn assert_is_clean(octets: &[u8]) {
    for (at, octet) in octets.iter().enumerate() {
        let good = match octet {
            b'\r' => octets.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && octets[at - 1] == b'\r',
            0 => false,
            _ => true,
        };
        let around = &octets[at.saturating_sub(20)..(at + 20).min(octets.len())];
        assert!(good, "octet {at}: {}", around.escape_ascii());
    }
}
