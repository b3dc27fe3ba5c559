//! Mail servers that others wrote, run from a folder of their own on high ports: Postfix and Exim, on either side.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::client::{Client, original};
use crate::have::have;
use crate::site::{Running, Site, free_port, names, wait_until};

const BODY: &[u8] = b"From: alice@example.com\r\nSubject: through a real server\r\n\r\n.dot\r\ngr\xfcn\r\nend\r\n";

/// The user and group ids of a system user.
fn ids(user: &str, group: &str) -> Option<(u32, u32)> {
    let field = |file: &str, name: &str| -> Option<u32> {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    Some((field("/etc/passwd", user)?, field("/etc/group", group)?))
}

/// Whether servers that change users can be run.
pub(crate) fn may_run(program: &str) -> bool {
    if !have(program) {
        return false;
    }
    let root = rustix::process::geteuid().is_root();
    if !root {
        crate::have::skip(&format!("{program} needs root to change to its own user"));
    }
    root
}

/// A running Postfix that relays everything to one port.
pub(crate) struct Postfix {
    running: Running,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Postfix {
    /// `more` is added to its `main.cf`.
    pub(crate) fn start(folder: &Path, relay_port: u16, more: &str) -> Self {
        Self::start_at(free_port(), folder, relay_port, more)
    }

    /// At this port, with whatever is in the folder already.
    pub(crate) fn start_at(port: u16, folder: &Path, relay_port: u16, more: &str) -> Self {
        let (user, group) = ids("postfix", "postdrop").unwrap();
        let master = which("postfix-master");
        let root = master.parent().unwrap().parent().unwrap().join("postfix");
        let (etc, queue, data) = (folder.join("etc"), folder.join("queue"), folder.join("data"));
        for (path, owner, group, mode) in [
            (folder.to_owned(), 0, 0, 0o755),
            (etc.clone(), 0, 0, 0o755),
            (queue.clone(), 0, 0, 0o755),
            (queue.join("pid"), 0, 0, 0o755),
            (data.clone(), user, group, 0o700),
            (queue.join("maildrop"), user, group, 0o1730),
            (queue.join("public"), user, group, 0o2710),
        ] {
            make(&path, owner, group, mode);
        }
        for name in "active bounce corrupt defer deferred flush hold incoming private saved trace".split(' ') {
            make(&queue.join(name), user, group, 0o700);
        }
        let (root, daemons) = (root.display(), root.join("usr/lib/postfix/sbin"));
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\ndaemon_directory = {daemons}\n\
             command_directory = {root}/usr/sbin\nshlib_directory = {root}/usr/lib/postfix\nmeta_directory = {etc}\n\
             mail_owner = postfix\nsetgid_group = postdrop\nimport_environment = MAIL_CONFIG LD_LIBRARY_PATH TZ LANG=C\n\
             maillog_file = {folder}/mail.log\nmaillog_file_prefixes = {folder}\nmyhostname = postfix.example\n\
             mydestination =\nlocal_recipient_maps =\nalias_maps =\nalias_database =\ninet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             relayhost = [127.0.0.1]:{relay_port}\nsmtpd_peername_lookup = no\n{more}\n",
            queue = queue.display(),
            data = data.display(),
            daemons = daemons.display(),
            etc = etc.display(),
            folder = folder.display(),
        );
        let master_cf = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nproxymap unix - - n - - proxymap\n\
             smtp unix - - n - - smtp\nrelay unix - - n - - smtp\nerror unix - - n - - error\nretry unix - - n - - error\n\
             anvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n"
        );
        for (name, text) in [("main.cf", main), ("master.cf", master_cf)] {
            let path = etc.join(name);
            fs::write(&path, text).unwrap();
            // Postfix waits while its configuration is younger than two seconds.
            fs::File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let mut command = Command::new("postfix-master");
        command.arg("-c").arg(&etc).env("MAIL_CONFIG", &etc);
        let running = Running::start(command);
        wait_until("Postfix to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { running, port, folder: folder.to_owned() }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("mail.log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }
}

/// A running Exim that relays everything to one port.
pub(crate) struct Exim {
    running: Running,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Exim {
    /// `transport` is added to its SMTP transport, `more` to the main section. It knows nobody whose address begins with an `x`.
    pub(crate) fn start(folder: &Path, relay_port: u16, more: &str, transport: &str) -> Self {
        Self::start_at(free_port(), folder, relay_port, more, transport)
    }

    /// At this port, with whatever is in the folder already.
    pub(crate) fn start_at(port: u16, folder: &Path, relay_port: u16, more: &str, transport: &str) -> Self {
        let (user, group) = ids("Debian-exim", "Debian-exim").unwrap();
        make(folder, 0, group, 0o750);
        for name in ["spool", "log"] {
            make(&folder.join(name), user, group, 0o750);
        }
        let program = which("exim4");
        let program = fs::canonicalize(program).unwrap();
        let text = format!(
            "primary_hostname = exim.example\nexim_path = {program}\nspool_directory = {folder}/spool\n\
             log_file_path = {folder}/log/%slog\npid_file_path = {folder}/exim.pid\nkeep_environment =\n\
             local_interfaces = 127.0.0.1\ndaemon_smtp_ports = {port}\ndisable_ipv6 = true\nacl_smtp_rcpt = acl_rcpt\n\
             rfc1413_query_timeout = 0s\nnever_users =\ndeliver_drop_privilege = true\n{more}\n\
             begin acl\nacl_rcpt:\n  deny message = no such user\n       local_parts = ^x\n  accept hosts = 127.0.0.1\n  deny\nbegin routers\nsmarthost:\n  driver = manualroute\n\
             \x20 route_data = 127.0.0.1::{relay_port}\n  self = send\n  transport = remote_smtp\nbegin transports\n\
             remote_smtp:\n  driver = smtp\n  allow_localhost = true\n{transport}\nbegin retry\n* * F,1h,1m\n",
            program = program.display(),
            folder = folder.display(),
        );
        let configuration = folder.join("exim.conf");
        fs::write(&configuration, text).unwrap();
        chown(&configuration, Some(0), Some(group)).unwrap();
        fs::set_permissions(&configuration, Permissions::from_mode(0o644)).unwrap();
        let mut command = Command::new(program);
        command.arg("-C").arg(&configuration).args(["-bdf", "-q2s"]);
        let running = Running::start(command);
        wait_until("Exim to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { running, port, folder: folder.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(crate) fn log(&self) -> String {
        let read = |name: &String| fs::read_to_string(self.folder.join("log").join(name)).unwrap_or_default();
        names(&self.folder.join("log")).iter().map(read).collect()
    }
}

fn make(path: &Path, owner: u32, group: u32, mode: u32) {
    fs::create_dir_all(path).unwrap();
    chown(path, Some(owner), Some(group)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Where a program is.
pub(crate) fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.exists()).unwrap()
}

/// Their users must be able to come through the folder that a site is in.
pub(crate) fn open_to_all(site: &Site) {
    fs::set_permissions(site.path(""), Permissions::from_mode(0o755)).unwrap();
}

/// What is behind a real server: our own receiver, delivering into an inbox.
pub(crate) fn receiver() -> (Site, Running) {
    let site = Site::new("");
    open_to_all(&site);
    let smtpd = site.listen(&["--deliver"]);
    (site, smtpd)
}

fn arrives(site: &Site, log: impl Fn() -> String) -> Vec<u8> {
    wait_until(&format!("the message; the server says:\n{}", log()), || site.delivered().len() == 1);
    site.delivered().remove(0)
}

/// What came through a real server ends as it began; header lines were added before it.
fn assert_whole(delivered: &[u8]) {
    let text = String::from_utf8_lossy(delivered).into_owned();
    assert!(delivered.ends_with(b"\r\n\r\n.dot\r\ngr\xfcn\r\nend\r\n"), "{text}");
    assert_eq!(text.matches("\r\nReceived: ").count() + usize::from(text.starts_with("Received: ")), 2, "{text}");
}

#[test]
fn postfix_relays_into_smtpd() {
    if !may_run("postfix-master") {
        return;
    }
    let (site, smtpd) = receiver();
    let postfix = Postfix::start(&site.path("postfix"), smtpd.address().port(), "");
    Client::connect(([127, 0, 0, 1], postfix.port).into()).submit("alice@example.com", &["bob@example.com"], BODY);
    assert_whole(&arrives(&site, || postfix.log()));
}

#[test]
fn exim_relays_into_smtpd() {
    if !may_run("exim4") {
        return;
    }
    let (site, smtpd) = receiver();
    let exim = Exim::start(&site.path("exim"), smtpd.address().port(), "tls_advertise_hosts =", "");
    Client::connect(([127, 0, 0, 1], exim.port).into()).submit("alice@example.com", &["bob@example.com"], BODY);
    assert_whole(&arrives(&site, || exim.log()));
}

/// From a client through smtpd and spoolrun into a real server, which hands it to a second receiver of ours.
fn goes_through(start: impl FnOnce(&Site, u16) -> (u16, Box<dyn Fn() -> String>)) {
    let (behind, receiver) = receiver();
    let site = Site::new("");
    open_to_all(&site);
    let (port, log) = start(&behind, receiver.address().port());
    let smtpd = site.listen(&[]);
    let id = smtpd.client().submit("alice@example.com", &["bob@example.com"], BODY);
    let relay = format!("smtp://127.0.0.1:{port}?tls=none");
    let output = site.run(&["-v", "--relay", &relay]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && words.contains(&format!("{id}: removed")), "{words}\n{}", log());
    wait_until(&format!("the message; the server says:\n{}", log()), || behind.delivered().len() == 1);
    let delivered = behind.delivered().remove(0);
    assert!(original(&delivered).ends_with(b"end\r\n"));
    assert!(String::from_utf8_lossy(&delivered).contains(&id), "our Received field is in it");
}

#[test]
fn spoolrun_relays_into_postfix() {
    if !may_run("postfix-master") {
        return;
    }
    goes_through(|site, port| {
        let postfix = Postfix::start(&site.path("postfix"), port, "");
        (postfix.port, Box::new(move || postfix.log()))
    });
}

#[test]
fn spoolrun_relays_into_exim() {
    if !may_run("exim4") {
        return;
    }
    goes_through(|site, port| {
        let exim = Exim::start(&site.path("exim"), port, "tls_advertise_hosts =", "");
        (exim.port, Box::new(move || exim.log()))
    });
}
