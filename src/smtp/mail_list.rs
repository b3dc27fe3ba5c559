//! The answer to XMAILQ as it goes over the wire: text of any length in reply lines of a bounded one. Pure.
//!
//! Each line of the text begins a reply line with `=`, and goes on in reply lines with `+` where it is longer than one has room
//! for. A last `.` says that it is whole. What is not printable becomes `?` in the reply.

/// Octets of a piece; a reply line has room for 480.
const PIECE: usize = 400;

/// The text of the reply.
pub fn encode(list: &str) -> String {
    let mut text = String::with_capacity(list.len() + list.len() / 16 + 2);
    for line in list.lines() {
        let (mut mark, mut rest) = ('=', line);
        loop {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(PIECE));
            text.push(mark);
            text.push_str(piece);
            text.push('\n');
            (mark, rest) = ('+', more);
            if rest.is_empty() {
                break;
            }
        }
    }
    text.push('.');
    text
}

/// The list that the text of a reply holds; `None` where it is none, or not whole.
pub fn parse(text: &str) -> Option<String> {
    let mut list = String::with_capacity(text.len());
    let body = text.strip_suffix('.')?;
    for line in body.lines() {
        match line.split_at_checked(1)? {
            ("=", piece) => {
                if !list.is_empty() {
                    list.push('\n');
                }
                list.push_str(piece);
            }
            ("+", piece) => list.push_str(piece),
            _ => return None,
        }
    }
    if !list.is_empty() {
        list.push('\n');
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::{Enhanced, Reply};

    #[test]
    fn a_list_comes_over_the_wire_as_it_was() {
        let long = "ü".repeat(1000);
        for list in ["", "Mail queue is empty\n", "a\n\n    (b)\n", "250 2.0.0 ok\n.\n=\n", &format!("x\n{long}\ny\n")]
        {
            let mut octets = Vec::new();
            Reply::bare(250, encode(list)).write(&mut octets, Enhanced::Shown);
            assert!(octets.split(|octet| *octet == b'\n').all(|line| line.len() <= 512));
            let reply = Reply::parse(&octets).unwrap();
            assert_eq!(parse(reply.text()).as_deref(), Some(list));
        }
        for bad in ["", "ok", "=a", "=a\n", "a\n.", "=a\n?b\n.", "ü\n."] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
