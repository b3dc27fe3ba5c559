//! What a milter answers, and what it wants to be changed at the end of a message.

use super::wire::Packet;
use crate::policy::delegation::answer::reply;
use crate::smtp::header::{FoldedField, HeaderEdit};
use crate::smtp::{EnhancedCode, Reply};

/// The answer to one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MilterAnswer {
    /// Go on.
    Continue,
    /// Nothing more of this message, or connection, is of interest.
    Accept,
    /// The message is to disappear.
    Discard,
    /// No more of the body.
    Skip,
    /// Wait longer.
    Progress,
    /// A 5xx reply.
    Refuse(Reply),
    /// A 4xx reply.
    Defer(Reply),
    /// The client is to go.
    Disconnect(Reply),
    /// Something that is allowed at the end of the message only.
    Change(Change),
}

/// What is changed at the end of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A change of the header.
    Header(HeaderEdit),
    /// The message waits for a person.
    Quarantine(String),
    /// Something that cannot be done, in words.
    Ignored(String),
}

impl MilterAnswer {
    /// Reads an answer. `spaced` says whether values of fields come with the blank after the colon.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(packet: &Packet, spaced: bool) -> Result<Self, String> {
        let Packet { letter, data } = packet;
        Ok(match letter {
            b'c' => Self::Continue,
            b'a' => Self::Accept,
            b'd' => Self::Discard,
            b's' => Self::Skip,
            b'p' => Self::Progress,
            b'r' => Self::Refuse(reply(550, EnhancedCode(5, 7, 1), "")),
            b't' => Self::Defer(reply(451, EnhancedCode(4, 7, 1), "")),
            b'4' | b'f' => Self::Disconnect(reply(421, EnhancedCode(4, 7, 0), "")),
            b'y' => own_reply(data)?,
            b'h' => Self::Change(header(data, spaced, HeaderEdit::Append)?),
            b'i' => {
                let (index, rest) = index(data)?;
                Self::Change(header(rest, spaced, |field| HeaderEdit::Insert(index, field))?)
            }
            b'm' => Self::Change(changed(data, spaced)?),
            b'q' => Self::Change(Change::Quarantine(text(data))),
            b'+' | b'2' | b'-' | b'b' | b'e' => {
                Self::Change(Change::Ignored(format!("it changes the body or the envelope ({})", char::from(*letter))))
            }
            _ => return Err(format!("it answered with an unknown letter, {}", letter.escape_ascii())),
        })
    }
}

/// A reply of the milter's own, perhaps of several lines.
fn own_reply(data: &[u8]) -> Result<MilterAnswer, String> {
    let text = text(data);
    let code = text.get(..3).and_then(|code| code.parse::<u16>().ok()).unwrap_or(0);
    // Of each further line only its text.
    let lines = text.lines().map(|line| {
        let line = line.trim();
        line.get(3..).filter(|_| line.starts_with(&text[..3])).map_or(line, |rest| rest.trim_start_matches(['-', ' ']))
    });
    let said = lines.collect::<Vec<_>>().join(" ");
    Ok(match code {
        421 => MilterAnswer::Disconnect(reply(code, EnhancedCode(4, 7, 0), &said)),
        400..=499 => MilterAnswer::Defer(reply(code, EnhancedCode(4, 7, 1), &said)),
        500..=599 => MilterAnswer::Refuse(reply(code, EnhancedCode(5, 7, 1), &said)),
        _ => return Err("it answered with a reply that is none".to_owned()),
    })
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data.split(|octet| *octet == 0).next().unwrap_or_default()).into_owned()
}

fn index(data: &[u8]) -> Result<(u16, &[u8]), String> {
    let (index, rest) = data.split_first_chunk::<4>().ok_or("it sent a change of the header without a place")?;
    Ok((u16::try_from(u32::from_be_bytes(*index)).unwrap_or(u16::MAX), rest))
}

/// A name and a value, each with its NUL.
fn pair(data: &[u8]) -> Result<(String, String), String> {
    let mut parts = data.split(|octet| *octet == 0).map(|part| {
        let text = String::from_utf8_lossy(part);
        text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect::<String>()
    });
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(value), Some(_), None) => Ok((name, value)),
        _ => Err("it sent a change of the header without a name or a value".to_owned()),
    }
}

fn header(data: &[u8], spaced: bool, edit: impl Fn(FoldedField) -> HeaderEdit) -> Result<Change, String> {
    let (name, value) = pair(data)?;
    Ok(match field(&name, &value, spaced) {
        Ok(field) => Change::Header(edit(field)),
        Err(why) => ignored(&name, why),
    })
}

fn changed(data: &[u8], spaced: bool) -> Result<Change, String> {
    let (index, rest) = index(data)?;
    let (name, value) = pair(rest)?;
    // Our own Received is hidden from milters.
    let number = index.max(1).saturating_add(u16::from(name.eq_ignore_ascii_case("Received")));
    let edit = if value.trim().is_empty() {
        name.parse().map(|name| HeaderEdit::Remove(number, name))
    } else {
        field(&name, &value, spaced).map(|field| HeaderEdit::Replace(number, field))
    };
    Ok(edit.map_or_else(|why| ignored(&name, why), Change::Header))
}

fn ignored(name: &str, why: &str) -> Change {
    Change::Ignored(format!("its change of the field {} was left out: {why}", name.escape_default()))
}

/// A field from a value whose folds are LF or CRLF.
fn field(name: &str, value: &str, spaced: bool) -> Result<FoldedField, &'static str> {
    let value = value.replace("\r\n", "\n").replace('\n', "\r\n");
    let blank = if spaced || value.starts_with([' ', '\t', '\r']) { "" } else { " " };
    format!("{name}:{blank}{value}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(letter: u8, data: &[u8]) -> Result<MilterAnswer, String> {
        MilterAnswer::read(&Packet { letter, data: data.to_vec() }, false)
    }

    fn edit(text: &str) -> MilterAnswer {
        MilterAnswer::Change(Change::Header(text.parse().unwrap()))
    }

    #[test]
    fn what_real_milters_answer_is_understood() {
        use MilterAnswer::*;
        let said = |code, enhanced, text: &str| Reply::new(code, enhanced, text.to_owned());
        for (letter, data, expected) in [
            (b'c', &b""[..], Continue),
            (b's', b"", Skip),
            (b'p', b"", Progress),
            (b'y', b"554 5.7.1 Gtube pattern\0", Refuse(said(554, EnhancedCode(5, 7, 1), "Gtube pattern"))),
            (b'y', b"451 4.7.1 Try again\0", Defer(said(451, EnhancedCode(4, 7, 1), "Try again"))),
            (b'y', b"550-5.7.1 one\r\n550 5.7.1 two\0", Refuse(said(550, EnhancedCode(5, 7, 1), "one 5.7.1 two"))),
            (b'y', b"421 4.3.2 going\0", Disconnect(said(421, EnhancedCode(4, 3, 2), "going"))),
            (b'h', b"X-Virus\0clean\0", edit("append X-Virus: clean")),
            (b'i', b"\0\0\0\x01DKIM-Signature\0v=1;\n\tb=c\0", edit("insert 1 DKIM-Signature: v=1;\r\n\tb=c")),
            (b'i', b"\xff\xff\xff\xffX\0y\0", edit("insert 65535 X: y")),
            (b'm', b"\0\0\0\x02Subject\0new\0", edit("replace 2 Subject: new")),
            (b'm', b"\0\0\0\0Subject\0\0", edit("remove 1 Subject")),
            (b'm', b"\0\0\0\x01received\0\0", edit("remove 2 received")),
            (b'h', b"X\0m\xc3\xbcde\0", edit("append X: m?de")),
            (b'q', b"odd\0", Change(super::Change::Quarantine("odd".to_owned()))),
        ] {
            assert_eq!(read(letter, data), Ok(expected), "{} {data:?}", char::from(letter));
        }
        let spaced = Packet { letter: b'h', data: b"X\0  y\0".to_vec() };
        let expected = Change(super::Change::Header("append X:  y".parse().unwrap()));
        assert_eq!(MilterAnswer::read(&spaced, true), Ok(expected));
    }

    #[test]
    fn no_change_of_a_milter_adds_a_line_that_it_does_not_name() {
        for data in [
            &b"X\0a\r\nBcc: b@c\0"[..],
            b"X\0a\nBcc: b@c\0",
            b"X\0a\n\nbody\0",
            b"X\0a\rb\0",
            b"X\r\nBcc\0a\0",
            b"\0a\0",
            b"X Y\0a\0",
            b"X\0\n \0",
        ] {
            let answer = read(b'h', data);
            assert!(
                matches!(&answer, Ok(MilterAnswer::Change(Change::Ignored(why))) if !why.contains('\n')),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_trouble_of_the_milter() {
        for (letter, data) in [
            (b'x', &b""[..]),
            (0, b""),
            (b'y', b""),
            (b'y', b"250 fine\0"),
            (b'y', b"\xff\xff\xff\0"),
            (b'h', b""),
            (b'h', b"X"),
            (b'h', b"X\0y"),
            (b'h', b"X\0y\0z\0"),
            (b'i', b"\0\0"),
            (b'm', b"\0\0\0\x01X\0"),
        ] {
            assert!(read(letter, data).is_err(), "{letter} {data:?}");
        }
        let Ok(MilterAnswer::Refuse(reply)) = read(b'y', "550 a\u{1b}[2J\u{fc}\0".as_bytes()) else {
            panic!("a reply")
        };
        assert!(reply.text().bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()));
    }
}
