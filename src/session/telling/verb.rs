//! Which command a line is meant to be, as Postfix names the place of an event in its log.

/// What is named; everything else is `UNKNOWN`.
const VERBS: [&str; 17] = [
    "HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "HELP", "VRFY", "EXPN", "AUTH", "STARTTLS",
    "XCLIENT", "XFORWARD", "XMAILQ",
];

/// The name of a command line, which may be anything.
pub(super) fn verb(line: &[u8]) -> &'static str {
    let end = line.iter().position(|octet| !octet.is_ascii_alphabetic()).unwrap_or(line.len());
    let word = &line[..end];
    VERBS.into_iter().find(|verb| word.eq_ignore_ascii_case(verb.as_bytes())).unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_name_of_its_command_however_it_is_spelt() {
        for (line, name) in [
            (&b"mail FROM:<a@b>"[..], "MAIL"),
            (b"HELO", "HELO"),
            (b"EHLO\r", "EHLO"),
            (b"RCPT\tTO:<a@b>", "RCPT"),
            (b"MAILFROM:<a@b>", "UNKNOWN"),
            (b"", "UNKNOWN"),
            (b"\xff\0", "UNKNOWN"),
            (b"GET / HTTP/1.1", "UNKNOWN"),
        ] {
            assert_eq!(verb(line), name, "{line:?}");
        }
    }
}
