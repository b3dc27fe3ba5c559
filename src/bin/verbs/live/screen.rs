//! The terminal of the live view: taken over whole, and given back as it was.
//!
//! Plain sequences of ECMA-48 that every terminal of today knows; what they show comes from the library, without control
//! characters. Nothing is written to a terminal that takes nothing, so that it holds nobody up.

use std::io::{self, IsTerminal, Write};

use leafmail::admin::live::{FrameLine, FrameTone};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use crate::cli::screen::terminal::{columns, is_smart, wants_colour};

/// The alternate screen, without a cursor, and lines that are cut at the edge instead of wrapped.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &[u8] = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A special character that nothing stands for (`_POSIX_VDISABLE` of Linux).
const NONE: u8 = 0;

/// A terminal in the hands of the view, until it is dropped.
pub(crate) struct LiveScreen {
    /// How the keyboard was set; `None` where there is none.
    before: Option<Termios>,
    colour: bool,
}

/// What somebody did.
pub(crate) enum Key {
    /// Nothing within the time.
    None,
    /// They want to leave.
    Quit,
    /// They want to know what they see, or have seen it.
    Help,
    /// There is no keyboard any more.
    Gone,
}

impl LiveScreen {
    /// Takes over the terminal; `None` where output or errors go elsewhere, or where this program runs in the background.
    pub(crate) fn take() -> Option<Self> {
        let ours = |group: rustix::process::Pid| group == getpgrp();
        let fit = io::stdout().is_terminal() && io::stderr().is_terminal() && is_smart();
        if !fit || !tcgetpgrp(stdout()).is_ok_and(ours) {
            return None;
        }
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            // Signals stay: Ctrl-C asks to leave as ever. What would stop output, or stop or dump the program in the middle
            // of a page, does not.
            raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            raw.input_modes.remove(InputModes::IXON);
            raw.special_codes[SpecialCodeIndex::VSUSP] = NONE;
            raw.special_codes[SpecialCodeIndex::VQUIT] = NONE;
            raw.special_codes[SpecialCodeIndex::VMIN] = 1;
            raw.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        }
        let colour = wants_colour();
        let screen = Self { before, colour };
        screen.write(ENTER);
        Some(screen)
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        // A terminal that does not know its size says 0.
        let size = tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }

    /// Shows a page in place of the one before; it has a line for each row.
    pub(crate) fn show(&self, page: &[FrameLine]) {
        let mut octets = b"\x1b[H".to_vec();
        for (number, line) in page.iter().enumerate() {
            if number > 0 {
                octets.extend_from_slice(b"\r\n");
            }
            let style = match (line.tone, self.colour) {
                (FrameTone::Plain, _) => "",
                (FrameTone::Heading, _) => "\x1b[1m",
                (FrameTone::Warning, true) => "\x1b[33m",
                (FrameTone::Warning, false) => "\x1b[1m",
            };
            // Before the text: after a line as wide as the page, the cursor is on its last column.
            octets.extend_from_slice(b"\x1b[K");
            octets.extend_from_slice(style.as_bytes());
            octets.extend_from_slice(line.text.as_bytes());
            octets.extend_from_slice(b"\x1b[0m");
        }
        self.write(&octets);
    }

    /// Waits so long for somebody to press a key.
    pub(crate) fn key(&self, wait: Timespec) -> Key {
        if self.before.is_none() {
            // Without a keyboard it is only a pause.
            let _ = poll(&mut [], Some(&wait));
            return Key::None;
        }
        let keyboard = stdin();
        let mut ready = [PollFd::new(&keyboard, PollFlags::IN)];
        if !matches!(poll(&mut ready, Some(&wait)), Ok(1..)) {
            return Key::None;
        }
        let mut typed = [0; 64];
        match rustix::io::read(stdin(), &mut typed) {
            Ok(0) | Err(rustix::io::Errno::IO) => Key::Gone,
            Ok(count) if typed[..count].iter().any(|key| matches!(key, b'q' | b'Q')) => Key::Quit,
            Ok(count) if typed[..count].iter().any(|key| matches!(key, b'?' | b'h')) => Key::Help,
            _ => Key::None,
        }
    }

    fn write(&self, octets: &[u8]) {
        let out = stdout();
        let mut ready = [PollFd::new(&out, PollFlags::OUT)];
        if matches!(poll(&mut ready, Some(&Timespec::default())), Ok(1..)) {
            // A terminal that went away shows nothing; the log and the mail go on.
            let _ = io::stdout().lock().write_all(octets).and_then(|()| io::stdout().flush());
        }
    }

    /// How the keyboard is to be set when the view is over.
    pub(crate) fn before(&self) -> Option<Termios> {
        self.before.clone()
    }
}

impl Drop for LiveScreen {
    fn drop(&mut self) {
        self.write(LEAVE);
        if let Some(before) = &self.before {
            restore(before);
        }
    }
}

/// Sets the keyboard as it was, whatever became of the screen.
pub(crate) fn restore(before: &Termios) {
    let _ = tcsetattr(stdin(), OptionalActions::Now, before);
}

/// The columns of the terminal that errors are written to; `None` where that is none.
pub(crate) fn error_columns() -> Option<usize> {
    if !io::stderr().is_terminal() || !is_smart() {
        return None;
    }
    Some(columns())
}
