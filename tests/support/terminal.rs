//! A pseudo-terminal in which a program runs, and what a person sees there: the octets go through a terminal emulator, so that
//! wrapping, colours and overwriting are judged by their effect.
//!
//! ```ignore
//! let mut shown = Terminal::open(80, 24).run(command);   // any `std::process::Command`; also `.env("NO_COLOR", "1")` before
//! shown.wait_for("taking mail");                         // words on the screen, or above it; how they wrap does not matter
//! shown.type_line("secret");                             // keys, and Enter; `press("q")` for keys alone
//! shown.ctrl_c();
//! assert_eq!(shown.wait(), 0, "{}", shown.page());       // the exit code, once all that was written is on the screen
//! assert!(shown.rows().iter().all(|row| row.len() < 80));
//! ```
//!
//! The program is the leader of a session, and the terminal is its controlling one. It is ended when the value is dropped.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs::File, num::NonZeroU16};

use pty_process::Size;
use pty_process::blocking::{Command as PtyCommand, Pty, open};
use vt100::{Color, Parser, Screen};

use super::site::{PATIENCE, wait_until};

/// Rows above the screen that are kept.
const ABOVE: usize = 10_000;
/// What changes how programs write to a terminal; the tests set what they want of it.
const OF_TERMINALS: [&str; 9] =
    ["NO_COLOR", "COLORTERM", "CLICOLOR", "CLICOLOR_FORCE", "CI", "COLUMNS", "LINES", "TERM", "LEAFMAIL_CONFIG"];

/// A terminal of a given size, before a program runs in it.
pub(crate) struct Terminal {
    columns: u16,
    rows: u16,
    environment: Vec<(&'static str, &'static str)>,
}

impl Terminal {
    /// A terminal with colours, in UTF-8.
    pub(crate) fn open(columns: u16, rows: u16) -> Self {
        Self { columns, rows, environment: vec![("TERM", "xterm-256color"), ("LC_ALL", "C.UTF-8")] }
    }

    /// Sets a variable in the environment of the program.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Runs a program in it; its standard streams are the terminal, but for those that the command leads elsewhere by
    /// the arguments of a shell.
    pub(crate) fn run(self, mut command: Command) -> Shown {
        OF_TERMINALS.iter().for_each(|name| _ = command.env_remove(name));
        command.envs(self.environment);
        let (keys, inside) = open().unwrap();
        keys.resize(Size::new(self.rows, self.columns)).unwrap();
        let child = PtyCommand::from(command).spawn(inside).unwrap();
        let mut octets = File::from(keys.as_fd().try_clone_to_owned().unwrap());
        let parser = Parser::new(non_zero(self.rows), non_zero(self.columns), ABOVE);
        let seen = Arc::new(Seen { parser: Mutex::new(parser), raw: Mutex::default(), over: AtomicBool::new(false) });
        let looking = Arc::clone(&seen);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // Once nobody has the other side open, reading is an error.
            while let Ok(length @ 1..) = octets.read(&mut piece) {
                looking.raw.lock().unwrap().extend_from_slice(&piece[..length]);
                looking.parser.lock().unwrap().process(&piece[..length]);
            }
            looking.over.store(true, Ordering::SeqCst);
        });
        Shown { keys, child, seen }
    }

    /// The same for a shell's script, which sees the arguments as `$1` and so on.
    pub(crate) fn run_script(self, script: &str, arguments: &[&str]) -> Shown {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args(arguments);
        self.run(command)
    }
}

fn non_zero(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

struct Seen {
    parser: Mutex<Parser>,
    raw: Mutex<Vec<u8>>,
    over: AtomicBool,
}

/// A terminal in which a program runs, or has run.
pub(crate) struct Shown {
    keys: Pty,
    child: Child,
    seen: Arc<Seen>,
}

impl Shown {
    /// The rows of the screen as they are now, without blanks at their ends, and without empty rows at the end.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.on_screen(rows_of)
    }

    /// All rows, with those that scrolled away above.
    pub(crate) fn all_rows(&self) -> Vec<String> {
        let mut parser = self.seen.parser.lock().unwrap();
        let mut rows = Vec::new();
        for above in (1..=parser.screen().scrollback_len()).rev() {
            parser.screen_mut().set_scrollback(above);
            let columns = parser.screen().size().1.get();
            rows.extend(parser.screen().rows(0, columns).next().map(|row| row.trim_end().to_owned()));
        }
        parser.screen_mut().set_scrollback(0);
        rows.extend(rows_of(parser.screen()));
        rows
    }

    /// All rows as one text, for a person who reads why a test failed.
    pub(crate) fn page(&self) -> String {
        self.all_rows().join("\n")
    }

    /// All words: what wraps at the edge of the terminal, or was broken into lines before, reads on.
    pub(crate) fn words(&self) -> String {
        let full = usize::from(self.on_screen(|screen| screen.size().1.get()));
        let mut text = String::new();
        for row in self.all_rows() {
            text.push_str(&row);
            // A row that is full may go on in the midst of a word.
            if row.chars().count() < full {
                text.push(' ');
            }
        }
        words(&text)
    }

    /// Waits until these words are seen; answers the page.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let wanted = words(text);
        let start = Instant::now();
        while !self.words().contains(&wanted) {
            let is_over = self.seen.over.load(Ordering::SeqCst);
            assert!(
                !is_over && start.elapsed() < PATIENCE || self.words().contains(&wanted),
                "{text:?} is not on the screen:\n{}",
                self.page()
            );
            thread::sleep(Duration::from_millis(5));
        }
        self.page()
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line, and Enter.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.press(&format!("{line}\r"));
    }

    pub(crate) fn ctrl_c(&mut self) {
        self.press("\u{3}");
    }

    /// Another size; the kernel reports it to the program.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.seen.parser.lock().unwrap().screen_mut().set_size(non_zero(rows), non_zero(columns));
        self.keys.resize(Size::new(rows, columns)).unwrap();
    }

    /// Waits for the end of the program, and until all that it wrote is on the screen; answers its exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end; the screen:\n{}", self.page());
            thread::sleep(Duration::from_millis(5));
        };
        wait_until("all that was written is read", || self.seen.over.load(Ordering::SeqCst));
        status.code().unwrap_or(-1)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The colour in which these words are written, all in one row; `None` for the terminal's own.
    pub(crate) fn colour_of(&self, text: &str) -> Option<Color> {
        self.on_screen(|screen| {
            let (row, column) =
                place(screen, text).unwrap_or_else(|| panic!("{text:?} is not in a row:\n{}", self.page_of(screen)));
            Some(screen.cell(row, column).unwrap().fgcolor()).filter(|colour| *colour != Color::Default)
        })
    }

    /// Whether anything on the screen has a colour, or is bold, dim, underlined or reversed.
    pub(crate) fn is_styled(&self) -> bool {
        self.on_screen(|screen| {
            let (rows, columns) = screen.size();
            let mut cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
            cells.any(|(row, column)| {
                screen.cell(row, column).is_some_and(|cell| {
                    let coloured = cell.fgcolor() != Color::Default || cell.bgcolor() != Color::Default;
                    coloured || cell.bold() || cell.dim() || cell.underline() || cell.inverse()
                })
            })
        })
    }

    /// What the program wrote, octet by octet.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.seen.raw.lock().unwrap().clone()
    }

    fn on_screen<T>(&self, look: impl FnOnce(&Screen) -> T) -> T {
        look(self.seen.parser.lock().unwrap().screen())
    }

    fn page_of(&self, screen: &Screen) -> String {
        rows_of(screen).join("\n")
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rows_of(screen: &Screen) -> Vec<String> {
    let mut rows: Vec<String> = screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned()).collect();
    rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
    rows
}

/// Where in a row this text begins.
fn place(screen: &Screen, text: &str) -> Option<(u16, u16)> {
    (0u16..).zip(screen.rows(0, screen.size().1.get())).find_map(|(row, line)| {
        let at = line.find(text)?;
        Some((row, u16::try_from(line[..at].chars().count()).unwrap()))
    })
}

/// With one blank between words.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
