//! An answer: the action of Postfix's access(5), read from hostile octets.

use crate::address::is_unprintable;
use crate::session::HeaderLine;
use crate::smtp::{EnhancedCode, Reply};

/// What a service wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServiceAnswer {
    /// It has nothing against it.
    GoOn,
    /// A 5xx reply.
    Refuse(Reply),
    /// A 4xx reply.
    Defer(Reply),
    /// 421, or 521: say so and close (RFC 5321 3.8, RFC 7504).
    Disconnect(Reply),
    /// A line for the header.
    Prepend(HeaderLine),
    /// The message waits for a person.
    Hold(String),
    /// Something to be logged.
    Note(String),
    /// An action of Postfix that leafmail does not know.
    Unsupported(String),
}

/// The longest text of a reply, in characters.
const LONGEST: usize = 400;

/// The value of `action` in the lines of an answer.
///
/// # Errors
/// When there is none.
pub(super) fn action(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    let found = text.lines().find_map(|line| line.strip_prefix("action="));
    let action = found.ok_or("it answered without an action")?.trim();
    Ok(action.chars().map(|c| if is_unprintable(c) && c != '\t' { '?' } else { c }).collect())
}

impl ServiceAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(answer: &[u8]) -> Result<Self, String> {
        let action = action(answer)?;
        let (verb, text) = action.split_once([' ', '\t']).unwrap_or((&action, ""));
        let text = text.trim();
        if verb.len() == 3 && verb.bytes().all(|octet| octet.is_ascii_digit()) {
            return match verb.parse::<u16>() {
                Ok(code @ (421 | 521)) => Ok(Self::Disconnect(reply(code, EnhancedCode(code / 100, 7, 1), text))),
                Ok(code @ 400..=499) => Ok(Self::Defer(reply(code, EnhancedCode(4, 7, 1), text))),
                Ok(code @ 500..=599) => Ok(Self::Refuse(reply(code, EnhancedCode(5, 7, 1), text))),
                _ => Err(format!("it answered with the code {verb}")),
            };
        }
        Ok(match verb.to_ascii_uppercase().as_str() {
            // A refusal of another rule is no worse for being final.
            "OK" | "DUNNO" | "DEFER_IF_REJECT" => Self::GoOn,
            "REJECT" => Self::Refuse(reply(554, EnhancedCode(5, 7, 1), text)),
            "DEFER" | "DEFER_IF_PERMIT" => Self::Defer(reply(450, EnhancedCode(4, 7, 1), text)),
            "PREPEND" => Self::Prepend(text.parse().map_err(|error| format!("PREPEND: {error}"))?),
            "HOLD" => Self::Hold(text.to_owned()),
            // Nothing that was accepted gets lost: a person decides.
            "DISCARD" => Self::Hold(format!("the action was DISCARD {text}").trim_end().to_owned()),
            "WARN" | "INFO" => Self::Note(text.to_owned()),
            "" => return Err("it answered with an empty action".to_owned()),
            other => Self::Unsupported(other.chars().take(30).collect()),
        })
    }
}

/// The reply, with the service's own enhanced code if it gives one that fits.
pub(in crate::policy) fn reply(code: u16, usual: EnhancedCode, text: &str) -> Reply {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (enhanced, text) = match first.parse::<EnhancedCode>() {
        Ok(enhanced) if enhanced.0 == code / 100 => (enhanced, rest.trim()),
        _ => (usual, text),
    };
    let text: String = text.chars().map(|c| if c.is_ascii() && c != '\t' { c } else { '?' }).take(LONGEST).collect();
    let usual = if code < 500 { "try again later" } else { "a policy of this relay refuses it" };
    Reply::new(code, enhanced, if text.is_empty() { usual.to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_real_services_answer_is_understood() {
        use ServiceAnswer::*;
        let line = |text: &str| Prepend(text.parse().unwrap());
        let reply = |code, enhanced, text: &str| Reply::new(code, enhanced, text.to_owned());
        for (action, expected) in [
            ("DUNNO", GoOn),
            ("dunno", GoOn),
            ("OK", GoOn),
            ("DEFER_IF_REJECT later", GoOn),
            // postgrey
            (
                "DEFER_IF_PERMIT Greylisted, see http://postgrey.example/x",
                Defer(reply(450, EnhancedCode(4, 7, 1), "Greylisted, see http://postgrey.example/x")),
            ),
            (
                "PREPEND X-Greylist: delayed 300 seconds by postgrey",
                line("X-Greylist: delayed 300 seconds by postgrey"),
            ),
            // policyd-spf
            ("prepend Received-SPF: Pass (mailfrom)", line("Received-SPF: Pass (mailfrom)")),
            ("550 5.7.23 Message rejected", Refuse(reply(550, EnhancedCode(5, 7, 23), "Message rejected"))),
            ("451 4.4.3 DNS", Defer(reply(451, EnhancedCode(4, 4, 3), "DNS"))),
            // An enhanced code of another class is text.
            ("550 4.7.1 odd", Refuse(reply(550, EnhancedCode(5, 7, 1), "4.7.1 odd"))),
            ("REJECT", Refuse(reply(554, EnhancedCode(5, 7, 1), "a policy of this relay refuses it"))),
            ("421 go away", Disconnect(reply(421, EnhancedCode(4, 7, 1), "go away"))),
            // A control character cannot end the line.
            ("PREPEND X: a\rBcc: b", line("X: a?Bcc: b")),
            ("HOLD virus?", Hold("virus?".to_owned())),
            ("DISCARD", Hold("the action was DISCARD".to_owned())),
            ("WARN odd client", Note("odd client".to_owned())),
            ("FILTER smtp:[127.0.0.1]:10025", Unsupported("FILTER".to_owned())),
        ] {
            let answer = format!("action={action}\n\n");
            assert_eq!(ServiceAnswer::parse(answer.as_bytes()), Ok(expected), "{action}");
        }
    }

    #[test]
    fn what_is_no_answer_is_trouble_of_the_service() {
        for answer in [
            "",
            "\n",
            "DUNNO\n\n",
            "Action=DUNNO\n\n",
            "action=\n\n",
            "action=250 fine\n\n",
            "action=999 x\n\n",
            "action=099 x\n\n",
            "action=PREPEND\n\n",
            "action=PREPEND no field\n\n",
            "action=PREPEND X: \u{fc}\n\n",
        ] {
            assert!(ServiceAnswer::parse(answer.as_bytes()).is_err(), "{answer:?}");
        }
        assert!(ServiceAnswer::parse(b"action=PREPEND X: \xff\xfe\n\n").is_err());
    }

    #[test]
    fn no_text_of_a_service_ends_a_line_of_a_reply() {
        let endless = "x".repeat(100_000);
        for text in ["550 a\rb", "550 \u{1b}[2J", "550 \u{2028}x", "550 \0", &format!("550 {endless}")] {
            let Ok(ServiceAnswer::Refuse(reply)) = ServiceAnswer::parse(format!("action={text}\n\n").as_bytes()) else {
                panic!("{text:?}");
            };
            let shown = reply.text();
            assert!(shown.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{shown:?}");
            assert!(shown.len() <= LONGEST);
        }
    }
}
