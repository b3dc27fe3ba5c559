//! Routing: by which route, and under which addresses, a message goes on. Pure, but for the file of aliases.
//!
//! What was frozen at acceptance is never changed: routes, rewriting and aliases are found anew at each run of the queue, so
//! that a configuration that was mended frees what waits.

mod address_field;
mod alias_entry;
mod alias_file;
mod alias_text;
mod aliases;
mod criteria;
mod header;
mod readdressing;
mod rewriting;
mod tokens;

pub use alias_file::{AliasFile, AliasFileError};
pub use aliases::{AliasError, Aliases, LocalDomains, Target};
pub use criteria::{Criteria, choose};
pub use readdressing::Readdressing;
pub use rewriting::Rewriting;
