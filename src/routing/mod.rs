//! Routing: the route and the addresses of a message at delivery. Pure, except for the aliases file.
//!
//! The frozen message never changes: routes, rewriting and aliases are determined again at each run of the queue, so
//! a corrected configuration also applies to mail that waits.

mod address_field;
mod alias_entry;
mod alias_file;
mod alias_text;
mod aliases;
mod author;
mod criteria;
mod field_edits;
mod header;
mod list_header;
mod readdressing;
mod rewriting;

pub use alias_file::{AliasFile, AliasFileError};
pub use aliases::{AliasError, Aliases, LocalDomains, Target};
pub use author::author_domain;
pub use criteria::{Criteria, choose};
pub use field_edits::FieldEdits;
pub use list_header::list_header;
pub use readdressing::Readdressing;
pub use rewriting::Rewriting;
