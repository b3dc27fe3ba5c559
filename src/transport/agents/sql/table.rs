//! Whether the table is as it must be, in words that say what to do, and how wide its columns are.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::database::{Database, DatabaseKind};
use super::dialect;

/// How wide a column is: in characters and in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Width {
    characters: usize,
    octets: usize,
}

/// A table that takes rows.
#[derive(Debug)]
pub(super) struct Table {
    widths: Vec<(String, Width)>,
}

/// Why a table takes no rows.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It could not be looked at.
    Error(sqlx::Error),
    /// It is not as it must be.
    Table(String),
}

impl From<sqlx::Error> for Unfit {
    fn from(error: sqlx::Error) -> Self {
        Self::Error(error)
    }
}

impl Table {
    /// Looks at the table of a database.
    pub(super) async fn look(connection: &mut AnyConnection, database: &Database) -> Result<Self, Unfit> {
        let (kind, table) = (database.kind, database.table.as_str());
        let rows = sqlx::query(dialect::columns(kind)).bind(table).fetch_all(&mut *connection).await?;
        if rows.is_empty() {
            let scheme = kind.scheme();
            return Err(Unfit::Table(format!(
                "there is no table {table}; make it with what `spoolrun sql-schema {scheme}` prints"
            )));
        }
        let mut widths = Vec::new();
        for row in &rows {
            let name: String = row.try_get(0)?;
            let width = |column| -> Result<usize, sqlx::Error> {
                let octets: Option<i64> = row.try_get(column)?;
                Ok(octets.and_then(|octets| usize::try_from(octets).ok()).unwrap_or(usize::MAX))
            };
            let charset: Option<String> = row.try_get(3)?;
            if let Some(charset) = charset.filter(|charset| !takes_all(charset, &name)) {
                return Err(Unfit::Table(told_charset(kind, table, &name, &charset)));
            }
            widths.push((name, Width { characters: width(1)?, octets: width(2)? }));
        }
        let is_there = |name: &str| widths.iter().any(|(found, _)| found == name);
        if let Some(name) = dialect::COLUMNS.iter().find(|name| !is_there(name)) {
            return Err(Unfit::Table(format!("the table {table} has no column {name}")));
        }
        if !Self::has_key(connection, kind, table).await? {
            let text = format!(
                "the table {table} has no UNIQUE (spool_id, recipient), so that a message could be in it twice"
            );
            return Err(Unfit::Table(text));
        }
        Ok(Self { widths })
    }

    async fn has_key(connection: &mut AnyConnection, kind: DatabaseKind, table: &str) -> Result<bool, sqlx::Error> {
        let rows = sqlx::query(dialect::unique_indexes(kind)).bind(table).fetch_all(connection).await?;
        for row in rows {
            let names: Option<String> = row.try_get(0)?;
            let names = names.unwrap_or_default();
            let mut names: Vec<_> = names.split(',').collect();
            names.sort_unstable();
            if names == ["recipient", "spool_id"] {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the table of a file in which it is not there.
    pub(super) async fn make(connection: &mut AnyConnection, database: &Database) -> Result<(), sqlx::Error> {
        for statement in dialect::statements(database.kind, &database.table) {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// As much of a text as its column takes; the message itself is stored beside it, whole.
    pub(super) fn fitting<'a>(&self, column: &str, text: &'a str) -> &'a str {
        let Some((_, width)) = self.widths.iter().find(|(name, _)| name == column) else { return text };
        if text.len() <= width.octets.min(width.characters) {
            return text;
        }
        let mut end = text.char_indices().nth(width.characters).map_or(text.len(), |(at, _)| at).min(width.octets);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        &text[..end]
    }
}

/// Whether every text fits into this charset: mail has letters of all of them. Ids and sums are ASCII.
fn takes_all(charset: &str, column: &str) -> bool {
    matches!(column, "spool_id" | "hash")
        || !dialect::COLUMNS.contains(&column)
        || ["utf8mb4", "UTF8"].contains(&charset)
}

fn told_charset(kind: DatabaseKind, table: &str, column: &str, charset: &str) -> String {
    match kind {
        DatabaseKind::Mysql => {
            format!("the column {column} of {table} is in {charset}, which lacks letters; make it utf8mb4")
        }
        _ => format!("the encoding of the database is {charset}, which lacks letters; make one with UTF8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_letters() {
        let width = |characters, octets| Table { widths: vec![("subject".to_owned(), Width { characters, octets })] };
        assert_eq!(width(3, 12).fitting("subject", "Grüße"), "Grü");
        assert_eq!(width(9, 3).fitting("subject", "Grüße"), "Gr");
        assert_eq!(width(9, 7).fitting("subject", "Grüße"), "Grüße");
        assert_eq!(width(1, 1).fitting("body", "Grüße"), "Grüße");
    }
}
