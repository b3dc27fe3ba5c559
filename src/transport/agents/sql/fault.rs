//! What an error of a database is about: the route, this message, or other writers that were in the way.

use sqlx::mysql::MySqlDatabaseError;

/// Whom an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The database does not take mail now: no message is to blame.
    Route,
    /// The table is not as it must be.
    Table,
    /// The row does not fit, in whatever way: other messages may.
    Message,
    /// Another writer was in the way: the same again may work at once.
    Again,
}

/// What the INSERT for MariaDB and MySQL makes of a conflict with another row than its own.
const OTHER_KEY: u16 = 1242;

/// A text that is no time for the column.
const WRONG_TIME: u16 = 1292;

/// Whom an error is about.
pub(super) fn scope(error: &sqlx::Error) -> Scope {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(of_mysql) => of_number(of_mysql.number()),
            None => of_code(&error.code().unwrap_or_default()),
        },
        sqlx::Error::Encode(_) => Scope::Message,
        _ => Scope::Route,
    }
}

/// The errors of SQLite are numbers, those of PostgreSQL five letters and digits.
fn of_code(code: &str) -> Scope {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => match number & 0xff {
            // SQLITE_ERROR: no such table or column.
            1 => Scope::Table,
            // NOT NULL, and each unique key but ours: no row of ours has a NULL where the table may have none.
            19 if matches!(number, 1299 | 1555 | 2067 | 2579) => Scope::Table,
            18..=20 => Scope::Message,
            _ => Scope::Route,
        },
        _ => match code.get(..2) {
            // The same two.
            Some("23") if matches!(code, "23502" | "23505") => Scope::Table,
            Some("22" | "23" | "54") => Scope::Message,
            Some("40") => Scope::Again,
            Some("42") if code != "42501" => Scope::Table,
            _ => Scope::Route,
        },
    }
}

fn of_number(number: u16) -> Scope {
    match number {
        // Lock wait, deadlock.
        1205 | 1213 => Scope::Again,
        // No such table or column, a column more that has no default or takes no NULL.
        1048 | 1054 | 1146 | 1136 | 1364 => Scope::Table,
        // A unique key that is not ours; 1242 is what the INSERT makes of it.
        1062 | OTHER_KEY => Scope::Table,
        // Packet, out of range, foreign key, text that does not fit, data too long, CHECK.
        1153 | 1264 | 1366 | 1406 | 1452 | 3819 | 4025 => Scope::Message,
        // A time that does not fit, also where that of the receipt was put in its place; a row that is too large.
        WRONG_TIME | 1118 => Scope::Message,
        _ => Scope::Route,
    }
}

/// Whether a time does not fit its column: TIMESTAMP of MariaDB ends in 2038, and has no hour that summer time leaves out.
pub(super) fn is_wrong_time(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.try_downcast_ref::<MySqlDatabaseError>().is_some_and(|of_mysql| of_mysql.number() == WRONG_TIME)
}

/// Whether the disk, or the quota, is full (RFC 3463 X.3.1).
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        Some(of_mysql) => matches!(of_mysql.number(), 1021 | 1114),
        None => matches!(error.code().as_deref(), Some("13" | "53100")),
    }
}

/// The error on one line; the words of sqlx around what a database says are no help.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error)
            if error
                .try_downcast_ref::<MySqlDatabaseError>()
                .is_some_and(|of_mysql| of_mysql.number() == OTHER_KEY) =>
        {
            "another row is in the way of a unique key of the table, or its mail_id is full".to_owned()
        }
        sqlx::Error::Database(error) => {
            let code = error.code().map_or(String::new(), |code| format!(" ({code})"));
            format!("{}{code}", error.message())
        }
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_table_is_none_of_the_message() {
        for (number, scope) in [
            (1048, Scope::Table),
            (1242, Scope::Table),
            (1292, Scope::Message),
            (1406, Scope::Message),
            (1213, Scope::Again),
            (2006, Scope::Route),
        ] {
            assert_eq!(of_number(number), scope, "{number}");
        }
        for (code, scope) in [
            ("1", Scope::Table),
            ("1299", Scope::Table),
            ("2067", Scope::Table),
            ("275", Scope::Message),
            ("18", Scope::Message),
            ("13", Scope::Route),
            ("23502", Scope::Table),
            ("23505", Scope::Table),
            ("23514", Scope::Message),
            ("22001", Scope::Message),
            ("40001", Scope::Again),
            ("42703", Scope::Table),
            ("42501", Scope::Route),
        ] {
            assert_eq!(of_code(code), scope, "{code}");
        }
    }
}
