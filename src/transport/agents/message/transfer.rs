//! Transfer encodings (RFC 2045 6), read as mail programs do: what is no part of the encoding is passed over.

/// The octets that base64 stands for; the rest of a group that is broken off is left out.
pub(super) fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for octet in text {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            // What follows the end of one text may be another one.
            b'=' => {
                count = 0;
                continue;
            }
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(((bits >> count) & 0xff) as u8);
        }
    }
    out
}

/// The octets that quoted-printable stands for; an equals sign that begins no code is itself.
pub(super) fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != b'=' {
            out.push(*first);
            continue;
        }
        if let Some(after) = soft_line_end(others) {
            rest = after;
        } else if let Some(octet) = hex(others) {
            out.push(octet);
            rest = &others[2..];
        } else {
            out.push(b'=');
        }
    }
    out
}

/// The encoding of words in header fields that is like quoted-printable (RFC 2047 4.2).
pub(super) fn q_word(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|octet| if *octet == b'_' { b' ' } else { *octet }).collect();
    quoted_printable(&spaced)
}

/// What follows the end of a line that goes on; blanks before that end were added on the way.
fn soft_line_end(text: &[u8]) -> Option<&[u8]> {
    let blanks = text.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    let rest = &text[blanks..];
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"\n") }
}

fn hex(text: &[u8]) -> Option<u8> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let (high, low) = (digit(text.first()?)?, digit(text.get(1)?)?);
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_encodings_give_what_is_left() {
        assert_eq!(base64(b"SGVs\r\nbG8="), b"Hello");
        assert_eq!(base64(b"SGVsbG8*gd29ybGQ\r\n"), b"Hello world");
        assert_eq!(base64(b"SGk=SGk="), b"HiHi");
        assert_eq!(base64(b"S"), b"");
        assert_eq!(quoted_printable(b"a=ZZb=\r\nc=3D= \nd="), b"a=ZZbc=d");
        assert_eq!(quoted_printable(b"=c3=BC"), "ü".as_bytes());
        assert_eq!(q_word(b"a_b=5F"), b"a b_");
    }
}
