//! A connection to a database, on which rows of several messages are put in by one transaction.
//!
//! Invariant: what is said to be stored was committed, by a database that syncs at each COMMIT.

use std::path::Path;
use std::str::FromStr;

use percent_encoding::utf8_percent_encode;
use sqlx::any::{AnyConnectOptions, install_default_drivers};
use sqlx::{Any, AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Row, Transaction};
use zeroize::Zeroizing;

use super::database::{Database, DatabaseKind, DatabasePlace, PATH};
use super::dialect;
use super::fault::is_wrong_time;
use super::row::Mail;
use super::table::{Table, Unfit};
use crate::transport::settings::{PLAIN, TlsPolicy};

/// Rows of one message.
#[derive(Debug)]
pub(super) struct Consignment {
    pub(super) mail: Mail,
    pub(super) recipients: Vec<String>,
}

/// A connection to a table that takes rows.
#[derive(Debug)]
pub(super) struct OpenTable {
    connection: AnyConnection,
    insert: String,
    table: Table,
    /// The largest packet in octets, where there is a limit.
    largest: Option<usize>,
}

/// Why what is committed may be lost.
#[derive(Debug)]
pub(super) enum Doubt {
    /// The table is of an engine without transactions.
    Engine(String),
    /// `innodb_flush_log_at_trx_commit` is this.
    Log(i64),
}

/// Where a transaction failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: sqlx::Error,
    /// It may have been committed all the same.
    pub(super) in_commit: bool,
}

impl OpenTable {
    /// Connects, and looks at the table. That of a file is made where it is not there.
    pub(super) async fn open(database: &Database, password: &str, authorities: Option<&Path>) -> Result<Self, Unfit> {
        let mut connection = connect(database, password, authorities, Access::Write).await?;
        let kind = database.kind;
        let table = match Table::look(&mut connection, database).await {
            Err(Unfit::Table(_)) if kind == DatabaseKind::Sqlite && is_new(&mut connection).await? => {
                // Those who read need not wait for those who write.
                sqlx::query("PRAGMA journal_mode = WAL").fetch_all(&mut connection).await?;
                Table::make(&mut connection, database).await?;
                Table::look(&mut connection, database).await?
            }
            looked => looked?,
        };
        let largest = if kind == DatabaseKind::Mysql { Some(largest_packet(&mut connection).await?) } else { None };
        Ok(Self { connection, insert: dialect::insert(kind, &database.table), table, largest })
    }

    /// How many octets the largest row may have, where that is known.
    pub(super) fn largest(&self) -> Option<usize> {
        self.largest
    }

    /// Puts all rows in, or none.
    pub(super) async fn store(&mut self, consignments: &[&Consignment]) -> Result<(), Failed> {
        let begun = self.begin(consignments).await.map_err(|error| Failed { error, in_commit: false })?;
        begun.commit().await.map_err(|error| Failed { error, in_commit: true })
    }

    /// Puts rows in and takes them back.
    pub(super) async fn rehearse(&mut self, consignment: &Consignment) -> Result<(), sqlx::Error> {
        self.begin(&[consignment]).await?.rollback().await
    }

    /// Why what is committed to this table may be lost all the same, where that is so.
    pub(super) async fn doubt(&mut self, database: &Database) -> Result<Option<Doubt>, sqlx::Error> {
        if database.kind != DatabaseKind::Mysql {
            return Ok(None);
        }
        let row = sqlx::query(dialect::COMMITS).bind(&database.table).fetch_one(&mut self.connection).await?;
        let (engine, transactions): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let log: i64 = row.try_get(2)?;
        Ok(match transactions.as_deref() {
            Some("YES") if log == 1 => None,
            Some("YES") => Some(Doubt::Log(log)),
            _ => Some(Doubt::Engine(engine)),
        })
    }

    /// A transaction with all rows, not yet committed.
    async fn begin(&mut self, consignments: &[&Consignment]) -> Result<Transaction<'_, Any>, sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        for consignment in consignments {
            let Mail { spool_id, sender, received, columns, octets } = &consignment.mail;
            let fit = |column, text| self.table.fitting(column, text).to_owned();
            for recipient in &consignment.recipients {
                let row = |date: &str| {
                    sqlx::query(AssertSqlSafe(self.insert.as_str()))
                        .bind(spool_id.clone())
                        .bind(fit("sender", sender))
                        .bind(recipient.clone())
                        .bind(received.clone())
                        .bind(date.to_owned())
                        .bind(fit("from", &columns.from))
                        .bind(fit("to", &columns.to))
                        .bind(fit("subject", &columns.subject))
                        .bind(fit("body", &columns.body))
                        .bind(fit("charset", &columns.charset))
                        .bind(fit("content_type", &columns.content_type))
                        .bind(std::sync::Arc::clone(octets))
                        .bind(columns.hash.clone())
                        .bind(columns.spam_score.map(|score| score.to_string()))
                };
                let mut put = row(&columns.date).execute(&mut *transaction).await;
                // A date that a sender made up is no reason to refuse the mail.
                if put.as_ref().is_err_and(is_wrong_time) {
                    put = row(received).execute(&mut *transaction).await;
                }
                put?;
            }
        }
        Ok(transaction)
    }

    /// Looks at the table again, after an error that says that it has changed.
    pub(super) async fn look_again(&mut self, database: &Database) -> Result<(), Unfit> {
        Table::look(&mut self.connection, database).await.map(|_| ())
    }

    /// Ends the connection politely.
    pub(super) async fn close(self) {
        // Whatever it says, there is nothing left to lose.
        let _ = self.connection.close().await;
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It changes nothing.
    Read,
    /// It puts rows in; a file is made where it is not there.
    Write,
}

/// Connects, and prepares the connection for what it is for.
pub(super) async fn connect(
    database: &Database,
    password: &str,
    authorities: Option<&Path>,
    access: Access,
) -> Result<AnyConnection, sqlx::Error> {
    install_default_drivers();
    let url = Zeroizing::new(url(database, password, authorities, access));
    let options = AnyConnectOptions::from_str(&url)?.disable_statement_logging();
    let mut connection = options.connect().await?;
    let statements = match access {
        Access::Read => dialect::read_only(database.kind),
        Access::Write => dialect::preparations(database.kind),
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut connection).await?;
    }
    Ok(connection)
}

/// Whether a file has no table at all: somebody else's is not filled with ours.
async fn is_new(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT count(*) FROM sqlite_master").fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)? == 0)
}

async fn largest_packet(connection: &mut AnyConnection) -> Result<usize, sqlx::Error> {
    let row = sqlx::query("SELECT CAST(@@max_allowed_packet AS SIGNED)").fetch_one(connection).await?;
    Ok(usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX))
}

/// What sqlx reads, with the password.
fn url(database: &Database, password: &str, authorities: Option<&Path>, access: Access) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let path = |path: &Path| utf8_percent_encode(&path.to_string_lossy(), PATH).to_string();
    let login = database.user.as_deref().map_or(String::new(), |user| {
        let password = if password.is_empty() { String::new() } else { format!(":{}", encoded(password)) };
        format!("{}{password}@", encoded(user))
    });
    let name = encoded(&database.name);
    let scheme = database.kind.scheme();
    match (&database.place, database.kind) {
        (DatabasePlace::File(file), _) => {
            let mode = if access == Access::Read { "ro" } else { "rwc" };
            format!("sqlite://{}?mode={mode}", path(file))
        }
        (DatabasePlace::Socket(folder, port), DatabaseKind::Postgres) => {
            format!(
                "{scheme}://{login}localhost:{port}/{name}?host={}&sslmode=disable",
                encoded(&folder.to_string_lossy())
            )
        }
        (DatabasePlace::Socket(socket, _), _) => {
            format!(
                "{scheme}://{login}localhost/{name}?socket={}&ssl-mode=DISABLED",
                encoded(&socket.to_string_lossy())
            )
        }
        (DatabasePlace::Host(host, port), kind) => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let postgres = kind == DatabaseKind::Postgres;
            let tls = match (database.tls, postgres) {
                (TlsPolicy::None, true) => "sslmode=disable",
                (TlsPolicy::None, false) => "ssl-mode=DISABLED",
                (TlsPolicy::Opportunistic, true) => "sslmode=prefer",
                (TlsPolicy::Opportunistic, false) => "ssl-mode=PREFERRED",
                // A database has no TLSA records; no URL asks for them.
                (TlsPolicy::Required | TlsPolicy::Implicit | TlsPolicy::Dane | TlsPolicy::DaneOnly, true) => {
                    "sslmode=verify-full"
                }
                (TlsPolicy::Required | TlsPolicy::Implicit | TlsPolicy::Dane | TlsPolicy::DaneOnly, false) => {
                    "ssl-mode=VERIFY_IDENTITY"
                }
            };
            let key = if postgres { "sslrootcert" } else { "ssl-ca" };
            let authorities = authorities.map_or(String::new(), |file| format!("&{key}={}", path(file)));
            format!("{scheme}://{login}{host}:{port}/{name}?{tls}{authorities}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqlx_reads_has_the_password_and_the_verification() {
        let told = |kind, rest: &str| {
            let database = Database::parse(kind, rest).unwrap();
            let url = url(&database, "p@ss/1", Some(Path::new("/ca.pem")), Access::Write);
            assert!(AnyConnectOptions::from_str(&url).is_ok(), "{url}");
            url
        };
        install_default_drivers();
        assert_eq!(told(DatabaseKind::Sqlite, "./a b.db"), "sqlite://./a%20b.db?mode=rwc");
        assert_eq!(
            told(DatabaseKind::Postgres, "//u@db.lan/mail"),
            "postgres://u:p%40ss%2F1@db.lan:5432/mail?sslmode=verify-full&sslrootcert=/ca.pem"
        );
        assert_eq!(
            told(DatabaseKind::Postgres, "//u@:5433/mail?socket=/run/pg"),
            "postgres://u:p%40ss%2F1@localhost:5433/mail?host=%2Frun%2Fpg&sslmode=disable"
        );
        assert_eq!(
            told(DatabaseKind::Mysql, "//u@[::1]/mail"),
            "mysql://u:p%40ss%2F1@[::1]:3306/mail?ssl-mode=DISABLED&ssl-ca=/ca.pem"
        );
    }
}
