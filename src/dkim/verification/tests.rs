//! Signatures that are right, wrong, of another time, of a part, hostile; and the canonical forms of RFC 6376 3.4.5.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::canonical::{CanonicalBody, field, without_signature};
use super::*;

const NOW: u64 = 1_800_000_000;

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());

fn record() -> String {
    format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(KEY.public_key().as_ref()))
}

fn canonical(relaxed: bool, body: &[u8]) -> String {
    for size in [1, 3, 4096] {
        let (mut form, mut out) = (CanonicalBody::new(relaxed), Vec::new());
        body.chunks(size).for_each(|piece| form.write(piece, &mut |octets| out.extend_from_slice(octets)));
        form.finish(&mut |octets| out.extend_from_slice(octets));
        if size == 4096 {
            return String::from_utf8(out).unwrap();
        }
    }
    unreachable!()
}

/// A message signed by hand: `tags` go before bh= and b=.
fn signed(tags: &str, header: &str, body: &str, length: Option<usize>) -> Vec<u8> {
    let relaxed_body = tags.contains("/relaxed");
    let form = canonical(relaxed_body, body.as_bytes());
    let hashed = &form.as_bytes()[..length.unwrap_or(form.len())];
    let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, hashed));
    let relaxed = tags.contains("c=relaxed");
    let names = tags.split("h=").nth(1).unwrap().split(';').next().unwrap();
    let mut octets = Vec::new();
    let mut left: Vec<&str> = header.split_inclusive("\r\n").collect();
    for name in names.split(':') {
        let at = left.iter().rposition(|line| line.split(':').next().unwrap().eq_ignore_ascii_case(name));
        if let Some(at) = at {
            let line = left.remove(at);
            let (name, body) = line.split_once(':').unwrap();
            field(relaxed, name, body.as_bytes(), line.as_bytes(), &mut octets);
        }
    }
    let unsigned = format!(" {tags}; bh={hash}; b=");
    field(relaxed, "DKIM-Signature", unsigned.as_bytes(), format!("DKIM-Signature:{unsigned}").as_bytes(), &mut octets);
    octets.truncate(octets.len() - 2);
    let signature = KEY.sign(ring::digest::digest(&ring::digest::SHA256, &octets).as_ref());
    let signature = STANDARD.encode(signature.as_ref());
    format!("DKIM-Signature:{unsigned}{signature}\r\n{header}\r\n{body}").into_bytes()
}

fn verified(message: &[u8], key: Option<&str>) -> Vec<DkimOutcome> {
    let text = String::from_utf8_lossy(message).into_owned();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    let mut verifier = MessageVerifier::new(format!("{header}\r\n").as_bytes(), NOW);
    body.as_bytes().chunks(7).for_each(|piece| verifier.body(piece));
    verifier.end();
    let keys: Vec<_> = verifier.key_names().iter().map(|_| key.map(|key| vec![key.as_bytes().to_vec()])).collect();
    verifier.verify(&keys)
}

fn verdict(message: &[u8], key: &str) -> DkimVerdict {
    let all = verified(message, Some(key));
    assert_eq!(all.len(), 1);
    all[0].verdict
}

const TAGS: &str = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=a.example; s=sel; h=from:to:subject:from";
const HEADER: &str = "Received: x\r\nFrom: Joe  <joe@a.example>\r\nTo: b@c.example\r\nSubject:  hello\t \r\n";
const BODY: &str = "one  line \r\n\r\nlast\r\n\r\n\r\n";

#[test]
fn the_canonical_forms_are_those_of_the_rfc() {
    let body = b" C \r\nD \t E\r\n\r\n\r\n";
    assert_eq!(canonical(true, body), " C\r\nD E\r\n");
    assert_eq!(canonical(false, body), " C \r\nD \t E\r\n");
    for (body, simple, relaxed) in [
        ("", "\r\n", ""),
        ("\r\n\r\n", "\r\n", ""),
        (" \r\n", " \r\n", ""),
        ("a", "a\r\n", "a\r\n"),
        ("a \t", "a \t\r\n", "a\r\n"),
        ("a\r\n \r\n\r\nb\r\n", "a\r\n \r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
        ("\r\n\r\na", "\r\n\r\na\r\n", "\r\n\r\na\r\n"),
    ] {
        assert_eq!(
            (canonical(false, body.as_bytes()).as_str(), canonical(true, body.as_bytes()).as_str()),
            (simple, relaxed)
        );
    }
    let mut out = Vec::new();
    field(true, "SUBJect", b" AbC\r\n\t def  \r\n", b"", &mut out);
    field(false, "B", b"", b"B :  x\r\n", &mut out);
    assert_eq!(out, b"subject:AbC def\r\nB :  x\r\n");
    assert_eq!(without_signature(b" v=1; b = abc\r\n d ; bh=x;b=y"), b" v=1; b =; bh=x;b=");
}

#[test]
fn a_signature_is_right_only_for_what_it_signed() {
    let message = signed(TAGS, HEADER, BODY, None);
    let text = String::from_utf8(message.clone()).unwrap();
    let changed = |from: &str, to: &str| verdict(text.replacen(from, to, 1).as_bytes(), &record());
    assert_eq!(verdict(&message, &record()), DkimVerdict::Pass);
    // What the relaxed forms leave out, and what is not signed.
    assert_eq!(changed("one  line ", "one line"), DkimVerdict::Pass);
    assert_eq!(changed("Subject:  hello\t ", "subject: hello"), DkimVerdict::Pass);
    assert_eq!(changed("Received: x", "Received: y"), DkimVerdict::Pass);
    assert_eq!(changed("last", "last!"), DkimVerdict::Fail);
    assert_eq!(changed("hello", "hullo"), DkimVerdict::Fail);
    assert_eq!(changed("From: Joe", "From: Eve"), DkimVerdict::Fail);
    assert_eq!(changed("From: Joe", "From: eve@x.example\r\nFrom: Joe"), DkimVerdict::Fail, "one From is signed twice");
    assert_eq!(changed("d=a.example", "d=b.example"), DkimVerdict::Fail);
    let simple = signed(&TAGS.replace("relaxed/relaxed", "simple/simple"), HEADER, BODY, None);
    assert_eq!(verdict(&simple, &record()), DkimVerdict::Pass);
    let text = String::from_utf8(simple).unwrap();
    assert_eq!(verdict(text.replacen("one  line ", "one line", 1).as_bytes(), &record()), DkimVerdict::Fail);
    // By default both forms are simple.
    let default = signed(&TAGS.replace(" c=relaxed/relaxed;", ""), HEADER, "x\r\n", None);
    assert_eq!(verdict(&default, &record()), DkimVerdict::Pass);
}

#[test]
fn a_key_must_fit_the_signature() {
    let message = signed(TAGS, HEADER, BODY, None);
    let (good, public) = (record(), STANDARD.encode(KEY.public_key().as_ref()));
    for (key, expected) in [
        (good.as_str(), DkimVerdict::Pass),
        (&format!("k=ed25519;p={public}; n=note;"), DkimVerdict::Pass),
        (&format!("v=DKIM1; k=ed25519; h=sha1:sha256; s=*; t=s; p={public}"), DkimVerdict::Pass),
        (&format!("v=DKIM1; k=ed25519; t=y:s; p={public}"), DkimVerdict::Neutral),
        (&format!("v=DKIM1; p={public}"), DkimVerdict::PermError),
        (&format!("v=DKIM2; k=ed25519; p={public}"), DkimVerdict::PermError),
        (&format!("k=ed25519; v=DKIM1; p={public}"), DkimVerdict::PermError),
        (&format!("v=DKIM1; k=ed25519; h=sha1; p={public}"), DkimVerdict::PermError),
        (&format!("v=DKIM1; k=ed25519; s=tlsrpt; p={public}"), DkimVerdict::PermError),
        ("v=DKIM1; k=ed25519; p=", DkimVerdict::PermError),
        ("v=DKIM1; k=ed25519; p=!", DkimVerdict::PermError),
        ("v=DKIM1; k=ed25519; p=AAAA", DkimVerdict::Fail),
        ("v=DKIM1; k=ed25519", DkimVerdict::PermError),
        ("v=spf1 -all", DkimVerdict::PermError),
        ("", DkimVerdict::PermError),
    ] {
        assert_eq!(verdict(&message, key), expected, "{key}");
    }
    assert_eq!(verified(&message, None)[0].verdict, DkimVerdict::TempError);
    // A test stays one whatever became of the body. Otherwise the answer says what was changed, and not what is wrong with the key.
    let changed = String::from_utf8(message.clone()).unwrap().replace("last", "lost");
    for (key, expected) in [
        (format!("v=DKIM1; k=ed25519; t=y; p={public}"), DkimVerdict::Neutral),
        (good.clone(), DkimVerdict::Fail),
        ("v=DKIM1; k=ed25519; p=".to_owned(), DkimVerdict::Fail),
    ] {
        assert_eq!(verdict(changed.as_bytes(), &key), expected, "{key}");
    }
    assert_eq!(verified(changed.as_bytes(), None)[0].verdict, DkimVerdict::TempError);
    let below = signed(&format!("i=joe@x.a.example; {TAGS}"), HEADER, BODY, None);
    assert_eq!(verdict(&below, &good), DkimVerdict::Pass);
    assert_eq!(verdict(&below, &format!("{good}; t=s")), DkimVerdict::PermError);
}

#[test]
fn what_a_signature_says_of_itself_must_be_in_order() {
    for (tags, expected) in [
        (TAGS.to_owned(), DkimVerdict::Pass),
        (format!("x={}; {TAGS}", NOW + 1), DkimVerdict::Pass),
        (format!("x={}; {TAGS}", NOW - 1), DkimVerdict::Fail),
        (format!("x=soon; {TAGS}"), DkimVerdict::PermError),
        (format!("q=dns/txt; {TAGS}"), DkimVerdict::Pass),
        (format!("q=http; {TAGS}"), DkimVerdict::PermError),
        (format!("i=joe@b.example; {TAGS}"), DkimVerdict::PermError),
        (TAGS.replace("v=1", "v=2"), DkimVerdict::PermError),
        (TAGS.replace("ed25519-sha256", "rsa-sha1"), DkimVerdict::PermError),
        (TAGS.replace("h=from:to:subject:from", "h=to"), DkimVerdict::PermError),
        (TAGS.replace("relaxed/relaxed", "relaxed/strict"), DkimVerdict::PermError),
        (TAGS.replace("d=a.example; ", ""), DkimVerdict::Neutral),
        (TAGS.replace("d=a.example", "d=[192.0.2.1]"), DkimVerdict::Neutral),
        (TAGS.replace("s=sel", "s=a b"), DkimVerdict::Neutral),
        (format!("d=a.example; {TAGS}"), DkimVerdict::Neutral),
        (format!("nonsense; {TAGS}"), DkimVerdict::Neutral),
    ] {
        assert_eq!(verdict(&signed(&tags, HEADER, BODY, None), &record()), expected, "{tags}");
    }
}

#[test]
fn a_signature_of_a_part_of_the_body_is_no_pass() {
    let whole = canonical(true, BODY.as_bytes()).len();
    for (length, expected) in [(whole, DkimVerdict::Pass), (whole - 3, DkimVerdict::Policy), (0, DkimVerdict::Policy)] {
        let message = signed(&format!("l={length}; {TAGS}"), HEADER, BODY, Some(length));
        assert_eq!(verdict(&message, &record()), expected, "{length}");
    }
    let message = signed(&format!("l={}; {TAGS}", whole + 1), HEADER, BODY, Some(whole));
    assert_eq!(verdict(&message, &record()), DkimVerdict::Fail);
}

#[test]
fn many_signatures_and_hostile_bodies_cost_little() {
    let many = format!(
        "{}{HEADER}",
        "DKIM-Signature: v=1; a=ed25519-sha256; d=a.example; s=s; h=from; bh=AA; b=AA\r\n".repeat(3_000)
    );
    let mut verifier = MessageVerifier::new(many.as_bytes(), NOW);
    verifier.body(b"x\r\n");
    verifier.end();
    assert_eq!(verifier.key_names().len(), 10);
    assert_eq!(verifier.verify(&[]).len(), 10);
    let names = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; bh=AA; b=AA; h={}from\r\n",
        "from:".repeat(100_000)
    );
    assert_eq!(MessageVerifier::new(names.as_bytes(), NOW).verify(&[])[0].verdict, DkimVerdict::PermError);
    let lines = "a: b\r\n".repeat(20_000);
    let header = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; bh=AA; b=AA; h=from{}\r\n{lines}",
        ":b".repeat(290)
    );
    assert_eq!(MessageVerifier::new(header.as_bytes(), NOW).verify(&[])[0].verdict, DkimVerdict::TempError);
    let header = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; bh=AA; b=AA; h=from:x\r\nX: {}\r\n",
        "y".repeat(70_000)
    );
    assert_eq!(MessageVerifier::new(header.as_bytes(), NOW).verify(&[])[0].verdict, DkimVerdict::PermError);
    // A message of empty lines with something behind them.
    let (mut form, mut octets, mut largest) = (CanonicalBody::new(true), 0, 0);
    let mut sink = |piece: &[u8]| (octets, largest) = (octets + piece.len(), largest.max(piece.len()));
    form.write(&b"\r\n".repeat(1_000_000), &mut sink);
    form.write(b"x", &mut sink);
    form.finish(&mut sink);
    assert_eq!((octets, largest <= 8 * 1024 + 2), (2_000_003, true));
}

proptest::proptest! {
    #[test]
    fn no_field_and_no_record_of_dkim_makes_it_panic(
        field in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        tags in "[vabdhsilxcq=;:.@/a-z0-9 \r\n\t]{0,200}",
        key in "[vkphts=;:A-Za-z0-9+/ ]{0,200}",
    ) {
        let plain = String::from_utf8_lossy(&field).into_owned();
        for body in [plain.as_str(), &tags, &format!("v=1; a=rsa-sha256; d=a.example; s=s; b=AA; h=from; bh=AA; {tags}")] {
            let mut verifier = MessageVerifier::new(format!("From: x\r\nDKIM-Signature:{body}\r\n").as_bytes(), NOW);
            verifier.body(&field);
            verifier.end();
            let keys = [Some(vec![key.clone().into_bytes(), field.clone()])];
            proptest::prop_assert!(verifier.verify(&keys).iter().all(|outcome| outcome.verdict != DkimVerdict::Pass));
        }
    }
}
