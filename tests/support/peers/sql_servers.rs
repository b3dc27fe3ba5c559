//! PostgreSQL and MariaDB as processes of an unprivileged user, in a folder of their own, on a Unix socket and a port of the
//! loopback; and SQLite, for tests that do the same with each of them.
//!
//! A server ends with its value, also where the test panics.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::any::{AnyRow, install_default_drivers};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tempfile::TempDir;

use super::super::have::{have, lacks};
use super::super::site::{free_port, wait_until};

/// The password of the user `leaf`.
pub(crate) const PASSWORD: &str = "se cret/1";

/// A database with an empty table, as long as this value lives.
pub(crate) struct TestDatabase {
    folder: TempDir,
    server: Option<std::process::Child>,
    start: Option<Box<dyn Fn() -> Command>>,
    /// The kind, as its URLs begin.
    pub(crate) scheme: &'static str,
    /// As a route names it, by a Unix socket where it has one.
    pub(crate) url: String,
    /// The same by TCP.
    pub(crate) tcp: String,
    /// As sqlx names it.
    plain: String,
}

/// What runs as nobody, where the tests run as root: no server of a database starts as root.
fn unprivileged(program: &Path, home: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env("HOME", home).env("TMPDIR", home).env("LC_ALL", "C.UTF-8").current_dir(home);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A program of a peer: in the path, or where Debian installs what is not for the path.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = installed.map(|version| version.path().join("bin").join(name)).find(|file| file.is_file());
    // A program in the path may be a part of an installation only.
    let found = debian.or(found);
    if found.is_none() {
        lacks(name);
    }
    found
}

fn run(mut command: Command) {
    let shown = format!("{command:?}");
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}

impl TestDatabase {
    /// All three that are there; each other is a skip that is reported.
    pub(crate) fn all() -> Vec<Self> {
        [Some(Self::sqlite()), Self::postgres(), Self::mariadb()].into_iter().flatten().collect()
    }

    /// A file that is not there yet.
    pub(crate) fn sqlite() -> Self {
        let folder = folder();
        let url = format!("sqlite:{}/mail.db", folder.path().display());
        let plain = format!("{}?mode=rwc", url.replace("sqlite:", "sqlite://"));
        Self { folder, server: None, start: None, scheme: "sqlite", tcp: url.clone(), url, plain }
    }

    /// PostgreSQL with the table of `contrib/sql/postgres.sql`.
    pub(crate) fn postgres() -> Option<Self> {
        let (initdb, postgres) = (program("initdb")?, program("postgres")?);
        let (folder, port) = (folder(), free_port());
        let path = folder.path().to_owned();
        fs::write(path.join("password"), PASSWORD).unwrap();
        fs::set_permissions(path.join("password"), fs::Permissions::from_mode(0o644)).unwrap();
        let mut made = unprivileged(&initdb, &path);
        made.args(["-D", "data", "-U", "leaf", "--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8"]);
        run({
            made.args(["--pwfile=password", "--no-sync", "--no-instructions", "--locale=C.UTF-8"]);
            made
        });
        let home = path.clone();
        let start = move || {
            let mut command = unprivileged(&postgres, &home);
            command.args(["-D", "data", "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB"]);
            command.arg("-c").arg(format!("port={port}"));
            command.arg("-c").arg(format!("unix_socket_directories={}", home.display()));
            command
        };
        let socket = path.display();
        let mut database = Self {
            folder,
            server: None,
            start: Some(Box::new(start)),
            scheme: "postgres",
            url: format!("postgres://leaf@:{port}/postgres?socket={socket}"),
            tcp: format!("postgres://leaf@127.0.0.1:{port}/postgres"),
            plain: format!("postgres://leaf@localhost:{port}/postgres?host={}&sslmode=disable", encoded(&path)),
        };
        database.start();
        database.make_table(include_str!("../../../contrib/sql/postgres.sql"));
        Some(database)
    }

    /// MariaDB with the table of `contrib/sql/mysql.sql`.
    pub(crate) fn mariadb() -> Option<Self> {
        if !have("mariadbd") {
            return None;
        }
        // What was unpacked has its messages and scripts beside it.
        let server = fs::canonicalize(program("mariadbd")?).unwrap();
        let base = server.parent()?.parent()?.to_owned();
        let (folder, port) = (folder(), free_port());
        let path = folder.path().to_owned();
        let mut made = unprivileged(&base.join("bin/mariadb-install-db"), &path);
        made.arg("--no-defaults").arg(format!("--basedir={}", base.display()));
        made.arg(format!("--datadir={}/data", path.display()));
        run({
            made.args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
            made
        });
        let home = path.clone();
        let start = move || {
            let mut command = unprivileged(&server, &home);
            command.arg("--no-defaults").arg(format!("--basedir={}", base.display()));
            command.arg(format!("--lc-messages-dir={}/share/mysql", base.display()));
            command.arg(format!("--plugin-dir={}/lib/mysql/plugin", base.display()));
            command.arg(format!("--datadir={}/data", home.display())).arg(format!("--socket={}/s", home.display()));
            command.args(["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M"]);
            command.arg(format!("--port={port}")).arg(format!("--pid-file={}/pid", home.display()));
            command
        };
        let socket = path.join("s");
        let mut database = Self {
            folder,
            server: None,
            start: Some(Box::new(start)),
            scheme: "mysql",
            url: format!("mysql://leaf@/mail?socket={}", socket.display()),
            tcp: format!("mysql://leaf@127.0.0.1:{port}/mail"),
            plain: format!("mysql://root@localhost/mysql?socket={}&ssl-mode=DISABLED", encoded(&socket)),
        };
        database.start();
        let access = format!("IDENTIFIED BY '{PASSWORD}'");
        for statement in [
            "CREATE DATABASE mail CHARACTER SET utf8mb4".to_owned(),
            format!("CREATE USER leaf@'127.0.0.1' {access}"),
            format!("CREATE USER leaf@localhost {access}"),
            "GRANT ALL ON mail.* TO leaf@'127.0.0.1'".to_owned(),
            "GRANT ALL ON mail.* TO leaf@localhost".to_owned(),
        ] {
            database.execute(&statement);
        }
        database.plain = database.plain.replace("/mysql?", "/mail?");
        database.make_table(include_str!("../../../contrib/sql/mysql.sql"));
        Some(database)
    }

    /// The folder of the files of this database.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the table as an administrator does.
    pub(crate) fn make_table(&self, schema: &str) {
        let lines: Vec<_> = schema.lines().filter(|line| !line.starts_with("--")).collect();
        for statement in lines.join("\n").split(';').filter(|text| !text.trim().is_empty()) {
            self.execute(statement);
        }
    }

    /// Starts the server, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let Some(start) = &self.start else { return };
        self.server = Some(start().spawn().unwrap());
        wait_until("the database answers", || self.try_execute("SELECT 1").is_ok());
    }

    /// Ends the server at once, as a crash of its host would.
    pub(crate) fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // PostgreSQL leaves shared memory behind where it is killed, and its processes.
        let signal =
            if self.scheme == "postgres" { rustix::process::Signal::QUIT } else { rustix::process::Signal::KILL };
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&server), signal);
        let _ = server.wait();
    }

    /// Runs a statement as the one who owns the database.
    pub(crate) fn execute(&self, statement: &str) {
        self.try_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    fn try_execute(&self, statement: &str) -> Result<(), sqlx::Error> {
        self.with(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.map(|_| ())
        })
    }

    /// Does something while another process has the only lock for writing.
    pub(crate) fn while_locked(&self, during: impl FnOnce() + Send) {
        let locked = self.with(async |connection| {
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
            // In a thread without a runtime.
            std::thread::scope(|scope| scope.spawn(during).join().unwrap());
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.map(|_| ())
        });
        locked.unwrap();
    }

    /// Starts the server again, with TLS by this certificate and its key.
    pub(crate) fn use_tls(&mut self, certificate: &str, key: &str) {
        let data = self.folder.path().join("data");
        let owner = fs::metadata(&data).unwrap();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = data.join(name);
            fs::write(&file, text).unwrap();
            std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        self.execute("ALTER SYSTEM SET ssl = on");
        self.stop();
        self.start();
    }

    /// The rows that a query gives.
    pub(crate) fn rows(&self, query: &str) -> Vec<AnyRow> {
        let query = AssertSqlSafe(query.to_owned());
        self.with(async |connection| sqlx::query(query).fetch_all(connection).await).unwrap()
    }

    /// A number that a query gives.
    pub(crate) fn number(&self, query: &str) -> i64 {
        sqlx::Row::get(&self.rows(query)[0], 0)
    }

    /// A name, as this database quotes it.
    pub(crate) fn quoted(&self, name: &str) -> String {
        if self.scheme == "mysql" { format!("`{name}`") } else { format!("\"{name}\"") }
    }

    fn with<T>(&self, work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        install_default_drivers();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = AnyConnection::connect(&self.plain).await?;
            let done = work(&mut connection).await;
            let _ = connection.close().await;
            done
        })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.stop();
    }
}

fn encoded(path: &Path) -> String {
    path.display().to_string().replace('/', "%2F")
}
