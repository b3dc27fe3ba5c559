//! A table of a database as a URL: `sqlite:PATH`, `postgres://[USER@]HOST[:PORT]/DATABASE`, `mysql://…`.
//!
//! Invariant: the name of the table is an identifier that needs no escape, and nothing here holds a password.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};

use crate::transport::settings::{NextHopError, PLAIN, TlsPolicy, host_and_port, is_this_host, user_name};

/// A database, and the table in it that mail is stored in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) kind: DatabaseKind,
    pub(super) place: DatabasePlace,
    /// Who we are there. The password is never part of a URL.
    pub(super) user: Option<String>,
    /// Its name; empty for a file.
    pub(super) name: String,
    /// The table: letters, digits and `_`, at most 63.
    pub(super) table: String,
    /// How a connection by TCP is protected.
    pub(super) tls: TlsPolicy,
}

/// Which kind of SQL a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file of this host.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB and MySQL.
    Mysql,
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DatabasePlace {
    /// A file.
    File(PathBuf),
    /// A server by TCP: a name or an address without brackets, and the port.
    Host(String, u16),
    /// A Unix socket: of PostgreSQL the folder that it is in and the port that names it, of MariaDB the socket itself.
    Socket(PathBuf, u16),
}

impl DatabaseKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mysql];

    /// The scheme of its URLs.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// That of a scheme, also by the names that other programs give it.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            _ => None,
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Sqlite => 0,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}

/// The table, unless the URL names another: that of the ancestor of this one.
pub(super) const TABLE: &str = "new_mail";

/// What may follow the `?`.
struct Parameters {
    table: String,
    tls: Option<TlsPolicy>,
    socket: Option<PathBuf>,
}

impl Parameters {
    fn parse(query: Option<&str>) -> Result<Self, NextHopError> {
        let mut found = Self { table: TABLE.to_owned(), tls: None, socket: None };
        for parameter in query.into_iter().flat_map(|query| query.split('&')) {
            match parameter.split_once('=') {
                Some(("table", name)) if is_identifier(name) => name.clone_into(&mut found.table),
                Some(("table", name)) => return Err(unexpected("letters, digits and _ as the name of a table", name)),
                Some(("tls", "none")) => found.tls = Some(TlsPolicy::None),
                Some(("tls", "opportunistic")) => found.tls = Some(TlsPolicy::Opportunistic),
                Some(("tls", "required")) => found.tls = Some(TlsPolicy::Required),
                Some(("socket", path)) if path.starts_with('/') => found.socket = Some(text(path)?.into()),
                _ => {
                    return Err(unexpected(
                        "table=NAME, tls=none|opportunistic|required or socket=/PATH after the ?",
                        parameter,
                    ));
                }
            }
        }
        Ok(found)
    }
}

fn unexpected(expected: &'static str, found: &str) -> NextHopError {
    NextHopError::unexpected(expected, found)
}

fn text(encoded: &str) -> Result<String, NextHopError> {
    let plain = |text: &str| !text.is_empty() && !text.contains(char::is_control);
    match percent_decode_str(encoded).decode_utf8() {
        Ok(text) if plain(&text) => Ok(text.into_owned()),
        _ => Err(unexpected("a name", encoded)),
    }
}

fn is_identifier(text: &str) -> bool {
    let begins = |octet: &u8| octet.is_ascii_alphabetic() || *octet == b'_';
    text.len() <= 63
        && text.as_bytes().first().is_some_and(begins)
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

/// What stays on this host needs no TLS; elsewhere both the mail and the login are protected unless the URL says otherwise.
fn default_tls(place: &DatabasePlace) -> TlsPolicy {
    match place {
        DatabasePlace::Host(host, _) if !is_this_host(host) => TlsPolicy::Required,
        _ => TlsPolicy::None,
    }
}

impl Database {
    /// From the kind and what follows the colon.
    pub(super) fn parse(kind: DatabaseKind, rest: &str) -> Result<Self, NextHopError> {
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        if kind == DatabaseKind::Sqlite {
            let Parameters { table, tls, socket } = Parameters::parse(query)?;
            if tls.is_some() || socket.is_some() {
                return Err(unexpected(
                    "table=NAME after the ?, as a file needs neither TLS nor a socket",
                    query.unwrap_or_default(),
                ));
            }
            if place.is_empty() || place == ":memory:" {
                return Err(unexpected("a path after sqlite:", place));
            }
            let place = DatabasePlace::File(PathBuf::from(place));
            return Ok(Self { kind, place, user: None, name: String::new(), table, tls: TlsPolicy::None });
        }
        let place = place.strip_prefix("//").ok_or_else(|| unexpected("// after the scheme", place))?;
        let (user, place) = match place.rsplit_once('@') {
            None => (None, place),
            Some((user, place)) => (Some(user_name(user)?), place),
        };
        let (host, name) = place.split_once('/').unwrap_or((place, ""));
        let name = text(name).map_err(|_| unexpected("/DATABASE after the host", name))?;
        let Parameters { table, tls, socket } = Parameters::parse(query)?;
        let place = match socket {
            None => {
                let (host, port) = host_and_port(host)?;
                DatabasePlace::Host(host, port.unwrap_or(kind.default_port()))
            }
            Some(_) if tls.is_some() => return Err(unexpected("no tls= beside socket=", query.unwrap_or_default())),
            Some(path) => match host.strip_prefix(':') {
                None if host.is_empty() => DatabasePlace::Socket(path, kind.default_port()),
                // PostgreSQL names its socket after the port.
                Some(port) if kind == DatabaseKind::Postgres => {
                    let port = port.parse().map_err(|_| unexpected("a port from 1 to 65535", port))?;
                    DatabasePlace::Socket(path, port)
                }
                _ => return Err(unexpected("no host beside socket=", host)),
            },
        };
        let tls = tls.unwrap_or_else(|| default_tls(&place));
        if tls == TlsPolicy::Opportunistic && user.is_some() {
            let found = "tls=opportunistic, which checks no certificate";
            return Err(NextHopError::Unverified { expected: "tls=required", found });
        }
        Ok(Self { kind, place, user, name, table, tls })
    }
}

/// In paths the slash stays as it is.
pub(super) const PATH: &AsciiSet = &PLAIN.remove(b'/');

impl fmt::Display for Database {
    /// The URL, in the shortest form that parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.kind.scheme();
        let user = self.user.as_ref().map_or(String::new(), |user| format!("{}@", utf8_percent_encode(user, PLAIN)));
        let port = |port: &u16| if *port == self.kind.default_port() { String::new() } else { format!(":{port}") };
        let name = utf8_percent_encode(&self.name, PLAIN);
        let mut parameters = Vec::new();
        match &self.place {
            DatabasePlace::File(path) => write!(f, "{scheme}:{}", path.display())?,
            DatabasePlace::Host(host, number) => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                write!(f, "{scheme}://{user}{host}{}/{name}", port(number))?;
            }
            DatabasePlace::Socket(path, number) => {
                write!(f, "{scheme}://{user}{}/{name}", port(number))?;
                parameters.push(format!("socket={}", utf8_percent_encode(&path.to_string_lossy(), PATH)));
            }
        }
        if self.tls != default_tls(&self.place) {
            let word = match self.tls {
                TlsPolicy::None => "none",
                TlsPolicy::Opportunistic => "opportunistic",
                TlsPolicy::Required | TlsPolicy::Implicit | TlsPolicy::Dane | TlsPolicy::DaneOnly => "required",
            };
            parameters.push(format!("tls={word}"));
        }
        if self.table != TABLE {
            parameters.push(format!("table={}", self.table));
        }
        let query = parameters.join("&");
        if query.is_empty() { Ok(()) } else { write!(f, "?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<Database, String> {
        let (scheme, rest) = url.split_once(':').unwrap();
        Database::parse(DatabaseKind::of_scheme(scheme).unwrap(), rest).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_parses_back() {
        for url in [
            "sqlite:/var/lib/leafmail/mail.db",
            "sqlite:./mail.db?table=archive",
            "postgres://leaf@db.example.com/mail",
            "postgres://localhost:5433/mail?table=t_1",
            "postgres://[::1]/m%20x",
            "postgres://leaf@/mail?socket=/run/postgresql",
            "postgres://:5433/mail?socket=/run/postgresql",
            "mysql://leaf@/mail?socket=/run/mysqld/mysqld.sock",
            "mysql://l%40x@db.lan:3307/mail?tls=none&table=x",
            "mysql://127.0.0.1/mail?tls=required",
        ] {
            assert_eq!(parsed(url).unwrap().to_string(), url);
        }
        assert_eq!(parsed("postgresql://h/d"), parsed("postgres://h:5432/d?table=new_mail&tls=required"));
        assert_eq!(parsed("mariadb://h/d"), parsed("mysql://h/d"));
    }

    #[test]
    fn what_stays_on_this_host_needs_no_tls() {
        for (url, tls) in [
            ("postgres://db/mail", TlsPolicy::Required),
            ("postgres://u@localhost/mail", TlsPolicy::None),
            ("mysql://u@127.0.0.1/mail", TlsPolicy::None),
            ("postgres://u@/mail?socket=/run", TlsPolicy::None),
        ] {
            assert_eq!(parsed(url).unwrap().tls, tls, "{url}");
        }
    }

    #[test]
    fn what_is_no_database_is_refused_in_words() {
        for (url, expected) in [
            ("sqlite:", "a path after sqlite:"),
            ("sqlite:x?tls=none", "table=NAME after the ?"),
            ("sqlite:x?table=a;b", "letters, digits and _"),
            ("sqlite:x?table=1", "letters, digits and _"),
            ("sqlite:x?mode=ro", "after the ?, but found \"mode=ro\""),
            ("postgres:db", "// after the scheme"),
            ("postgres://db", "/DATABASE after the host"),
            ("postgres:///mail", "a host name or an address"),
            ("postgres://u:secret@db/mail", "password_file"),
            ("postgres://u@db/mail?tls=opportunistic", "checks no certificate"),
            ("postgres://db:0/mail", "a port from 1"),
            ("mysql://db/mail?socket=run", "socket=/PATH"),
            ("mysql://db/mail?socket=/run", "no host beside socket="),
            ("mysql://:1/mail?socket=/run", "no host beside socket="),
            ("mysql:///mail?socket=/run&tls=none", "no tls= beside socket="),
        ] {
            let error = parsed(url).unwrap_err();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
