//! A simulated client: sends letters over one connection, believes nothing but the replies, and may hang up at any moment.

use crate::seeded::Chance;

/// What the client does next with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Hello,
    /// MAIL, RCPT and DATA were sent together; replies are counted.
    Envelope,
    /// The message was sent.
    Message,
    Reset,
    Farewell,
}

/// A letter to be sent, by its number at the judge.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    pub(crate) letter: usize,
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) octets: Vec<u8>,
    pub(crate) way: Way,
}

/// How a letter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Data,
    /// BDAT, in two chunks.
    Chunks,
    /// DATA, but the client leaves in the middle.
    HalfData,
    /// BDAT, but the client thinks better of it after the first chunk.
    HalfChunks,
}

/// What the client has learnt or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The end of the letter's data is on its way.
    Sent(usize),
    /// The letter was acknowledged.
    Acknowledged(usize),
}

#[derive(Debug)]
pub(crate) struct Client {
    /// The next one last.
    errands: Vec<Errand>,
    /// The letter that was begun last.
    letter: Option<usize>,
    stage: Stage,
    /// Octets that were not sent yet.
    outgoing: Vec<u8>,
    heard: Vec<u8>,
    /// Codes of the replies to the present group.
    codes: Vec<u16>,
    expected: usize,
    /// Where in `outgoing` the letter's data end.
    data_end: Option<usize>,
    pub(crate) gone: bool,
}

impl Client {
    pub(crate) fn new(mut errands: Vec<Errand>) -> Self {
        errands.reverse();
        Self {
            errands,
            letter: None,
            stage: Stage::Greeting,
            outgoing: Vec::new(),
            heard: Vec::new(),
            codes: Vec::new(),
            expected: 1,
            data_end: None,
            gone: false,
        }
    }

    /// The letter on which the client is.
    pub(crate) fn letter(&self) -> Option<usize> {
        self.letter
    }

    /// The next octets, cut anywhere; none when the client waits in vain or has left.
    pub(crate) fn octets(&mut self, chance: &mut Chance) -> (Vec<u8>, Option<News>) {
        if self.outgoing.is_empty() {
            self.gone = true;
            return (Vec::new(), None);
        }
        let count = if chance.one_in(4) { chance.between(1, self.outgoing.len()) } else { self.outgoing.len() };
        let rest = self.outgoing.split_off(count);
        let octets = std::mem::replace(&mut self.outgoing, rest);
        let news = match self.data_end.map(|end| end.checked_sub(count)) {
            None => None,
            Some(left @ Some(1..)) => {
                self.data_end = left;
                None
            }
            Some(_) => {
                self.data_end = None;
                self.letter.map(News::Sent)
            }
        };
        (octets, news)
    }

    /// The server said something.
    pub(crate) fn hear(&mut self, octets: &[u8]) -> Option<News> {
        self.heard.extend_from_slice(octets);
        let mut news = None;
        while let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.heard.drain(..end + 2).collect();
            if line.get(3) == Some(&b' ') {
                self.codes.push(String::from_utf8_lossy(&line[..3]).parse().unwrap_or(0));
            }
        }
        if self.codes.len() >= self.expected {
            news = self.go_on();
        }
        news
    }

    fn go_on(&mut self) -> Option<News> {
        let codes = std::mem::take(&mut self.codes);
        let (last, all) = (codes.last().copied().unwrap_or(0), codes.iter().all(|code| *code < 400));
        match self.stage {
            Stage::Greeting => self.say(Stage::Hello, b"EHLO client.lan\r\n".to_vec(), 1),
            Stage::Hello | Stage::Reset => self.begin(),
            Stage::Envelope if last == 354 && all => self.send_data(),
            Stage::Envelope if last == 354 => self.say(Stage::Message, b".\r\n".to_vec(), 1),
            Stage::Envelope => self.give_up(),
            Stage::Message => {
                let errand = self.errands.pop();
                self.begin();
                return errand.filter(|_| all && last == 250).map(|errand| News::Acknowledged(errand.letter));
            }
            Stage::Farewell => self.gone = true,
        }
        None
    }

    fn say(&mut self, stage: Stage, octets: Vec<u8>, expected: usize) {
        (self.stage, self.expected) = (stage, expected);
        self.outgoing.extend(octets);
    }

    fn give_up(&mut self) {
        self.errands.pop();
        self.say(Stage::Reset, b"RSET\r\n".to_vec(), 1);
    }

    fn begin(&mut self) {
        let Some(errand) = self.errands.last().cloned() else {
            return self.say(Stage::Farewell, b"QUIT\r\n".to_vec(), 1);
        };
        self.letter = Some(errand.letter);
        let mut group = format!("MAIL FROM:<{}> SIZE={}\r\n", errand.sender, errand.octets.len());
        for recipient in &errand.recipients {
            group += &format!("RCPT TO:<{recipient}>\r\n");
        }
        let commands = 1 + errand.recipients.len();
        let chunk =
            |octets: &[u8], last: &str| [format!("BDAT {}{last}\r\n", octets.len()).as_bytes(), octets].concat();
        let (first, second) = errand.octets.split_at(errand.octets.len() / 2);
        match errand.way {
            Way::Data | Way::HalfData => self.say(Stage::Envelope, (group + "DATA\r\n").into_bytes(), commands + 1),
            Way::Chunks => {
                let all = [group.as_bytes(), &chunk(first, ""), &chunk(second, " LAST")].concat();
                self.data_end = Some(self.outgoing.len() + all.len());
                self.say(Stage::Message, all, commands + 2);
            }
            Way::HalfChunks => {
                self.errands.pop();
                let all = [group.as_bytes(), &chunk(first, ""), b"RSET\r\n"].concat();
                self.say(Stage::Reset, all, commands + 2);
            }
        }
    }

    fn send_data(&mut self) {
        let Some(errand) = self.errands.last().cloned() else { return };
        let mut stuffed = Vec::new();
        for line in errand.octets.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                stuffed.push(b'.');
            }
            stuffed.extend_from_slice(line);
        }
        if errand.way == Way::HalfData {
            // Nothing follows: the client is gone in the middle.
            stuffed.truncate(stuffed.len() / 2);
        } else {
            stuffed.extend_from_slice(b".\r\n");
            self.data_end = Some(self.outgoing.len() + stuffed.len());
        }
        self.say(Stage::Message, stuffed, 1);
    }
}
