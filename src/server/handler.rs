//! The trait by which an application decides about mail: one method for each verb, and one for the whole message.
//!
//! Every method has a default that accepts, so an application has only those that it needs.

use std::sync::Arc;

use async_trait::async_trait;

use super::mail::Mail;
use crate::address::{Mailbox, ReversePath};
use crate::auth::Verifier;
use crate::policy::ClientInfo;
use crate::session::{HeaderBlock, Verdict};
use crate::smtp::Reply;

/// Who is responsible for a message from now on.
///
/// ```
/// use leafmail::server::Accepted;
///
/// assert_eq!(Accepted::default(), Accepted::Spool);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Accepted {
    /// The server: it stores the message in its spool, and only then answers 250.
    #[default]
    Spool,
    /// The handler: it has stored the message, or does not want it kept. The server answers 250 and forgets it.
    Taken,
}

/// An application that receives mail.
///
/// The methods of one connection are called one after the other, each with the value of that connection. They run on
/// threads that serve other connections too: what blocks belongs into `tokio::task::spawn_blocking`. A method that takes longer than
/// the time limit of the server, and one that panics, accepts nothing.
///
/// Trouble of your own is [`Verdict::Defer`] with a 4xx reply: the client tries again. After [`Verdict::Refuse`] it gives up.
///
/// ```
/// use async_trait::async_trait;
/// use leafmail::address::Mailbox;
/// use leafmail::policy::ClientInfo;
/// use leafmail::server::{Accepted, Handler, Mail};
/// use leafmail::session::Verdict;
/// use leafmail::smtp::{EnhancedCode, Reply};
///
/// struct Shop;
///
/// #[async_trait]
/// impl Handler for Shop {
///     type Visit = u32; // the messages of this connection
///
///     async fn rcpt_to(&self, _: &mut u32, _: &ClientInfo<'_>, recipient: &Mailbox) -> Verdict {
///         if recipient.local() == "orders" {
///             return Verdict::Accept;
///         }
///         Verdict::Refuse(Reply::new(550, EnhancedCode(5, 1, 1), "write to orders"))
///     }
///
///     async fn received(&self, messages: &mut u32, mail: &Mail) -> Result<Accepted, Reply> {
///         *messages += 1;
///         println!("message {messages} has {} octets", mail.size());
///         Ok(Accepted::Taken)
///     }
/// }
/// ```
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// What is kept of one connection, from its beginning to its end; `()` for nothing.
    type Visit: Default + Send + 'static;

    /// May this client speak at all? Asked before the greeting.
    async fn connect(&self, _visit: &mut Self::Visit, _client: &ClientInfo<'_>) -> Verdict {
        Verdict::Accept
    }

    /// May it call itself `name`? Of HELO or EHLO: hostile text without control octets.
    async fn ehlo(&self, _visit: &mut Self::Visit, _client: &ClientInfo<'_>, _name: &str) -> Verdict {
        Verdict::Accept
    }

    /// The stored password of a user, if there is such a user; asked where the server [takes logins](super::ServerBuilder::logins).
    ///
    /// # Errors
    /// In words for the log, where it cannot be found out: the client may try again.
    async fn password(&self, _user: &str) -> Result<Option<Verifier>, String> {
        Ok(None)
    }

    /// May it send from `sender`, and so much? SIZE= is in octets.
    async fn mail_from(
        &self,
        _visit: &mut Self::Visit,
        _client: &ClientInfo<'_>,
        _sender: &ReversePath,
        _size: Option<u64>,
    ) -> Verdict {
        Verdict::Accept
    }

    /// May it send to `recipient`? The sender and the recipients so far are in `client.transaction`.
    async fn rcpt_to(&self, _visit: &mut Self::Visit, _client: &ClientInfo<'_>, _recipient: &Mailbox) -> Verdict {
        Verdict::Accept
    }

    /// Is the header of the message as it should be? Asked before the rest of the message is read.
    async fn data(&self, _visit: &mut Self::Visit, _client: &ClientInfo<'_>, _header: &HeaderBlock) -> Verdict {
        Verdict::Accept
    }

    /// The whole message is there, and nothing is answered yet. By default the server stores it in its spool.
    ///
    /// After [`Accepted::Taken`] the client learns that the message is safe. A client that does not get the answer sends the
    /// message again, so it may come twice.
    ///
    /// # Errors
    /// With the reply to the client, 4xx or 5xx.
    async fn received(&self, _visit: &mut Self::Visit, _mail: &Mail) -> Result<Accepted, Reply> {
        Ok(Accepted::Spool)
    }

    /// The connection is over, whatever ended it.
    fn closed(&self, _visit: Self::Visit) {}
}

/// A handler that others have a share in, such as a test that looks at what came.
#[async_trait]
impl<H: Handler> Handler for Arc<H> {
    type Visit = H::Visit;

    async fn connect(&self, visit: &mut H::Visit, client: &ClientInfo<'_>) -> Verdict {
        (**self).connect(visit, client).await
    }

    async fn ehlo(&self, visit: &mut H::Visit, client: &ClientInfo<'_>, name: &str) -> Verdict {
        (**self).ehlo(visit, client, name).await
    }

    async fn password(&self, user: &str) -> Result<Option<Verifier>, String> {
        (**self).password(user).await
    }

    async fn mail_from(
        &self,
        visit: &mut H::Visit,
        client: &ClientInfo<'_>,
        sender: &ReversePath,
        size: Option<u64>,
    ) -> Verdict {
        (**self).mail_from(visit, client, sender, size).await
    }

    async fn rcpt_to(&self, visit: &mut H::Visit, client: &ClientInfo<'_>, recipient: &Mailbox) -> Verdict {
        (**self).rcpt_to(visit, client, recipient).await
    }

    async fn data(&self, visit: &mut H::Visit, client: &ClientInfo<'_>, header: &HeaderBlock) -> Verdict {
        (**self).data(visit, client, header).await
    }

    async fn received(&self, visit: &mut H::Visit, mail: &Mail) -> Result<Accepted, Reply> {
        (**self).received(visit, mail).await
    }

    fn closed(&self, visit: H::Visit) {
        (**self).closed(visit);
    }
}
