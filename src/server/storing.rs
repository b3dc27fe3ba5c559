//! How a handler stores a message with what blocks, such as a database that waits for a disk.

use std::fmt::Display;

use tokio::task::spawn_blocking;

use super::handler::Accepted;
use super::mail::Mail;
use crate::address::escaped;
use crate::smtp::{Reply, catalogue};

impl Mail {
    /// Hands the id and the octets to a function on a thread that may block: for [`Handler::received`](super::Handler::received).
    /// If the function succeeds, the message is [taken](Accepted::Taken), and the client gets its 250.
    ///
    /// ```
    /// use leafmail::server::prelude::*;
    ///
    /// async fn received(mail: &Mail) -> Result<Accepted, Reply> {
    ///     mail.store(|id, octets| std::fs::write(format!("/var/mail/{id}"), octets)).await
    /// }
    /// ```
    ///
    /// # Errors
    /// With a 451 where the function fails or panics, or the octets cannot be read; the log has the reason.
    pub async fn store<E: Display>(
        &self,
        store: impl FnOnce(&str, &[u8]) -> Result<(), E> + Send + 'static,
    ) -> Result<Accepted, Reply> {
        let (id, octets) = (self.id().to_string(), self.octets());
        let work = move || {
            let octets = octets.map_err(|error| error.to_string())?;
            store(&id, &octets).map_err(|error| error.to_string())
        };
        let stored = spawn_blocking(work).await.unwrap_or_else(|_panicked| Err("the handler panicked".to_owned()));
        stored.map(|()| Accepted::Taken).map_err(|error| {
            log::error!("storing message {}: {}", self.id(), escaped(&error));
            catalogue::local_error()
        })
    }
}
