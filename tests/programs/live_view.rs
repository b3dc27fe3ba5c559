//! The live view of `spoolrun watch` and the line of `spoolrun flush`, read back from a terminal, and what there is without one.

use std::fs;
use std::process::{Command, Stdio};

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::have;
use crate::site::{Running, Site, wait_until};

/// A terminal of a given size in which a shell runs commands; its server is our own, and ends with it.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs a script; afterwards the terminal stays to be read.
    fn start(site: &Site, (width, height): (u16, u16), script: &str) -> Self {
        let terminal = Self { socket: site.path("tmux").display().to_string() };
        let size = [width.to_string(), height.to_string()];
        let script = format!("{script}\nexec sleep 600");
        let ok = terminal
            .command(&["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], "sh", "-c", &script])
            .status();
        assert!(ok.unwrap().success());
        terminal
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-S", &self.socket]).args(arguments).env_remove("TMUX").env_remove("NO_COLOR");
        command.stdin(Stdio::null());
        command
    }

    fn tell(&self, arguments: &[&str]) {
        assert!(self.command(arguments).status().unwrap().success(), "{arguments:?}");
    }

    /// What it shows.
    fn page(&self) -> String {
        String::from_utf8(self.command(&["capture-pane", "-p"]).output().unwrap().stdout).unwrap()
    }

    /// Waits until it shows all of this.
    fn wait_for(&self, texts: &[&str]) -> String {
        let mut page = String::new();
        let shows = || {
            page = self.page();
            texts.iter().all(|text| page.contains(text))
        };
        // Where that takes too long, the page is in the output of the test.
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_until(&texts.join(" and "), shows)));
        assert!(waited.is_ok(), "{texts:?} is not on the page:\n{}", self.page());
        page
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).status();
    }
}

/// A site with a smarthost, a route that a person paused, two messages for the one and one for the other.
fn busy_site(smarthost: &FakeSmarthost) -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    let relay = format!("url = \"smtp://{}?tls=none\"", smarthost.address);
    let route = format!("[[route]]\nname = \"alerts\"\nrecipients = [\"@down.example\"]\n{inbox}\n");
    fs::write(site.config(), format!("{}{route}", text.replace(&inbox, &relay))).unwrap();
    submit(&site, &["bob@example.com", "amy@down.example", "carol@example.com"]);
    assert!(site.run(&["pause", "alerts", "--why", "moving house"]).status.success());
    site
}

fn submit(site: &Site, recipients: &[&str]) {
    let mut smtpd = site.listen(&[]);
    for recipient in recipients {
        smtpd.client().submit("joe@example.org", &[recipient], b"Subject: one\r\n\r\n");
    }
    smtpd.terminate();
    assert!(smtpd.wait().success());
}

/// A shell's commands: `spoolrun` with these arguments between two looks at how the terminal is set.
fn around(site: &Site, arguments: &str) -> String {
    let (program, config) = (env!("CARGO_BIN_EXE_spoolrun"), site.config());
    let (before, after) = (site.path("before"), site.path("after"));
    format!(
        "cd '{}'; trap : INT; stty -a > '{}'; echo the shell was here\n'{program}' --config '{}' {arguments}\n\
         echo \"exit code $?\"; stty -a > '{}'; echo over",
        site.path("").display(),
        before.display(),
        config.display(),
        after.display()
    )
}

/// The terminal is as it was, and shows what it showed.
fn is_given_back(site: &Site, terminal: &Terminal) {
    let page = terminal.wait_for(&["the shell was here", "exit code 0", "over"]);
    assert!(!page.contains("Last events"), "{page}");
    // But for the size, which is in the first line.
    let set = |name| fs::read_to_string(site.path(name)).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_eq!(set("before"), set("after"));
    let cursor = terminal.command(&["display-message", "-p", "#{cursor_flag} #{alternate_on}"]).output().unwrap();
    assert_eq!(String::from_utf8(cursor.stdout).unwrap(), "1 0\n", "the cursor is seen, on the first screen");
}

/// The fields of the row of a route.
fn row(page: &str, route: &str) -> Vec<String> {
    let line = page.lines().find(|line| line.starts_with(route)).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_terminal_of_80_by_24_shows_queue_routes_and_events_until_q() {
    if !have("tmux") {
        return;
    }
    let smarthost = FakeSmarthost::start(Script::new());
    let site = busy_site(&smarthost);
    let terminal = Terminal::start(&site, (80, 24), &around(&site, "watch"));
    let sent = "status=sent, to=<carol@example.com>";
    let page = terminal.wait_for(&["1 message waits, for ", "moving house", sent, "q: quit"]);
    assert!(page.starts_with("leafmail relay.example  "), "{page}");
    // Name, state, waiting, oldest, per minute, per hour, sent, deferred, bounced.
    let (relay, alerts) = (row(&page, "relay "), row(&page, "alerts "));
    assert_eq!([&relay[..4], &relay[6..]].concat(), ["relay", "open", "0", "-", "2", "0", "0"], "{page}");
    assert_eq!(
        (&alerts[..3], &alerts[4..]),
        (&["alerts", "paused", "1"].map(str::to_owned)[..], &["0"; 5].map(str::to_owned)[..]),
        "{page}"
    );
    assert!(page.lines().any(|line| line.get(9..).is_some_and(|line| line.starts_with("watching "))), "{page}");
    assert!(row(&page, "messages")[1] == "1", "{page}");
    assert!(page.contains("paused by hand since ") && page.contains(" deferred bounced\n"), "{page}");
    assert_eq!(page.lines().count(), 24, "{page}");

    // Another size is seen at once, and nothing scrolls.
    terminal.tell(&["resize-window", "-x", "50", "-y", "12"]);
    terminal.wait_for(&["q: quit after the deliveries under way   ?: help"]);
    wait_until("the page fits", || {
        let page = terminal.page();
        page.starts_with("leafmail ") && page.lines().last().is_some_and(|line| line.starts_with("q: quit"))
    });
    terminal.tell(&["send-keys", "x"]);
    terminal.tell(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.tell(&["send-keys", "?"]);
    terminal.wait_for(&["What the columns mean", "younger than: each message counts once", "?: events"]);
    terminal.tell(&["send-keys", "?"]);
    terminal.wait_for(&["Last events", "?: help"]);
    terminal.tell(&["send-keys", "q"]);
    is_given_back(&site, &terminal);
    assert!(terminal.page().contains("stopped"), "{}", terminal.page());
    assert_eq!(site.shelf("queue").len(), 1);
}

#[test]
fn a_terminal_of_200_by_50_keeps_the_log_in_its_file_and_is_given_back_at_ctrl_c() {
    if !have("tmux") {
        return;
    }
    let smarthost = FakeSmarthost::start(Script::new().refuses("bob@example.com", "550 5.1.1 no \u{e9} here"));
    let site = busy_site(&smarthost);
    let terminal = Terminal::start(&site, (200, 50), &around(&site, "-l mail.log watch"));
    let page = terminal.wait_for(&[
        "status=bounced, to=<bob@example.com>, route=relay (550 5.1.1 no",
        "status=sent",
        "moving house",
        "1 message waits",
    ]);
    assert_eq!(page.lines().count(), 50, "{page}");
    let relay = row(&page, "relay ");
    // The refused one, and for the others: one message and the notification.
    assert_eq!(relay[6..], ["2", "0", "1"], "{page}");
    let styled = terminal.command(&["capture-pane", "-p", "-e"]).output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&styled).contains("\u{1b}[33m"), "what wants a look has a colour");
    terminal.tell(&["send-keys", "C-c"]);
    is_given_back(&site, &terminal);
    let log = fs::read_to_string(site.path("mail.log")).unwrap();
    assert!(log.contains("status=bounced") && log.contains("watching ") && log.contains("stopped"), "{log}");
    assert!(!log.contains('\u{1b}'));
}

#[test]
fn no_color_is_respected_and_a_signal_gives_the_terminal_back() {
    if !have("tmux") {
        return;
    }
    let smarthost = FakeSmarthost::start(Script::new());
    let site = busy_site(&smarthost);
    let script = around(&site, "watch").replace("trap", "export NO_COLOR=1; trap");
    let terminal = Terminal::start(&site, (80, 24), &script);
    terminal.wait_for(&["1 message waits, for ", "moving house"]);
    let styled = terminal.command(&["capture-pane", "-p", "-e"]).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&styled).contains("\u{1b}[33m"));
    let children = terminal.command(&["display-message", "-p", "#{pane_pid}"]).output().unwrap().stdout;
    let shell = String::from_utf8(children).unwrap().trim().to_owned();
    let child = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    assert!(Command::new("kill").args(["-TERM", child.trim()]).status().unwrap().success());
    is_given_back(&site, &terminal);
}

#[test]
fn plain_is_plain_and_a_dumb_terminal_gets_lines() {
    if !have("tmux") {
        return;
    }
    for (arguments, environment) in [("watch --plain", ""), ("watch", "TERM=dumb "), ("-v watch", "")] {
        let smarthost = FakeSmarthost::start(Script::new());
        let site = busy_site(&smarthost);
        let script = around(&site, arguments).replace("trap", &format!("export {environment}; trap"));
        let terminal = Terminal::start(&site, (200, 50), &script);
        let page = terminal.wait_for(&["watching ", "status=sent"]);
        assert!(!page.contains("Last events") && page.contains("the shell was here"), "{arguments}:\n{page}");
        terminal.tell(&["send-keys", "C-c"]);
        is_given_back(&site, &terminal);
    }
}

#[test]
fn without_a_terminal_there_are_lines_only() {
    let smarthost = FakeSmarthost::start(Script::new());
    let site = busy_site(&smarthost);
    let mut command = site.spoolrun();
    command.arg("watch").stdout(Stdio::piped()).env("TERM", "xterm");
    let mut watch = Running::start(command);
    watch.wait_for_log("status=sent");
    watch.terminate();
    assert!(watch.wait().success());
    watch.wait_for_log("stopped");
    let log = watch.log();
    assert!(!log.contains('\u{1b}') && log.contains("watching "), "{log}");
}

#[test]
fn a_flush_of_many_shows_how_far_it_is_on_a_terminal_only() {
    let smarthost = FakeSmarthost::start(Script::new());
    let site = busy_site(&smarthost);
    let many = ["bob@example.com"; 30];
    submit(&site, &many);
    let piped = site.run(&["flush", "--recipient", "@down.example"]);
    assert!(!String::from_utf8_lossy(&piped.stderr).contains(['[', '\r']), "few, and no terminal: {piped:?}");
    if !have("script") {
        return;
    }
    let (program, config, typescript) = (env!("CARGO_BIN_EXE_spoolrun"), site.config(), site.path("typescript"));
    let flush = |arguments: &str| {
        let command = format!("'{program}' --config '{}' {arguments}", config.display());
        let mut script = Command::new("script");
        let quiet = script.args(["-q", "-e", "-c", &command]).arg(&typescript).env("TERM", "xterm");
        let status = quiet.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
        fs::read_to_string(&typescript).unwrap()
    };
    let shown = flush("flush");
    assert!(shown.contains("[--------------------] 0/33, ") && shown.contains("paused: alerts"), "{shown}");
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let sum = "32 sent, 0 deferred, 0 kept as a route failed, 0 notices written, 1 left in the queue 1 message waits";
    assert!(words.contains(sum), "{shown}");
    assert!(shown.contains("1 message waits for route alerts, which was paused by hand on "), "{shown}");
    assert!(!shown.contains("status=sent"), "the log gives way");
    submit(&site, &many);
    let piped = site.run(&["flush"]);
    let piped = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert!(piped.contains("status=sent") && !piped.contains(['\r', '\u{1b}']), "{piped}");
    submit(&site, &many);
    let wordy = flush("-v flush");
    assert!(wordy.contains("status=sent") && !wordy.contains("/31, "), "who wants the log gets it: {wordy}");
}
