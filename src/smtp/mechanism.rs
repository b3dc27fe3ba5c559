//! The names of the SASL mechanisms that AUTH knows here (RFC 4954 3); how they work is in `crate::auth`.

use std::fmt;

/// One mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677; the password never leaves the client.
    ScramSha256,
    /// RFC 2195, for old devices; the server must know the password itself.
    CramMd5,
    /// RFC 4616.
    Plain,
    /// Never standardised, and the only one that some devices know.
    Login,
}

impl Mechanism {
    /// All of them, the strongest first: some clients take the first that they know.
    pub const ALL: [Self; 4] = [Self::ScramSha256, Self::CramMd5, Self::Plain, Self::Login];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::CramMd5 => "CRAM-MD5",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// The mechanism of a name, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of mechanisms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mechanisms(u8);

impl Mechanisms {
    /// None: AUTH is not offered.
    pub const NONE: Self = Self(0);

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is in it.
    pub fn contains(self, mechanism: Mechanism) -> bool {
        self.0 & mechanism.bit() != 0
    }
}

impl FromIterator<Mechanism> for Mechanisms {
    fn from_iter<T: IntoIterator<Item = Mechanism>>(mechanisms: T) -> Self {
        Self(mechanisms.into_iter().fold(0, |bits, mechanism| bits | mechanism.bit()))
    }
}

impl fmt::Display for Mechanisms {
    /// As EHLO lists them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Mechanism::ALL.into_iter().filter(|one| self.contains(*one)).map(Mechanism::name).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_listed_strongest_first() {
        let set: Mechanisms = [Mechanism::Login, Mechanism::ScramSha256].into_iter().collect();
        assert_eq!(set.to_string(), "SCRAM-SHA-256 LOGIN");
        assert!(set.contains(Mechanism::Login) && !set.contains(Mechanism::Plain));
        assert_eq!(Mechanism::of_name("cram-md5"), Some(Mechanism::CramMd5));
        assert!(Mechanism::of_name("NTLM").is_none() && Mechanisms::NONE.is_empty());
    }
}
