//! What visitors may do: roles, and sets of them.

use std::fmt;
use std::str::FromStr;

/// What a visitor may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PageRole {
    /// See messages without their content, routes, clients and settings.
    Read,
    /// Change messages and routes.
    Act,
    /// Fetch the octets of messages.
    Content,
}

impl PageRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Act, Self::Content];

    /// Its name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
            Self::Content => "content",
        }
    }
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected read, act or content")]
pub struct RolesError;

impl FromStr for PageRole {
    type Err = RolesError;

    fn from_str(text: &str) -> Result<Self, RolesError> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(RolesError)
    }
}

/// A set of roles; whoever may act or fetch may read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles([bool; 3]);

impl Roles {
    /// Every role.
    pub const ALL: Self = Self([true; 3]);
    /// None.
    pub const NONE: Self = Self([false; 3]);

    /// Whether this role is among them.
    pub fn have(self, role: PageRole) -> bool {
        self.0[role as usize]
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

impl FromIterator<PageRole> for Roles {
    fn from_iter<I: IntoIterator<Item = PageRole>>(roles: I) -> Self {
        let mut set = Self::NONE;
        for role in roles {
            set.0[role as usize] = true;
            set.0[PageRole::Read as usize] = true;
        }
        set
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = PageRole::ALL.into_iter().filter(|role| self.have(*role)).map(PageRole::name).collect();
        f.write_str(&names.join(", "))
    }
}
