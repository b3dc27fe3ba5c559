//! What is read of a certificate that the TLS library does not parse: its key and its dates (RFC 5280 4.1).
//!
//! Pure. The octets are a stranger's: each length is checked against what is there, and nothing is believed of them here.

/// An element: its tag, its content, and the whole of it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BIT_STRING: u8 = 0x03;

/// The first element, and what follows it.
fn first(octets: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        // Four octets are more than any certificate needs.
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    let whole = &octets[..octets.len() - after.len()];
    Some((Element { tag, content, whole }, after))
}

/// The content of a sequence, and what follows it.
fn sequence(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    first(octets).filter(|(element, _)| element.tag == SEQUENCE).map(|(element, after)| (element.content, after))
}

/// What is read of a certificate.
struct Parts<'a> {
    /// Without its tag and length, as trust anchors have it.
    issuer: &'a [u8],
    dates: &'a [u8],
    /// The `SubjectPublicKeyInfo` as it is.
    key: &'a [u8],
}

fn parts(certificate: &[u8]) -> Option<Parts<'_>> {
    let (certificate, _) = sequence(certificate)?;
    let (mut rest, _) = sequence(certificate)?;
    let (element, after) = first(rest)?;
    if element.tag == VERSION {
        rest = after;
    }
    let (_serial, rest) = first(rest)?;
    let (_algorithm, rest) = sequence(rest)?;
    let (issuer, rest) = sequence(rest)?;
    let (dates, rest) = sequence(rest)?;
    let (_subject, rest) = sequence(rest)?;
    let (key, _) = first(rest)?;
    (key.tag == SEQUENCE).then_some(Parts { issuer, dates, key: key.whole })
}

/// The public key, as a `SubjectPublicKeyInfo`.
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    parts(certificate).map(|parts| parts.key)
}

/// The name of whoever signed it, without its tag and length.
pub(super) fn issuer(certificate: &[u8]) -> Option<&[u8]> {
    parts(certificate).map(|parts| parts.issuer)
}

/// The content of a sequence.
pub(super) fn content(octets: &[u8]) -> Option<&[u8]> {
    sequence(octets).map(|(content, _)| content)
}

/// The key in a `SubjectPublicKeyInfo`: of RSA, modulus and exponent (RFC 8017 A.1.1).
pub(super) fn rsa_key(key: &[u8]) -> Option<&[u8]> {
    let (content, _) = sequence(key)?;
    let (_algorithm, rest) = sequence(content)?;
    let (bits, _) = first(rest)?;
    // No bit of the last octet is unused.
    bits.content.strip_prefix(&[0]).filter(|_| bits.tag == BIT_STRING)
}

/// From when to when a certificate is valid, in seconds since the epoch.
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (from, rest) = first(parts(certificate)?.dates)?;
    let (until, _) = first(rest)?;
    Some((time(&from)?, time(&until)?))
}

/// RFC 5280 4.1.2.5: in UTC, with seconds, without fractions. A time before 1970 is 1970.
fn time(element: &Element<'_>) -> Option<u64> {
    let digits = element.content.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, to: usize| std::str::from_utf8(digits.get(from..to)?).ok()?.parse::<u64>().ok();
    let (year, rest) = match (element.tag, digits.len()) {
        (UTC_TIME, 12) => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |at: usize| number(rest + 2 * at, rest + 2 * at + 2);
    let (month, day, hour, minute, second) = (part(0)?, part(1)?, part(2)?, part(3)?, part(4)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days of the civil calendar, with March as the first month.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.saturating_sub(719_468);
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(tag: u8, text: &str) -> Option<u64> {
        time(&Element { tag, content: text.as_bytes(), whole: b"" })
    }

    #[test]
    fn times_are_read_as_rfc_5280_has_them() {
        assert_eq!(date(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(date(UTC_TIME, "261130110000Z"), Some(1_796_036_400));
        assert_eq!(date(GENERALIZED_TIME, "20000229120001Z"), Some(951_825_601));
        assert_eq!(date(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(date(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        for (tag, text) in
            [(UTC_TIME, "20260101000000Z"), (UTC_TIME, "2611301100Z"), (GENERALIZED_TIME, "99990000000000Z")]
        {
            assert_eq!(date(tag, text), None, "{text}");
        }
    }

    #[test]
    fn the_key_and_the_dates_are_those_that_another_parser_finds() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["h.example".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 2, 29);
        parameters.not_after = rcgen::date_time_ymd(2051, 3, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        assert_eq!(public_key(certificate.der()), Some(rcgen::PublicKeyData::subject_public_key_info(&key).as_slice()));
        assert_eq!(validity(certificate.der()), Some((1_582_934_400, 2_561_241_600)));
        // No prefix of it, and no octet that is changed, makes this panic.
        for at in 0..certificate.der().len() {
            let _ = (public_key(&certificate.der()[..at]), validity(&certificate.der()[..at]));
            let mut changed = certificate.der().to_vec();
            changed[at] ^= 0xff;
            let _ = (public_key(&changed).and_then(rsa_key), validity(&changed));
        }
        assert_eq!(public_key(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
