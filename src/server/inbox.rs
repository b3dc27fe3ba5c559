//! A handler that keeps all mail in memory: a test double for programs that send mail.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::handler::{Accepted, Handler};
use super::mail::Mail;
use super::structured::StructuredMail;
use crate::smtp::{Reply, catalogue};

/// Takes all mail and keeps it in memory. Clones share it.
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use std::time::Duration;
///
/// use leafmail::server::{Inbox, Server};
///
/// let inbox = Inbox::default();
/// let server = Server::builder("test.example").listen("127.0.0.1:0").start(inbox.clone()).unwrap();
/// # let mut client = BufReader::new(std::net::TcpStream::connect(server.addresses()[0]).unwrap());
/// # for line in ["", "HELO me\r\n", "MAIL FROM:<a@example.com>\r\n", "RCPT TO:<b@example.com>\r\n", "DATA\r\n", "Subject: hello\r\n\r\nhi\r\n.\r\n"] {
/// #     client.get_mut().write_all(line.as_bytes()).unwrap();
/// #     client.read_line(&mut String::new()).unwrap();
/// # }
/// // The program under test sends to server.addresses()[0]; then:
/// let mail = inbox.wait_for(1, Duration::from_secs(10));
/// assert_eq!(mail[0].rcptto[0].url, "b@example.com");
/// assert_eq!(mail[0].data.headers["subject"], "Subject: hello");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Inbox(Arc<(Mutex<Vec<StructuredMail>>, Condvar)>);

impl Inbox {
    /// The mail so far.
    pub fn mail(&self) -> Vec<StructuredMail> {
        self.lock().clone()
    }

    /// The mail, once there are this number of messages, or the time is over.
    pub fn wait_for(&self, messages: usize, longest: Duration) -> Vec<StructuredMail> {
        let waits = |mail: &mut Vec<StructuredMail>| mail.len() < messages;
        let waited = self.0.1.wait_timeout_while(self.lock(), longest, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Takes the mail out.
    pub fn take(&self) -> Vec<StructuredMail> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<StructuredMail>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Handler for Inbox {
    type Visit = ();

    async fn received(&self, _: &mut (), mail: &Mail) -> Result<Accepted, Reply> {
        let structured = mail.structured().map_err(|_: io::Error| catalogue::local_error())?;
        self.lock().push(structured);
        self.0.1.notify_all();
        Ok(Accepted::Taken)
    }
}
