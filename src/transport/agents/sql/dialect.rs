//! What differs between the kinds of SQL: how the table is made, and how a row is put into it once.

use super::database::DatabaseKind;
#[cfg(feature = "sql")]
use super::database::TABLE;

/// The columns, in the order in which a row is bound to them.
#[cfg(feature = "sql")]
pub(super) const COLUMNS: [&str; 14] = [
    "spool_id",
    "sender",
    "recipient",
    "received",
    "date",
    "from",
    "to",
    "subject",
    "body",
    "charset",
    "content_type",
    "mail",
    "hash",
    "spam_score",
];

/// What makes the table, as an administrator runs it.
pub fn schema(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Sqlite => include_str!("../../../../contrib/sql/sqlite.sql"),
        DatabaseKind::Postgres => include_str!("../../../../contrib/sql/postgres.sql"),
        DatabaseKind::Mysql => include_str!("../../../../contrib/sql/mysql.sql"),
    }
}

/// The statements of a schema for another table, without comments.
#[cfg(feature = "sql")]
pub(super) fn statements(kind: DatabaseKind, table: &str) -> Vec<String> {
    let plain: Vec<_> = schema(kind).lines().filter(|line| !line.starts_with("--")).collect();
    let renamed = plain.join("\n").replace(TABLE, table);
    renamed.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// A name that may be a word of SQL.
#[cfg(feature = "sql")]
pub(super) fn quoted(kind: DatabaseKind, name: &str) -> String {
    if kind == DatabaseKind::Mysql { format!("`{name}`") } else { format!("\"{name}\"") }
}

/// Puts a row in, unless one with the same spool id and recipient is there.
#[cfg(feature = "sql")]
pub(super) fn insert(kind: DatabaseKind, table: &str) -> String {
    let names: Vec<_> = COLUMNS.iter().map(|name| quoted(kind, name)).collect();
    let value = |(index, name): (usize, &&str)| match (kind, *name) {
        (DatabaseKind::Mysql, _) => "?".to_owned(),
        (DatabaseKind::Postgres, "received" | "date") => format!("CAST(${} AS timestamp)", index + 1),
        // By its text: a NULL of the driver is of another type than a number, and PostgreSQL would keep that type.
        (DatabaseKind::Postgres, "spam_score") => format!("CAST(${} AS double precision)", index + 1),
        _ => format!("${}", index + 1),
    };
    let values: Vec<_> = COLUMNS.iter().enumerate().map(value).collect();
    // Not INSERT IGNORE, which would make warnings of rows that do not fit.
    let once = match kind {
        // Any unique key comes here: where it is not ours, two rows instead of one value are an error (1242), and nothing is lost in silence.
        DatabaseKind::Mysql => {
            "ON DUPLICATE KEY UPDATE spool_id = IF(BINARY spool_id = BINARY VALUES(spool_id) \
             AND BINARY recipient = BINARY VALUES(recipient), spool_id, (SELECT 1 UNION SELECT 2))"
        }
        _ => "ON CONFLICT (spool_id, recipient) DO NOTHING",
    };
    format!("INSERT INTO {} ({}) VALUES ({}) {once}", quoted(kind, table), names.join(", "), values.join(", "))
}

/// The names, widths in characters and octets, and charsets of the columns; a NULL is no limit.
#[cfg(feature = "sql")]
pub(super) fn columns(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Sqlite => {
            "SELECT name, CAST(NULL AS INTEGER), CAST(NULL AS INTEGER), 'UTF8' FROM pragma_table_info($1)"
        }
        DatabaseKind::Postgres => {
            "SELECT CAST(column_name AS text), CAST(character_maximum_length AS bigint), \
             CAST(character_octet_length AS bigint), current_setting('server_encoding') \
             FROM information_schema.columns WHERE table_name = $1 AND table_schema = ANY (current_schemas(false))"
        }
        DatabaseKind::Mysql => {
            "SELECT CAST(column_name AS CHAR(64)), CAST(character_maximum_length AS SIGNED), \
             CAST(character_octet_length AS SIGNED), CAST(character_set_name AS CHAR(64)) \
             FROM information_schema.columns WHERE table_name = ? AND table_schema = DATABASE()"
        }
    }
}

/// The columns of each unique index, with commas between them.
#[cfg(feature = "sql")]
pub(super) fn unique_indexes(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Sqlite => {
            "SELECT group_concat(c.name) FROM pragma_index_list($1) AS i, pragma_index_info(i.name) AS c \
             WHERE i.\"unique\" = 1 AND i.partial = 0 GROUP BY i.name"
        }
        DatabaseKind::Postgres => {
            "SELECT string_agg(CAST(a.attname AS text), ',') FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid \
             JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
             WHERE t.relname = $1 AND pg_table_is_visible(t.oid) AND i.indisunique AND i.indpred IS NULL GROUP BY i.indexrelid"
        }
        DatabaseKind::Mysql => {
            "SELECT CAST(GROUP_CONCAT(column_name) AS CHAR(1000)) FROM information_schema.statistics \
             WHERE table_name = ? AND table_schema = DATABASE() AND non_unique = 0 AND sub_part IS NULL GROUP BY index_name"
        }
    }
}

/// The engine of a table, whether it has transactions, and when its log is synced, in MariaDB and MySQL.
#[cfg(feature = "sql")]
pub(super) const COMMITS: &str = "SELECT CAST(t.engine AS CHAR(64)), CAST(e.transactions AS CHAR(10)), \
    CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED) FROM information_schema.tables AS t \
    LEFT JOIN information_schema.engines AS e ON e.engine = t.engine \
    WHERE t.table_name = ? AND t.table_schema = DATABASE()";

/// What is set for each connection, so that a row that does not fit is an error.
#[cfg(feature = "sql")]
pub(super) fn preparations(kind: DatabaseKind) -> &'static [&'static str] {
    match kind {
        // FULL does not sync the folder once a journal is deleted, which brings it back at a power cut, and takes the row with it.
        DatabaseKind::Sqlite => &["PRAGMA synchronous = EXTRA"],
        DatabaseKind::Postgres => &["SET synchronous_commit = on"],
        DatabaseKind::Mysql => &["SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"],
    }
}

/// What keeps a connection from changing anything.
#[cfg(feature = "sql")]
pub(super) fn read_only(kind: DatabaseKind) -> &'static [&'static str] {
    match kind {
        // By the mode in which the file is opened.
        DatabaseKind::Sqlite => &[],
        DatabaseKind::Postgres => &["SET default_transaction_read_only = on"],
        DatabaseKind::Mysql => &["SET SESSION TRANSACTION READ ONLY"],
    }
}

#[cfg(feature = "sql")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_has_each_column_and_the_key() {
        for kind in DatabaseKind::ALL {
            let made = statements(kind, "other");
            assert!(made[0].starts_with("CREATE TABLE"), "{made:?}");
            for name in COLUMNS {
                let written = [format!("\n  {name} "), format!("\n  {} ", quoted(kind, name))];
                assert!(written.iter().any(|name| made[0].contains(name)), "{kind:?}: {name}");
            }
            assert!(made[0].contains("UNIQUE") && !made.concat().contains("new_mail"), "{made:?}");
        }
    }

    #[test]
    fn a_row_is_put_in_once() {
        assert!(insert(DatabaseKind::Sqlite, "t").ends_with("$14) ON CONFLICT (spool_id, recipient) DO NOTHING"));
        assert!(insert(DatabaseKind::Postgres, "t").contains("CAST($4 AS timestamp)"));
        assert!(insert(DatabaseKind::Mysql, "t").contains("`from`"));
    }
}
