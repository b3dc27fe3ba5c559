//! What one line of a server's reply is: its code and whether more follow (RFC 5321 4.2), or text without a code.
//!
//! Pure. Servers are read as Postfix reads them, and a tab after the code counts as a space.

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyLine {
    /// The last line of a reply.
    Last(u16),
    /// A line that others follow.
    More(u16),
    /// Text without a code: it belongs to the reply whose last line comes later.
    Text,
    /// A code that no reply has.
    NoSuchCode,
}

impl ReplyLine {
    /// Reads a line without its line end.
    pub(super) fn of(line: &[u8]) -> Self {
        let digits = line.iter().take_while(|octet| octet.is_ascii_digit()).count();
        if digits != 3 {
            return Self::Text;
        }
        let code = line[..3].iter().fold(0, |code, digit| 10 * code + u16::from(digit - b'0'));
        let known = (200..600).contains(&code);
        match line.get(3) {
            None | Some(b' ' | b'\t') if known => Self::Last(code),
            Some(b'-') if known => Self::More(code),
            None | Some(b' ' | b'\t' | b'-') => Self::NoSuchCode,
            Some(_) => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Enhanced, EnhancedCode, Reply, ReplyReader};

    /// What is read of the octets where one reply is waited for, and what is left.
    fn read(octets: &str) -> (Result<Option<(Reply, String)>, String>, String) {
        let mut reader = ReplyReader::default();
        reader.feed(octets.as_bytes());
        let shown = |reply: Reply| {
            let shown = reply.text().replace('\n', "|");
            (reply, shown)
        };
        let found = reader.next_lone_reply().map(|reply| reply.map(shown));
        (found, reader.rest())
    }

    #[test]
    fn what_servers_send_is_read_as_postfix_reads_it() {
        let (none, status) = (None, |a, b, c| Some(EnhancedCode(a, b, c)));
        for (octets, code, enhanced, text) in [
            ("250 2.1.0 ok\r\n", 250, status(2, 1, 0), "ok"),
            ("250\r\n", 250, none, ""),
            ("250 \r\n", 250, none, ""),
            ("250\tok\r\n", 250, none, "ok"),
            ("550\t5.1.1\tno such user\r\n", 550, status(5, 1, 1), "no such user"),
            ("250-one\r\n250\ttwo\r\n", 250, none, "one|two"),
            ("250 ok\n", 250, none, "ok"),
            ("250 ok\r\r\n", 250, none, "ok"),
            ("250-one\n250 two\r\n", 250, none, "one|two"),
            ("250 a\rb\r\n", 250, none, "a?b"),
            // Without a code within a reply, and before it.
            ("250-one\r\ntwo\r\n250 three\r\n", 250, none, "one|two|three"),
            ("250-one\r\n\r\n250 three\r\n", 250, none, "one||three"),
            ("250-one\r\n  250 two\r\n250 three\r\n", 250, none, "one|  250 two|three"),
            ("250-one\r\n2500 octets\r\n250 three\r\n", 250, none, "one|2500 octets|three"),
            ("250-one\r\n250.\r\n250 three\r\n", 250, none, "one|250.|three"),
            ("Welcome!\r\n220 mx ESMTP\r\n", 220, none, "Welcome!|mx ESMTP"),
            ("\r\n220 mx ESMTP\r\n", 220, none, "|mx ESMTP"),
            (
                "554-5.7.1 no\r\nhttps://why.example/?250 ok\r\n554 end\r\n",
                554,
                status(5, 7, 1),
                "no|https://why.example/?250 ok|end",
            ),
            // Enhanced codes.
            ("250  2.0.0  ok\r\n", 250, status(2, 0, 0), " ok"),
            ("550 5.7.1 5.1.1 who?\r\n", 550, status(5, 7, 1), "5.1.1 who?"),
            ("550-5.7.1 one\r\n550 5.1.1 two\r\n", 550, status(5, 7, 1), "one|two"),
            ("550-one\r\n550 5.1.1 two\r\n", 550, status(5, 1, 1), "one|two"),
            ("550 4.7.1 not ours\r\n", 550, none, "4.7.1 not ours"),
            ("550 #5.1.0 Address rejected.\r\n", 550, none, "#5.1.0 Address rejected."),
            ("354 3.0.0 go on\r\n", 354, none, "3.0.0 go on"),
            ("451 4.7.0\r\n", 451, status(4, 7, 0), ""),
            ("550 5.1.1: no\r\n", 550, none, "5.1.1: no"),
            // The codes of the lines.
            ("550-one\r\n554 two\r\n", 554, none, "one|two"),
            ("250-\r\n250 SIZE\r\n", 250, none, "|SIZE"),
        ] {
            let (found, rest) = read(octets);
            let (reply, shown) = found.unwrap().unwrap_or_else(|| panic!("{octets:?}"));
            assert_eq!((reply.code(), reply.enhanced(), shown.as_str()), (code, enhanced, text), "{octets:?}");
            assert_eq!(rest, "", "{octets:?}");
            let mut written = Vec::new();
            reply.write(&mut written, Enhanced::Shown);
            assert_eq!(Reply::parse(&written).unwrap(), reply, "{octets:?}");
        }
    }

    #[test]
    fn what_is_no_reply_for_postfix_either_is_none() {
        for octets in
            ["099 a\r\n", "600-a\r\n", "999\r\n", "250-a\r\n550 b\r\n", "550-a\r\n250 b\r\n", "250-a\r\n100 b\r\n"]
        {
            let (found, _) = read(octets);
            assert!(found.is_err(), "{octets:?}: {found:?}");
        }
        // Its last line may still come.
        for octets in [
            "ok\r\n",
            " 250 ok\r\n",
            "250x\r\n",
            "250ok\r\n",
            "25 a\r\n",
            "+OK ready\r\n",
            "250 no line end",
            "250 ok\r",
        ] {
            assert_eq!(read(octets).0, Ok(None), "{octets:?}");
        }
    }
}
