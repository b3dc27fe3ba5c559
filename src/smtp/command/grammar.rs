//! By which rules command lines are read.

use crate::address::{Domain, Syntax};

/// Which language a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// RFC 5321 with extensions, lenient where real devices are sloppy.
    #[default]
    Esmtp,
    /// The minimum implementation of RFC 821 4.5.1, to the letter.
    Rfc821,
}

/// By which rules command lines are read.
#[derive(Debug, Clone, Copy)]
pub struct Grammar<'a> {
    /// Which language.
    pub dialect: Dialect,
    /// How strictly. RFC 821 is read to the letter in any case.
    pub syntax: Syntax,
    /// What an address without a domain gets.
    pub default_domain: &'a Domain,
}

impl Grammar<'_> {
    pub(super) fn is_lenient(&self) -> bool {
        self.dialect == Dialect::Esmtp && self.syntax == Syntax::Lenient
    }

    /// Of addresses and parameters.
    pub(super) fn syntax(&self) -> Syntax {
        if self.is_lenient() { Syntax::Lenient } else { Syntax::Strict }
    }
}
