//! The programs under test, with a configuration whose limits are lifted, and what the kernel says of their costs.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// A folder with a spool and a configuration.
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    listen: SocketAddr,
}

/// A program that is running; it is ended when dropped.
pub(crate) struct Program(Child);

/// Ticks of processor time in a second, which Linux tells programs to be 100 whatever they are.
const TICKS: f64 = 100.0;

impl Site {
    /// With mail going to `sink`, over at most this many connections.
    pub(crate) fn new(folder: &Path, sink: SocketAddr, connections: usize) -> Result<Self> {
        fs::create_dir_all(folder)?;
        // A port that is free now.
        let listen = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let spool = folder.join("spool");
        let text = format!(
            "hostname = \"relay.example\"\nspool = {spool:?}\n[listen]\naddresses = [\"{listen}\"]\n[message]\nrequired_headers = []\n\
             [limits]\nsessions = 12000\n[reserve]\nspace = \"1MB\"\ninodes = 0\n\
             [relay]\nurl = \"smtp://{sink}?tls=none\"\nconnections = {connections}\n[log]\nfile = {:?}\n",
            folder.join("log")
        );
        fs::write(folder.join("leafmail.toml"), text)?;
        Ok(Self { folder: folder.to_owned(), listen })
    }

    /// A receiver that listens; to be reached at the address.
    pub(crate) fn smtpd(&self) -> Result<(Program, SocketAddr)> {
        let program = self.start(env!("CARGO_BIN_EXE_smtpd"), &[])?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut greeting = [0; 4];
        while Instant::now() < deadline {
            if let Ok(mut stream) = TcpStream::connect(self.listen)
                && stream.read_exact(&mut greeting).is_ok()
                && &greeting == b"220 "
            {
                return Ok((program, self.listen));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(format!("smtpd does not greet: {}", fs::read_to_string(self.folder.join("log")).unwrap_or_default()).into())
    }

    pub(crate) fn spoolrun(&self, arguments: &[&str]) -> Result<Program> {
        self.start(env!("CARGO_BIN_EXE_spoolrun"), arguments)
    }

    fn start(&self, program: &str, arguments: &[&str]) -> Result<Program> {
        let mut command = Command::new(program);
        command.arg("--config").arg(self.folder.join("leafmail.toml")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Program(command.spawn()?))
    }

    /// Messages in the queue.
    pub(crate) fn queued(&self) -> usize {
        fs::read_dir(self.folder.join("spool/queue")).map_or(0, Iterator::count)
    }

    /// Empties the queue.
    pub(crate) fn empty(&self) -> Result<()> {
        for entry in fs::read_dir(self.folder.join("spool/queue"))? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

impl Program {
    /// Seconds of processor time, user and system, so far.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields = stat.rsplit_once(')').ok_or("a stat without a name")?.1;
        let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS)
    }

    /// MB of memory, what is shared divided by those who share it.
    pub(crate) fn memory(&self) -> Result<f64> {
        self.kilobytes("smaps_rollup", "Pss:")
    }

    /// MB of memory at the most so far.
    pub(crate) fn most_memory(&self) -> Result<f64> {
        self.kilobytes("status", "VmHWM:")
    }

    fn kilobytes(&self, file: &str, field: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)).ok_or("a field of memory is missing")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(format!("spoolrun left with {status}").into()) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
