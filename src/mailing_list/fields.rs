//! The fields of a list in a header: what its copies get (RFC 2369, RFC 2919), and by which mail of programs is found.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{ListRefusal, MailingList, Post};
use crate::address::Mailbox;

/// What need not be encoded in the address of a `mailto:` (RFC 6068 2).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'@').remove(b'~');

impl MailingList {
    /// The identifier of the list, without angle brackets (RFC 2919 2): a name in the form of a domain.
    pub fn id(&self) -> String {
        let label = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        let local: String = self.address.local().chars().map(label).collect();
        let domain = self.address.domain().to_string();
        format!("{local}.{}", domain.chars().map(|c| if c == '.' { '.' } else { label(c) }).collect::<String>())
            .to_ascii_lowercase()
    }

    /// The fields that each copy gets, by name.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mailto = |mailbox: &Mailbox, subject: &str| {
            let address = mailbox.to_string();
            let query = if subject.is_empty() { "" } else { "?subject=" };
            let subject = utf8_percent_encode(subject, PLAIN);
            format!("<mailto:{}{query}{subject}>", utf8_percent_encode(&address, PLAIN))
        };
        let post = match self.post {
            Post::Members | Post::Anyone => mailto(&self.address, ""),
            Post::Only(_) => "NO".to_owned(),
        };
        let name = self.address.local();
        vec![
            ("List-Id", format!("<{}>", self.id())),
            ("List-Post", post),
            ("List-Help", mailto(&self.owner, &format!("help {name}"))),
            ("List-Unsubscribe", mailto(&self.owner, &format!("unsubscribe {name}"))),
            ("Precedence", "list".to_owned()),
        ]
    }

    /// Why a message is not for the list, from its header.
    pub fn refuses_header<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<ListRefusal> {
        for (name, body) in fields {
            let text = String::from_utf8_lossy(body);
            if name.eq_ignore_ascii_case("List-Id") && identifier(&text).eq_ignore_ascii_case(&self.id()) {
                return Some(ListRefusal::Loop);
            }
            // RFC 3834 5: "no", perhaps with parameters or a comment.
            let keyword = text.split([';', '(']).next().unwrap_or_default().trim();
            if name.eq_ignore_ascii_case("Auto-Submitted") && !keyword.eq_ignore_ascii_case("no") {
                return Some(ListRefusal::Automatic);
            }
        }
        None
    }
}

/// What is between the last angle brackets, or the whole.
fn identifier(text: &str) -> &str {
    let inside = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or(text, |(inside, _)| inside).trim()
}
