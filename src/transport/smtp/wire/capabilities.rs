//! What a smarthost says in its reply to EHLO that it can do (RFC 5321 4.1.1.1).
//!
//! Pure. Keywords are read in any case, as RFC 5321 demands and lettre does not; what is malformed counts as not offered.

use crate::smtp::Reply;
use crate::transport::settings::{Discardable, Discarded};

/// The service extensions that matter to us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::transport) struct Capabilities {
    /// SIZE with its limit (RFC 1870); 0 stands for "no limit named".
    pub(in crate::transport) size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub(in crate::transport) eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub(in crate::transport) smtputf8: bool,
    /// PIPELINING (RFC 2920).
    pub(in crate::transport) pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub(in crate::transport) chunking: bool,
    /// DSN (RFC 3461).
    pub(in crate::transport) dsn: bool,
    /// STARTTLS (RFC 3207).
    pub(in crate::transport) starttls: bool,
    /// AUTH mechanisms (RFC 4954), in upper case, in the server's order.
    pub(in crate::transport) auth: Vec<String>,
    /// Attributes that XFORWARD takes, in upper case.
    pub(in crate::transport) xforward: Vec<String>,
    /// Attributes that XCLIENT takes, in upper case.
    pub(in crate::transport) xclient: Vec<String>,
    /// What goes into one transaction and over one connection (RFC 9422).
    pub(in crate::transport) limits: AnnouncedLimits,
}

/// LIMITS (RFC 9422); `None`: not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::transport) struct AnnouncedLimits {
    /// MAILMAX: transactions over one connection.
    pub(in crate::transport) messages: Option<usize>,
    /// RCPTMAX: RCPT commands in one transaction.
    pub(in crate::transport) recipients: Option<usize>,
    /// RCPTDOMAINMAX: domains of recipients in one transaction.
    pub(in crate::transport) domains: Option<usize>,
}

impl AnnouncedLimits {
    /// RFC 9422 4: one to six digits, and no limit of 0.
    fn note(&mut self, parameter: &str) {
        let Some((name, value)) = parameter.split_once('=') else { return };
        let digits = (1..=6).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
        let value = value.parse().ok().filter(|value| digits && *value > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.messages = value,
            "RCPTMAX" => self.recipients = value,
            "RCPTDOMAINMAX" => self.domains = value,
            _ => {}
        }
    }
}

impl Capabilities {
    /// Reads the reply to EHLO; its first line is the server's name.
    pub(in crate::transport) fn of(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.text().split('\n').skip(1) {
            capabilities.note(line);
        }
        capabilities
    }

    /// The same but for what is done without.
    pub(in crate::transport) fn without(mut self, discarded: Discarded) -> Self {
        let kept = |extension| !discarded.contains(extension);
        self.size = self.size.filter(|_| kept(Discardable::Size));
        self.eight_bit &= kept(Discardable::EightBitMime);
        self.smtputf8 &= kept(Discardable::SmtpUtf8);
        self.pipelining &= kept(Discardable::Pipelining);
        self.chunking &= kept(Discardable::Chunking);
        self.dsn &= kept(Discardable::Dsn);
        self
    }

    fn note(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        match keyword.as_str() {
            "SIZE" => self.size = words.next().map_or(Some(0), |limit| limit.parse().ok()),
            "8BITMIME" => self.eight_bit = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "PIPELINING" => self.pipelining = true,
            "CHUNKING" => self.chunking = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "AUTH" => self.offer(words),
            "LIMITS" => words.for_each(|parameter| self.limits.note(parameter)),
            "XFORWARD" => self.xforward = words.map(str::to_ascii_uppercase).collect(),
            "XCLIENT" => self.xclient = words.map(str::to_ascii_uppercase).collect(),
            // `AUTH=LOGIN PLAIN` of servers that talk to Outlook of old.
            _ => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    self.offer(std::iter::once(first).chain(words));
                }
            }
        }
    }

    fn offer<'a>(&mut self, mechanisms: impl Iterator<Item = &'a str>) {
        for mechanism in mechanisms.map(str::to_ascii_uppercase) {
            if !self.auth.contains(&mechanism) {
                self.auth.push(mechanism);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &'static str) -> Capabilities {
        Capabilities::of(&Reply::bare(250, text))
    }

    #[test]
    fn keywords_are_read_in_any_case() {
        let found = of("mx at your service\nsize 35882577\n8bitmime\nStartTLS\nPIPELINING\nSMTPUTF8\nDSN\nCHUNKING\n\
             auth login Plain XOAUTH2\nAUTH=LOGIN CRAM-MD5\nX-UNKNOWN what\nXForward name ADDR\nXCLIENT\n\
             Limits RcptMax=100 MAILMAX=20 RCPTDOMAINMAX=0 WHAT=1 RCPTMAX");
        let auth = ["LOGIN", "PLAIN", "XOAUTH2", "CRAM-MD5"].map(str::to_owned).to_vec();
        assert_eq!(
            found,
            Capabilities {
                size: Some(35_882_577),
                eight_bit: true,
                smtputf8: true,
                pipelining: true,
                chunking: true,
                dsn: true,
                starttls: true,
                auth,
                xforward: vec!["NAME".to_owned(), "ADDR".to_owned()],
                xclient: Vec::new(),
                limits: AnnouncedLimits { messages: Some(20), recipients: Some(100), domains: None },
            }
        );
    }

    #[test]
    fn the_greeting_line_offers_nothing() {
        assert_eq!(of("STARTTLS"), Capabilities::default());
        assert_eq!(of("x\nSIZE"), Capabilities { size: Some(0), ..Capabilities::default() });
        assert_eq!(of("x\nSIZE lots\nSIZEX 5"), Capabilities::default());
    }
}
