//! One host of the provider: it takes ten recipients in a transaction, two messages over a connection, thirty a minute, and of
//! nobody whom it has not seen five minutes before. It wants a login, and its time is the calendar's.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::engine::{Engine, general_purpose::STANDARD};

use super::Knows;
use super::calendar::{Calendar, MINUTE, Timetable};
use super::copies::Judge;
use super::relay::USER;

const MOST_RECIPIENTS: usize = 10;
const MOST_MESSAGES: usize = 2;
const MESSAGES_A_MINUTE: usize = 30;
const GREYLISTED: u64 = 5 * MINUTE;
/// What a message takes.
const TRANSACTION: u64 = 200;

/// What a host says, and what it offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    offers: &'static [&'static str],
    too_many_recipients: &'static str,
    too_many_messages: &'static str,
    too_fast: &'static str,
    greylisted: &'static str,
    unknown: &'static str,
    /// Whether it is out of order by the timetable.
    fails: bool,
}

impl Dialect {
    /// As Postfix says it, or Exim.
    pub(super) const FIRST: Self = Self {
        offers: &["PIPELINING", "SIZE 10240000", "AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES", "8BITMIME"],
        too_many_recipients: "452 4.5.3 Error: too many recipients",
        too_many_messages: "421 too many messages in this connection",
        too_fast: "450 4.7.1 Error: too much mail from 192.0.2.7",
        greylisted: "450 4.2.0 Recipient address rejected: Greylisted, please try again later",
        unknown: "550 5.1.1 Recipient address rejected: User unknown in virtual mailbox table",
        fails: true,
    };
    /// As large providers say it.
    pub(super) const SECOND: Self = Self {
        offers: &["AUTH LOGIN"],
        too_many_recipients: "552 too many recipients",
        too_many_messages: "452 4.4.5 Too many messages",
        too_fast: "421 4.7.28 Our system has detected an unusual rate of mail originating from your address",
        greylisted: "451 4.7.1 Greylisting in action, please come back later",
        unknown: "550 No such user here",
        fails: false,
    };
}

/// What it did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    connections: usize,
    messages: usize,
    logins_refused: usize,
    recipients_beyond: usize,
    messages_beyond: usize,
    too_fast: usize,
    greylisted: usize,
}

impl Figures {
    /// A limit that nobody met proves nothing, and one that is configured is kept.
    pub(super) fn assert_met(&self, knows: Knows) {
        let learned = [self.recipients_beyond, self.messages_beyond];
        let met = [self.messages, self.too_fast, self.greylisted, self.logins_refused];
        match knows {
            Knows::Nothing => assert!(met.iter().chain(&learned).all(|count| *count > 0), "not all was met: {self:?}"),
            Knows::Everything => assert_eq!(learned, [0, 0], "{self:?}"),
        }
    }
}

pub(super) struct Provider {
    pub(super) address: SocketAddr,
    host: Arc<Host>,
}

struct Host {
    calendar: Arc<Calendar>,
    timetable: Timetable,
    judge: Arc<Judge>,
    dialect: Dialect,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    figures: Figures,
    /// The messages of the last minute.
    departures: VecDeque<u64>,
    /// Since when a recipient is known.
    seen: HashMap<String, u64>,
}

impl Provider {
    pub(super) fn start(calendar: Arc<Calendar>, timetable: Timetable, judge: Arc<Judge>, dialect: Dialect) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let host = Arc::new(Host { calendar, timetable, judge, dialect, state: Mutex::default() });
        let serving = Arc::clone(&host);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let host = Arc::clone(&serving);
                // A client that goes away ends its session with an error.
                thread::spawn(move || host.converse(stream));
            }
        });
        Self { address, host }
    }

    pub(super) fn figures(&self) -> Figures {
        self.host.state.lock().unwrap().figures
    }
}

/// One connection.
struct Session {
    reader: BufReader<TcpStream>,
    replies: String,
    logged_in: bool,
    messages: usize,
    sender: Option<String>,
    recipients: Vec<String>,
}

impl Session {
    fn say(&mut self, reply: &str) {
        self.replies += reply;
        self.replies += "\r\n";
    }

    /// The next line; the replies go out before a wait for it.
    fn line(&mut self) -> io::Result<String> {
        if self.reader.buffer().is_empty() {
            self.flush()?;
        }
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.reader.get_mut().write_all(self.replies.as_bytes())?;
        self.replies.clear();
        Ok(())
    }
}

impl Host {
    fn count(&self, count: impl FnOnce(&mut Figures)) {
        count(&mut self.state.lock().unwrap().figures);
    }

    fn converse(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        self.count(|figures| figures.connections += 1);
        let now = self.calendar.millis();
        if self.dialect.fails && self.timetable.broken.contains(&now) {
            return Ok(());
        }
        let mut session = Session {
            reader: BufReader::new(stream),
            replies: String::new(),
            logged_in: false,
            messages: 0,
            sender: None,
            recipients: Vec::new(),
        };
        if self.dialect.fails && self.timetable.closing.contains(&now) {
            session.say("421 4.3.2 Service not available, closing transmission channel");
            return session.flush();
        }
        session.say("220 smtp.provider.example ESMTP");
        while self.command(&mut session)? {}
        session.flush()
    }

    /// Whether the session goes on.
    fn command(&self, session: &mut Session) -> io::Result<bool> {
        let line = session.line()?;
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => {
                for keyword in ["smtp.provider.example"].iter().chain(self.dialect.offers) {
                    session.say(&format!("250-{keyword}"));
                }
                session.say("250 HELP");
            }
            "AUTH" => self.auth(session, &line)?,
            "MAIL" => return Ok(self.mail(session, address)),
            "RCPT" => self.rcpt(session, address),
            "DATA" => self.data(session)?,
            "RSET" => {
                session.sender = None;
                session.say("250 ok");
            }
            "QUIT" => {
                session.say("221 bye");
                return Ok(false);
            }
            _ => session.say("500 5.5.1 what?"),
        }
        Ok(true)
    }

    fn auth(&self, session: &mut Session, line: &str) -> io::Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let said = match words[1..] {
            ["PLAIN", response] => response.to_owned(),
            _ => {
                session.say("334 VXNlcm5hbWU6");
                let user = session.line()?;
                session.say("334 UGFzc3dvcmQ6");
                format!("{user} {}", session.line()?)
            }
        };
        let password = self.timetable.password(self.calendar.millis());
        let plain = STANDARD.encode(format!("\0{USER}\0{password}"));
        let login = format!("{} {}", STANDARD.encode(USER), STANDARD.encode(password));
        session.logged_in = said == plain || said == login;
        if session.logged_in {
            session.say("235 2.7.0 welcome");
        } else {
            self.count(|figures| figures.logins_refused += 1);
            session.say("535 5.7.8 Error: authentication failed");
        }
        Ok(())
    }

    /// Whether the session goes on.
    fn mail(&self, session: &mut Session, sender: String) -> bool {
        let goes_on = |session: &mut Session, reply: &str| {
            session.say(reply);
            !reply.starts_with("421")
        };
        if !session.logged_in {
            return goes_on(session, "530 5.7.0 Authentication required");
        }
        if session.messages >= MOST_MESSAGES {
            self.count(|figures| figures.messages_beyond += 1);
            return goes_on(session, self.dialect.too_many_messages);
        }
        let now = self.calendar.millis();
        let mut state = self.state.lock().unwrap();
        while state.departures.front().is_some_and(|departed| departed + MINUTE <= now) {
            state.departures.pop_front();
        }
        if state.departures.len() >= MESSAGES_A_MINUTE {
            state.figures.too_fast += 1;
            return goes_on(session, self.dialect.too_fast);
        }
        state.departures.push_back(now);
        session.messages += 1;
        (session.sender, session.recipients) = (Some(sender), Vec::new());
        goes_on(session, "250 2.1.0 ok")
    }

    fn rcpt(&self, session: &mut Session, address: String) {
        let Some(sender) = &session.sender else { return session.say("503 5.5.1 MAIL first") };
        let mut state = self.state.lock().unwrap();
        if session.recipients.len() >= MOST_RECIPIENTS {
            state.figures.recipients_beyond += 1;
            return session.say(self.dialect.too_many_recipients);
        }
        if address.starts_with('x') {
            return session.say(self.dialect.unknown);
        }
        let now = self.calendar.millis();
        let since = *state.seen.entry(format!("{sender} {address}")).or_insert(now);
        if now < since + GREYLISTED {
            state.figures.greylisted += 1;
            return session.say(self.dialect.greylisted);
        }
        session.recipients.push(address);
        session.say("250 2.1.5 ok");
    }

    fn data(&self, session: &mut Session) -> io::Result<()> {
        if session.sender.is_none() || session.recipients.is_empty() {
            session.say("554 5.5.1 Error: no valid recipients");
            return Ok(());
        }
        session.say("354 go on");
        let mut text = String::new();
        loop {
            let line = session.line()?;
            if line == "." {
                break;
            }
            text += line.strip_prefix('.').unwrap_or(&line);
            text += "\r\n";
        }
        session.sender = None;
        self.judge.delivered(&text, &std::mem::take(&mut session.recipients));
        self.count(|figures| figures.messages += 1);
        self.calendar.advance(TRANSACTION);
        session.say("250 2.0.0 queued");
        Ok(())
    }
}
