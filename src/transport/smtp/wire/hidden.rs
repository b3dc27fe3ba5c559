//! Secrets of a login in what the next hop says: some servers repeat the command that they refuse, or what was in it.
//!
//! Pure. From the login to the end of the connection no reply leaves the wire with a secret in it, so no receipt,
//! notification, log line or route state has one. Looked for: the password or token, and what was sent of it in base64,
//! each also percent-encoded. The cost is bounded by the length of a reply; without a login there is none.

use std::fmt;

use base64::engine::{Engine, general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::smtp::Reply;

/// What is shown in place of a secret.
const MARK: &str = "***";
/// A shorter secret is hidden as a whole word only, so that it does not cut up words in which it happens to be.
const LEAST_WITHIN_WORDS: usize = 8;
/// Servers cut what they repeat; of base64 this much is enough to tell.
const LEAST_OF_BASE64: usize = 12;
/// How much of a secret is enough at the end of a text that was cut here.
const LEAST_AT_THE_CUT: usize = 4;

/// The secrets of one connection.
#[derive(Default)]
pub(in crate::transport) struct Hidden(Vec<Form>);

/// One form of a secret.
struct Form {
    octets: Zeroizing<Vec<u8>>,
    is_base64: bool,
}

impl Hidden {
    /// Adds a login: the secret, and the forms of it that SASL has (RFC 4616 with and without another identity, LOGIN).
    pub(super) fn add_login(&mut self, user: &str, secret: &str) {
        self.add(secret.as_bytes(), false);
        for plain in [format!("\0{user}\0{secret}"), format!("{user}\0{user}\0{secret}"), secret.to_owned()] {
            self.add_base64(&Zeroizing::new(STANDARD.encode(&*Zeroizing::new(plain))));
        }
    }

    /// Adds a line of a login.
    pub(super) fn add_base64(&mut self, line: &str) {
        self.add(line.trim_end_matches('=').as_bytes(), true);
    }

    fn add(&mut self, octets: &[u8], is_base64: bool) {
        let is_new = !self.0.iter().any(|form| *form.octets == octets);
        if is_new && !octets.is_empty() {
            self.0.push(Form { octets: Zeroizing::new(octets.to_owned()), is_base64 });
        }
    }

    /// The reply without secrets.
    pub(super) fn out_of_reply(&self, reply: Reply) -> Reply {
        match (self.found_in(reply.text(), false), reply.enhanced()) {
            (None, _) => reply,
            (Some(text), Some(enhanced)) => Reply::new(reply.code(), enhanced, text),
            (Some(text), None) => Reply::bare(reply.code(), text),
        }
    }

    /// The text without secrets.
    pub(super) fn out_of(&self, text: &str) -> String {
        self.found_in(text, false).unwrap_or_else(|| text.to_owned())
    }

    /// An error without secrets that quotes the beginning of what was received.
    pub(super) fn out_of_cut(&self, text: String) -> String {
        let (quoted, end) = text.strip_suffix('"').map_or((&*text, ""), |quoted| (quoted, "\""));
        self.found_in(quoted, true).map_or(text.clone(), |hidden| hidden + end)
    }

    /// The text with marks, where there is a secret in it.
    fn found_in(&self, text: &str, is_cut: bool) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut marks = self.places(&Decoded::plain(text), is_cut);
        if text.contains('%') {
            marks.extend(self.places(&Decoded::percent(text), is_cut));
        }
        marks.sort_unstable();
        let mut hidden = String::with_capacity(text.len());
        let mut shown = 0;
        for (from, to) in &marks {
            if *to > shown {
                // What begins in a place that is hidden already extends it.
                if *from >= shown {
                    hidden.push_str(&text[text.floor_char_boundary(shown)..text.floor_char_boundary(*from)]);
                    hidden.push_str(MARK);
                }
                shown = text.ceil_char_boundary(*to);
            }
        }
        (!marks.is_empty()).then(|| hidden + &text[shown..])
    }

    /// From where to where there are secrets.
    fn places(&self, text: &Decoded, is_cut: bool) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        let mut at = 0;
        while at < text.octets.len() {
            let length = self.0.iter().filter_map(|form| form.length_at(&text.octets, at, is_cut)).max().unwrap_or(0);
            if length > 0 {
                places.push((text.places[at], text.places[at + length]));
            }
            at += length.max(1);
        }
        places
    }
}

impl Form {
    /// How much of it there is at this place, if that is enough.
    fn length_at(&self, text: &[u8], at: usize, is_cut: bool) -> Option<usize> {
        let common = self.octets.iter().zip(&text[at..]).take_while(|(one, other)| one == other).count();
        let is_whole = common == self.octets.len();
        let is_part = (self.is_base64 && common >= LEAST_OF_BASE64)
            || (is_cut && common >= LEAST_AT_THE_CUT && at + common == text.len());
        let is_word = || {
            let is_part_of_word = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_alphanumeric);
            !is_part_of_word(text[..at].last()) && !is_part_of_word(text.get(at + common))
        };
        let padding = text[at + common..].iter().take(2).take_while(|octet| self.is_base64 && **octet == b'=').count();
        ((is_whole || is_part) && (common >= LEAST_WITHIN_WORDS || is_word())).then_some(common + padding)
    }
}

/// A text in octets, and the place in it that each octet is from, with its end.
struct Decoded {
    octets: Vec<u8>,
    places: Vec<usize>,
}

impl Decoded {
    fn plain(text: &str) -> Self {
        Self { octets: text.as_bytes().to_vec(), places: (0..=text.len()).collect() }
    }

    /// RFC 3986 2.1; what is no percent-encoding is left as it is.
    fn percent(text: &str) -> Self {
        let (mut octets, mut places) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        let mut at = 0;
        while let Some(octet) = text.as_bytes().get(at) {
            let encoded = text.get(at + 1..at + 3).filter(|_| *octet == b'%');
            let decoded = encoded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            octets.push(decoded.unwrap_or(*octet));
            places.push(at);
            at += if decoded.is_some() { 3 } else { 1 };
        }
        places.push(text.len());
        Self { octets, places }
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::credential::Password;
    use crate::transport::leaving::Leaving;
    use crate::transport::settings::Timeouts;
    use crate::transport::smtp::wire::control::Control;

    fn of(secret: &str) -> Hidden {
        let mut hidden = Hidden::default();
        hidden.add_login("me", secret);
        hidden
    }

    #[test]
    fn each_form_of_a_secret_is_hidden() {
        let hidden = of("p/w d9%ü");
        for text in [
            "what is p/w d9%ü?",
            "what is p%2Fw%20d9%25%C3%BC?",
            "what is p%2fw d9%25%c3%bc?",
            &format!("what is {}?", STANDARD.encode("p/w d9%ü")),
            &format!("what is {}?", STANDARD.encode("p/w d9%ü").trim_end_matches('=')),
            &format!("what is {}?", STANDARD.encode("\0me\0p/w d9%ü")),
            &format!("what is {}?", &STANDARD.encode("\0me\0p/w d9%ü")[..13]),
            &format!("what is {}?", STANDARD.encode("me\0me\0p/w d9%ü").replace('/', "%2F")),
        ] {
            let shown = hidden.out_of(text);
            assert!(shown.starts_with("what is ***") && shown.ends_with('?') && shown.len() < 16, "{text}: {shown}");
        }
        assert_eq!(hidden.out_of("100% of p/w d9%ü and p/w d9%ü"), "100% of *** and ***");
        assert_eq!(hidden.out_of("nothing %zz of it %"), "nothing %zz of it %");
        assert_eq!(of("abcd").out_of("<YWJjZA==> YWJjZA%3d%3D."), "<***> ***.");
    }

    #[test]
    fn a_panic_that_shows_what_it_worked_on_shows_no_secret() {
        let control = Control::new("mx.example:25".to_owned(), Timeouts::default(), Leaving::default(), true);
        control.hide_login("me", "hunter2hunter2");
        let login = (of("hunter2hunter2"), Password::new("hunter2hunter2"), control);
        let panicked = std::thread::spawn(move || panic!("over {login:?}")).join().unwrap_err();
        let words = panicked.downcast::<String>().unwrap();
        assert!(words.contains("mx.example") && words.contains("Hidden(***)"), "{words}");
        for form in ["hunter2", &STANDARD.encode("hunter2hunter2"), &STANDARD.encode("\0me\0hunter2hunter2")] {
            assert!(!words.contains(form), "{words}");
        }
    }

    #[test]
    fn a_short_secret_is_hidden_as_a_word() {
        let hidden = of("relay");
        assert_eq!(hidden.out_of("no relay, unrelayed: <relay> relay"), "no ***, unrelayed: <***> ***");
        assert_eq!(of("correct horse").out_of("xcorrect horsex"), "x***x");
        assert_eq!(of("").out_of("nothing"), "nothing");
    }

    #[test]
    fn what_is_cut_within_a_secret_hides_that_too() {
        let hidden = of("hunter2hunter2");
        assert_eq!(hidden.out_of_cut("found \"x hunter2hu\"".to_owned()), "found \"x ***\"");
        assert_eq!(hidden.out_of_cut("found \"x hun\"".to_owned()), "found \"x hun\"");
        assert_eq!(hidden.out_of("x hunter2hu"), "x hunter2hu");
    }

    #[test]
    fn a_reply_keeps_its_codes_and_lines() {
        let reply = Reply::parse(b"550-5.7.1 one\r\n550 5.7.1 hunter2\r\n").unwrap();
        assert_eq!(of("hunter2").out_of_reply(reply).to_string(), "550 5.7.1 one ***");
        let reply = Reply::parse(b"550 hunter22\r\n").unwrap();
        assert_eq!(of("hunter2").out_of_reply(reply.clone()), reply);
        assert_eq!(format!("{:?}", of("hunter2")), "Hidden(***)");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_or_shows_the_secret(before in "[%a-z0-9ü\\n]{0,12}", after in "\\PC{0,12}") {
            let text = format!("{before} s3cret%41word {after}");
            let hidden = of("s3cret%41word").out_of(&text);
            proptest::prop_assert!(!hidden.contains("s3cret%41word"));
            of(&after).out_of(&before);
        }
    }
}
