//! A server that is bound, and one that runs on a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::error::ServerError;
use super::handler::Handler;
use super::intake::HandlerIntake;
use crate::driver::{Front, Listener, Receiver, Shutdown, Socket, listen};

/// A server whose addresses are bound.
///
/// ```
/// use leafmail::server::{Inbox, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), leafmail::server::ServerError> {
/// let server = Server::builder("mx.example.org").listen("127.0.0.1:0").bind(Inbox::default())?;
/// assert_ne!(server.addresses()[0].port(), 0);
/// server.shutdown().raise(); // from a signal handler, for example
/// server.run().await
/// # }
/// ```
#[must_use = "it serves nobody before `run` or `start`"]
pub struct Bound<H: Handler> {
    pub(super) receiver: Receiver<HandlerIntake<H>>,
    pub(super) sockets: Vec<(Socket, Front)>,
}

impl<H: Handler> Bound<H> {
    /// The addresses, in the order of the settings.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|(socket, _)| socket.to_string().parse().ok()).collect()
    }

    /// What ends it.
    pub fn shutdown(&self) -> Shutdown {
        self.receiver.shutdown.clone()
    }

    /// Serves clients until the shutdown is raised. Sessions under way finish their message.
    ///
    /// # Errors
    /// When the system gives no threads or descriptors.
    pub async fn run(self) -> Result<(), ServerError> {
        let failed = |error: std::io::Error| ServerError(format!("serving: {error}"));
        let listeners = self.sockets.into_iter().map(|(socket, front)| Listener::serving(socket, front));
        let listeners: Vec<Listener> = listeners.collect::<Result<_, _>>().map_err(failed)?;
        listen(Arc::new(self.receiver), listeners).await.map_err(failed)
    }

    /// Serves clients on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> Result<Running, ServerError> {
        let failed = |error: std::io::Error| ServerError(format!("starting: {error}"));
        let (addresses, shutdown) = (self.addresses(), self.shutdown());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let serve = move || runtime.block_on(self.run());
        let thread = thread::Builder::new().name("server".into()).spawn(serve).map_err(failed)?;
        Ok(Running { addresses, shutdown, thread: Some(thread) })
    }
}

/// A server that runs on a thread of its own. Dropped, it stops.
///
/// ```
/// use leafmail::server::{Inbox, Server};
///
/// let server = Server::builder("mx.example.org").listen("127.0.0.1:0").start(Inbox::default()).unwrap();
/// println!("mail goes to {}", server.addresses()[0]);
/// server.stop().unwrap();
/// ```
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Running {
    /// The addresses, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until it has ended, which [`shutdown`](Self::shutdown) brings about.
    ///
    /// # Errors
    /// When it could not serve.
    pub fn wait(mut self) -> Result<(), ServerError> {
        self.end()
    }

    /// What ends it.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Ends it. Sessions under way finish their message.
    ///
    /// # Errors
    /// When it could not serve.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.shutdown.raise();
        self.end()
    }

    fn end(&mut self) -> Result<(), ServerError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_panicked| Err(ServerError("the server panicked".to_owned())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.raise();
        let _ended = self.end();
    }
}
