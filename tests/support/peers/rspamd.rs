//! rspamd with a folder and ports of its own, which asks no name server and has no Redis.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::site::{Running, free_port};

/// It compiles its expressions at each start: half a minute on a busy machine.
const LONGEST_START: Duration = Duration::from_secs(180);

/// An rspamd that listens.
pub(crate) struct Rspamd {
    /// Where its proxy speaks the protocol of milters.
    pub(crate) milter: u16,
    /// Where its controller is.
    pub(crate) controller: u16,
    running: Running,
    _folder: TempDir,
}

impl Rspamd {
    /// Starts it, and waits until proxy and controller take connections.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (milter, controller, silent) = (free_port(), free_port(), free_port());
        configure(folder.path(), milter, controller, silent);
        let mut program = Command::new("rspamd");
        program.args(["-f", "--insecure"]).stdout(Stdio::null());
        for (name, value) in [("LOCAL_CONFDIR", "lc"), ("DBDIR", "db"), ("RUNDIR", "run"), ("LOGDIR", "log")] {
            program.arg(format!("--var={name}={}", folder.path().join(value).display()));
        }
        let running = Running::start(program);
        let begun = Instant::now();
        let listens = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        while !(listens(milter) && listens(controller)) {
            assert!(begun.elapsed() < LONGEST_START, "rspamd does not listen: {}", running.log());
            thread::sleep(Duration::from_millis(200));
        }
        Self { milter, controller, running, _folder: folder }
    }

    /// Sends a signal to all of its processes.
    pub(crate) fn signal(&self, name: &str) {
        let main = self.running.pid().to_string();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
        for pid in [main.as_str()].into_iter().chain(children.split_whitespace()) {
            // A child may end with its parent.
            let _ = Command::new("kill").args([&format!("-{name}"), pid]).status();
        }
    }

    /// Sends a signal to the process that is the controller.
    pub(crate) fn signal_controller(&self, name: &str) {
        let main = self.running.pid();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        let is_controller = |pid: &&str| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("controller"))
        };
        let pid = children.split_whitespace().find(is_controller).expect("the controller is a child");
        assert!(Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap().success());
    }
}

impl Drop for Rspamd {
    /// Its children would outlive it.
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

fn configure(folder: &Path, milter: u16, controller: u16, silent: u16) {
    for name in ["lc", "lc/local.d", "db", "run", "log"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let at = |name: &str| folder.join(name).display().to_string();
    let bayes = format!(
        "classifier \"bayes\" {{\n  tokenizer {{ name = \"osb\"; }}\n  backend = \"sqlite3\"; languages_enabled = false; min_tokens = 3; \
         min_learns = 1;\n  cache {{ type = \"sqlite3\"; path = \"{}\"; }}\n  statfile {{ symbol = \"BAYES_HAM\"; path = \"{}\"; spam = \
         false; }}\n  statfile {{ symbol = \"BAYES_SPAM\"; path = \"{}\"; spam = true; }}\n}}\n",
        at("db/cache.sqlite"),
        at("db/ham.sqlite"),
        at("db/spam.sqlite")
    );
    for (name, text) in [
        ("asn.conf", "enabled = false;\n".to_owned()),
        ("fuzzy_check.conf", "enabled = false;\n".to_owned()),
        ("rbl.conf", "enabled = false;\n".to_owned()),
        ("worker-fuzzy.inc", "enabled = false;\n".to_owned()),
        ("worker-controller.inc", format!("bind_socket = \"127.0.0.1:{controller}\";\nsecure_ip = \"127.0.0.1\";\n")),
        ("worker-normal.inc", format!("bind_socket = \"{}\";\ncount = 1;\n", at("normal"))),
        ("logging.inc", format!("type = \"file\"; filename = \"{}\";\n", at("log/rspamd.log"))),
        ("statistic.conf", bayes),
        (
            "milter_headers.conf",
            "use = [\"x-spamd-bar\", \"x-spam-level\"]; skip_local = false; skip_authenticated = false;\n".to_owned(),
        ),
        (
            "options.inc",
            format!(
                "dns {{ nameserver = [\"127.0.0.1:{silent}\"]; timeout = 0.1s; retransmits = 1; }}\nlocal_addrs = [];\n"
            ),
        ),
        (
            "worker-proxy.inc",
            format!(
                "bind_socket = \"127.0.0.1:{milter}\";\nmilter = yes;\n\
                 upstream \"local\" {{ default = yes; self_scan = yes; }}\ncount = 1;\n"
            ),
        ),
    ] {
        fs::write(folder.join("lc/local.d").join(name), text).unwrap();
    }
}
