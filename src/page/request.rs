//! A request, taken apart and bounded: its path as decoded segments, its query, its form.

use super::access::Visitor;
use super::query::Query;
use super::roles::PageRole;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Look.
    Get,
    /// Change something.
    Post,
}

/// A request that was let in.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Query and form.
    pub(super) query: Query,
    /// The values of the placeholders of the path, in their order.
    pub(super) places: Vec<String>,
    /// Who asks.
    pub(super) visitor: Visitor,
}

impl Request {
    /// The value of a placeholder; empty where there is none.
    pub(super) fn place(&self, index: usize) -> &str {
        self.places.get(index).map_or("", String::as_str)
    }

    /// Whether whoever asks has a role.
    pub(super) fn may(&self, role: PageRole) -> bool {
        self.visitor.roles.have(role)
    }
}
