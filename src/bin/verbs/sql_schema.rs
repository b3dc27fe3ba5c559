//! `spoolrun sql-schema`: the table that mail is stored in, as an administrator makes it.

use clap::Args;
use leafmail::transport::{DatabaseKind, schema};

use super::say;

/// What `sql-schema` takes.
#[derive(Debug, Args)]
pub(crate) struct SchemaOptions {
    /// The kind of database: sqlite, postgres or mysql (also for MariaDB)
    #[arg(value_name = "KIND", value_parser = kind)]
    kind: DatabaseKind,
}

fn kind(text: &str) -> Result<DatabaseKind, String> {
    // The scheme of a route's URL is as good.
    let scheme = text.split(':').next().unwrap_or_default();
    DatabaseKind::of_scheme(scheme).ok_or_else(|| "expected sqlite, postgres or mysql".to_owned())
}

/// Prints the statements.
pub(crate) fn sql_schema(options: &SchemaOptions) -> anyhow::Result<()> {
    say(schema(options.kind))
}
