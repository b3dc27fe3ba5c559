//! The TXT record that says that a domain has a policy, and which (RFC 8461 3.1).
//!
//! Pure. The octets are a stranger's.

/// Octets of the longest identifier.
const MOST_OCTETS: usize = 32;
const VERSION: &str = "v=STSv1";

/// The identifier of the policy; `None` where the domain has none: no record, several, or one that is not valid.
pub(super) fn identifier<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut records = texts.filter_map(|text| std::str::from_utf8(text).ok()).filter(|text| is_record(text));
    match (records.next(), records.next()) {
        (Some(record), None) => read(record),
        _ => None,
    }
}

/// Others of the same name are of no interest.
fn is_record(text: &str) -> bool {
    text.split(';').next().is_some_and(|version| version.trim_end_matches([' ', '\t']) == VERSION)
}

fn read(record: &str) -> Option<String> {
    let mut fields = record.split(';').skip(1).map(|field| field.trim_matches([' ', '\t'])).peekable();
    let mut found = None;
    while let Some(field) = fields.next() {
        // Only behind the last field there may be one more semicolon.
        if field.is_empty() && fields.peek().is_none() {
            break;
        }
        let (name, value) = field.split_once('=')?;
        if name == "id" {
            let is_one = (1..=MOST_OCTETS).contains(&value.len()) && value.bytes().all(|c| c.is_ascii_alphanumeric());
            if !is_one || found.replace(value.to_owned()).is_some() {
                return None;
            }
        } else if name.is_empty() || value.is_empty() || !value.bytes().all(|c| c.is_ascii_graphic() && c != b'=') {
            return None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_valid_record_names_the_policy_and_nothing_else_does() {
        let of = |texts: &[&str]| identifier(texts.iter().map(|text| text.as_bytes()));
        for (record, id) in
            [("v=STSv1; id=20160831085700Z;", "20160831085700Z"), ("v=STSv1;id=a", "a"), ("v=STSv1 ;\tid=a ; x=y", "a")]
        {
            assert_eq!(of(&[record]).as_deref(), Some(id), "{record}");
        }
        for record in [
            "",
            "v=STSv1",
            "v=STSv1;",
            "v=STSv1; id=",
            "v=STSv1; id=a-b",
            "v=STSv1; id=a; id=b",
            "v=STSv1; id=123456789012345678901234567890123",
            "v=STSv1;; id=a",
            "v=STSv1; id=a; x=\u{e9}",
            " v=STSv1; id=a",
            "v=STSv2; id=a",
            "V=STSv1; id=a",
        ] {
            assert_eq!(of(&[record]), None, "{record}");
        }
        assert_eq!(of(&["v=spf1 -all", "v=STSv1; id=a"]).as_deref(), Some("a"));
        assert_eq!(of(&["v=STSv1; id=a", "v=STSv1; id=a"]), None, "two of them");
        assert_eq!(identifier([&b"v=STSv1; id=\xff"[..]].into_iter()), None);
    }
}
