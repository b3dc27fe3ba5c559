//! The two binaries as processes, in a folder of their own.
//!
//! Every process is ended when its value is dropped, by its id.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::Client;

/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration, a spool and an inbox.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// A site that takes messages without required header fields; `more` is added to its configuration.
    pub(crate) fn new(more: &str) -> Self {
        Self::within(&std::env::temp_dir(), more)
    }

    /// The same in memory, where there is such a place: on a disk that is not large.
    pub(crate) fn in_memory(more: &str) -> Self {
        let memory = Path::new("/dev/shm");
        Self::within(if memory.is_dir() { memory } else { Path::new("/tmp") }, more)
    }

    fn within(place: &Path, more: &str) -> Self {
        let site = Self { folder: tempfile::tempdir_in(place).unwrap() };
        let text = format!(
            "hostname = \"relay.example\"\nspool = \"{}\"\n[message]\nrequired_headers = []\n[relay]\nurl = \"maildir:{}\"\n\
             [reserve]\nspace = \"1MB\"\ninodes = 1\n{more}\n",
            site.spool().display(),
            site.inbox().display()
        );
        fs::write(site.config(), text).unwrap();
        site
    }

    /// Puts a line before the sections of its configuration.
    #[allow(dead_code)]
    pub(crate) fn set_first(&self, line: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{line}\n{text}")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("leafmail.toml")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.path("spool")
    }

    pub(crate) fn inbox(&self) -> PathBuf {
        self.path("inbox")
    }

    /// `smtpd` with this configuration.
    pub(crate) fn smtpd(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_smtpd"))
    }

    /// `spoolrun` with this configuration.
    pub(crate) fn spoolrun(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_spoolrun"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--config").arg(self.config()).current_dir(self.folder.path()).env_remove("LEAFMAIL_CONFIG");
        command
    }

    /// Starts `smtpd` on a port that the system chooses.
    pub(crate) fn listen(&self, arguments: &[&str]) -> Running {
        let mut command = self.smtpd();
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let running = Running::start(command);
        running.wait_for_log("listening on");
        running
    }

    /// Starts `spoolrun watch`.
    pub(crate) fn watch(&self, arguments: &[&str]) -> Running {
        let mut command = self.spoolrun();
        command.args(arguments).arg("watch");
        Running::start(command)
    }

    /// The names of the files in a folder of the spool, which must be there.
    pub(crate) fn shelf(&self, folder: &str) -> Vec<String> {
        let path = self.spool().join(folder);
        assert!(path.is_dir(), "there is no {}", path.display());
        names(&path)
    }

    /// The messages in the inbox, in order of their names.
    pub(crate) fn delivered(&self) -> Vec<Vec<u8>> {
        let folder = self.inbox().join("new");
        names(&folder).iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
    }

    /// The states of the routes, to be shown where a test fails.
    pub(crate) fn states(&self) -> String {
        let folder = self.spool().join("routes");
        let read = |name: &String| format!("{name}: {}", fs::read_to_string(folder.join(name)).unwrap_or_default());
        names(&folder).iter().filter(|name| name.ends_with(".json")).map(read).collect()
    }

    /// Runs `spoolrun` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.spoolrun().args(arguments).output().unwrap()
    }
}

/// The files of a folder, sorted; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process with its log.
pub(crate) struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (sink, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("{text} in the log"), || self.log().contains(text));
    }

    /// The TCP address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        let log = self.log();
        let line = log.lines().find_map(|line| line.split("listening on ").nth(1)).unwrap();
        line.trim().parse().unwrap()
    }

    /// A client that has read the greeting.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// The most memory that it ever had resident, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// By how many KiB the peak of its memory grows while a number of clients send this message at once; one has done so before.
    #[allow(dead_code)]
    pub(crate) fn growth_by_clients(&self, clients: usize, message: &[u8]) -> u64 {
        self.client().submit("a@example.com", &["b@example.com"], message);
        let before = self.peak_memory();
        let sending = (0..clients).map(|_| {
            let mut client = self.client();
            client.begin("a@example.com", &["b@example.com"]);
            client.send(message);
            client
        });
        let mut sending: Vec<_> = sending.collect();
        for client in &mut sending {
            client.send(b".\r\n");
            let reply = client.reply();
            assert!(reply.starts_with("250"), "{reply}");
        }
        self.peak_memory().saturating_sub(before)
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The process itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Asks it to leave.
    pub(crate) fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end; its log:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
