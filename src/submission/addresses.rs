//! Lists of addresses in header fields and command lines (RFC 5322 3.4): groups, comments, quoted strings, folds.
//!
//! It only finds where each address is. It guesses nothing: if a list cannot be read, no address is used, because a
//! recipient that is lost silently would be worse.

/// One address of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// What stood between the angle brackets, or stood alone: without comments, folds and the spaces around `@` and `.`.
    pub(super) text: String,
    /// The offset in the list behind the address's last octet.
    pub(super) end: usize,
}

/// The addresses of a list, in order; groups count as their members.
///
/// # Errors
/// In words, when a list cannot be read.
pub(super) fn addresses(list: &[u8]) -> Result<Vec<Found>, &'static str> {
    let mut reader = Reader { list, at: 0, found: Vec::new(), bare: Spec::default(), angle: None };
    while let Some(octet) = reader.next() {
        match octet {
            b'(' => reader.skip_comment()?,
            b'<' => reader.read_angle()?,
            b'"' | b'[' if reader.angle.is_some() => return Err("expected a comma between two addresses"),
            b'"' => reader.read_quoted()?,
            b'[' => reader.read_literal()?,
            b',' | b';' => reader.finish()?,
            b':' => reader.begin_group()?,
            b'>' => return Err("expected < before >"),
            b' ' | b'\t' | b'\r' | b'\n' => reader.bare.space(),
            octet => reader.push(octet)?,
        }
    }
    reader.finish()?;
    Ok(reader.found)
}

/// An address as it is gathered.
#[derive(Default)]
struct Spec {
    octets: Vec<u8>,
    end: usize,
    /// White space stood behind what was gathered.
    spaced: bool,
    /// Two words stand side by side: a name, or an address that lacks a comma.
    words: bool,
}

impl Spec {
    fn space(&mut self) {
        self.spaced |= !self.octets.is_empty();
    }

    /// RFC 5322 4.4: white space around `@` and dots is obsolete, but read.
    fn push(&mut self, octet: u8, end: usize) {
        let joins = |octet: u8| matches!(octet, b'@' | b'.');
        if std::mem::take(&mut self.spaced) && !joins(octet) && !self.octets.last().copied().is_some_and(joins) {
            self.words = true;
            self.octets.push(b' ');
        }
        self.octets.push(octet);
        self.end = end;
    }
}

struct Reader<'a> {
    list: &'a [u8],
    at: usize,
    found: Vec<Found>,
    /// Outside angle brackets.
    bare: Spec,
    angle: Option<Spec>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let octet = self.list.get(self.at).copied();
        self.at += usize::from(octet.is_some());
        octet
    }

    /// Outside angle brackets.
    fn push(&mut self, octet: u8) -> Result<(), &'static str> {
        if self.angle.is_some() {
            return Err("expected a comma between two addresses");
        }
        self.bare.push(octet, self.at);
        Ok(())
    }

    /// What stood before the colon is a group's name, or `mailto`.
    fn begin_group(&mut self) -> Result<(), &'static str> {
        if self.angle.is_some() || self.bare.octets.contains(&b'@') {
            return Err("expected a comma between two addresses, or the name of a group before :");
        }
        self.bare = Spec::default();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        let bare = std::mem::take(&mut self.bare);
        let (spec, angle) = match self.angle.take() {
            Some(spec) => (spec, true),
            None => (bare, false),
        };
        if spec.octets.is_empty() {
            // Between two commas; <> is an address of nobody.
            return if angle { Err("expected an address, but found <>") } else { Ok(()) };
        }
        if spec.words {
            return Err("expected a comma between two addresses, or < and > around one");
        }
        const ENCODING: &str = "expected an address in ASCII or UTF-8";
        let text = String::from_utf8(spec.octets).map_err(|_| ENCODING)?;
        // What stood on a command line in another encoding: nobody has such an address.
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(ENCODING);
        }
        self.found.push(Found { text, end: spec.end });
        Ok(())
    }

    /// RFC 5322 3.2.2: comments nest.
    fn skip_comment(&mut self) -> Result<(), &'static str> {
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                None => return Err("expected ) at the end of a comment"),
                Some(b'(') => depth += 1,
                Some(b')') => depth -= 1,
                Some(b'\\') => self.at += 1,
                Some(_) => {}
            }
        }
        self.bare.space();
        Ok(())
    }

    fn read_angle(&mut self) -> Result<(), &'static str> {
        if self.angle.is_some() {
            return Err("expected a comma between two addresses");
        }
        let name = std::mem::take(&mut self.bare);
        loop {
            match self.next() {
                None => return Err("expected > behind <"),
                Some(b'>') => break,
                Some(b'(') => self.skip_comment()?,
                Some(b'"') => self.read_quoted()?,
                Some(b'[') => self.read_literal()?,
                Some(b'<') => return Err("expected > before another <"),
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.bare.space(),
                Some(octet) => self.bare.push(octet, self.at),
            }
        }
        self.angle = Some(std::mem::replace(&mut self.bare, name));
        Ok(())
    }

    /// RFC 5322 3.2.4; kept with its quotes, as they are part of the address.
    fn read_quoted(&mut self) -> Result<(), &'static str> {
        self.bare.push(b'"', self.at);
        loop {
            let octet = self.next().ok_or("expected a closing quote")?;
            match octet {
                // RFC 5322 3.2.2: the line end of a fold is not part of what is folded.
                b'\r' | b'\n' => {}
                b'\\' => {
                    let quoted = self.next().ok_or("expected a closing quote")?;
                    self.bare.octets.extend([b'\\', quoted]);
                }
                octet => self.bare.octets.push(octet),
            }
            self.bare.end = self.at;
            if octet == b'"' {
                return Ok(());
            }
        }
    }

    fn read_literal(&mut self) -> Result<(), &'static str> {
        self.bare.push(b'[', self.at);
        loop {
            let octet = self.next().ok_or("expected ] behind [")?;
            self.bare.octets.push(octet);
            self.bare.end = self.at;
            if octet == b']' {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(list: &str) -> Vec<String> {
        addresses(list.as_bytes()).expect(list).into_iter().map(|found| found.text).collect()
    }

    #[test]
    fn lists_of_every_kind_are_read() {
        for (list, expected) in [
            ("root", &["root"][..]),
            ("joe, amy", &["joe", "amy"]),
            ("root (Cron (nested \\) ) Daemon)", &["root"]),
            ("\"Smith, J\" <j@x>, k@x", &["j@x", "k@x"]),
            ("\"a b\"@c.d", &["\"a b\"@c.d"]),
            ("team: a@x, B <b@y>;, c@z", &["a@x", "b@y", "c@z"]),
            ("undisclosed-recipients:;", &[]),
            ("mailto:joe@x", &["joe@x"]),
            ("joe @ x . y", &["joe@x.y"]),
            ("Joe Smith\r\n <joe@\r\n x>,\r\n\tamy@x", &["joe@x", "amy@x"]),
            ("<@r1,@r2:a@x>", &["@r1,@r2:a@x"]),
            ("a@[IPv6:::1], b", &["a@[IPv6:::1]", "b"]),
            ("a@x;b@x", &["a@x", "b@x"]),
            (",, a@x ,", &["a@x"]),
            ("<a@x> (Joe) ", &["a@x"]),
            ("-f@x", &["-f@x"]),
            ("\"q\\\"uote, d\" <a@x>", &["a@x"]),
            ("<\"q\\\"x\"@y>", &["\"q\\\"x\"@y"]),
        ] {
            assert_eq!(texts(list), expected, "{list}");
        }
        assert_eq!(addresses(b"M\xfcller <a@x>").unwrap()[0].text, "a@x", "a name may be in any character set");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_loses_nobody() {
        for bad in [
            "joe smith",
            "a@x b@y",
            "<a@x> b@y",
            "<a@x> joe",
            "a@x: b@x",
            "<a@x",
            "\"open, a@x",
            "a@x (open",
            "<a@x> <b@x>",
            "<>",
            "a>",
            "[x",
        ] {
            assert!(addresses(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(addresses(b"a\xff@x").is_err());
        assert!(addresses("a\u{fffd}@x".as_bytes()).is_err());
    }

    #[test]
    fn the_end_is_behind_the_address() {
        for (list, rest) in
            [("root (Cron)", " (Cron)"), ("X <joe > (y)", " > (y)"), ("\"a b\" (c)", " (c)"), ("a@[1.2.3.4],", ",")]
        {
            let found = addresses(list.as_bytes()).unwrap();
            assert_eq!(&list[found[0].end..], rest, "{list}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(list: Vec<u8>) {
            if let Ok(found) = addresses(&list) {
                prop_assert!(found.iter().all(|found| !found.text.is_empty() && found.end <= list.len()));
            }
        }

        #[test]
        fn every_address_of_a_list_is_found(names in prop::collection::vec("[a-z\"-][a-z0-9.-]{0,8}", 1..6), dress: u8) {
            let names: Vec<String> = names.iter().map(|name| name.replace('"', "q") + "@x.y").collect();
            let dressed = |(at, name): (usize, &String)| match (usize::from(dress) + at) % 4 {
                0 => name.clone(),
                1 => format!("\"N, {at}\" <{name}>"),
                2 => format!("{name} (c, (d))"),
                _ => format!("g{at}: {name};"),
            };
            let list: Vec<String> = names.iter().enumerate().map(dressed).collect();
            prop_assert_eq!(texts(&list.join(",\r\n ")), names);
        }
    }
}
