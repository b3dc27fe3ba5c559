//! What only `smtpd` says on the screen: the block at the start, notes between messages, and the lines at the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leafmail::clock::Clock;
use leafmail::sys::SystemClock;
use log::Level;

use crate::cli::screen::paper::{Paper, one_line};
use crate::cli::screen::{Saying, Screen, ScreenJob, paper, record};

impl Screen {
    /// The block at the start, as it is composed for the paper.
    pub(crate) fn begin_with(&self, compose: impl FnOnce(Paper) -> String) {
        self.say(Saying { text: compose(paper()), ..Saying::default() });
    }

    /// A line between those of messages.
    pub(crate) fn note(&self, text: &str) {
        self.say(Saying { text: record(Level::Info, text, SystemClock.now()), ..Saying::default() });
    }

    /// What is expected of a person who types the client's part.
    pub(crate) fn invite(&self) {
        let text = "You are the client. Type SMTP commands, such as EHLO me; QUIT or Ctrl-D ends.\n";
        self.say(Saying { text: text.to_owned(), ..Saying::default() });
    }

    /// What is said at Ctrl-C, where clients are still served; it covers what the terminal showed of the key.
    pub(crate) fn stopping(&self) -> impl Fn() + Send + use<> {
        let (way, sessions) = (self.way.clone(), Arc::clone(&self.sessions));
        move || {
            let sessions = sessions.load(Ordering::Relaxed);
            if sessions > 0 {
                let clients = if sessions == 1 { "1 client" } else { &format!("{sessions} clients") };
                let text = format!("\rstopping: {clients} may finish a message that is being sent\n");
                let _ = way.try_send(ScreenJob::Say(Saying { text, ..Saying::default() }));
            }
        }
    }

    /// The last line: how many messages remain.
    pub(crate) fn remaining(&self, remaining: usize, place: &str) {
        let what = match remaining {
            0 => "the queue is empty".to_owned(),
            1 => format!("1 message remains in {place}"),
            count => format!("{count} messages remain in {place}"),
        };
        let text = format!("\rstopped; {}\n", one_line(&what));
        self.say(Saying { text, gathered_first: true, ..Saying::default() });
    }

    fn say(&self, saying: Saying) {
        let _ = self.way.try_send(ScreenJob::Say(saying));
    }
}
