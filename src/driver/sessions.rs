//! How each session begins: which client it is, on which terms, in clear text or within TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use super::dialogue::Dialogue;
use super::load::Load;
use super::opening::Opening;
use super::receiver::Receiver;
use super::security::{Begun, Door};
use super::wire::Wire;
use crate::dns::confirmed_name;
use crate::envelope::{LocalUser, Peer};
use crate::event::{Client, Event};
use crate::session::{Session, Terms};
use crate::spool::Intake;
use crate::tls_words;

/// What a client of a port with TLS from the first octet on may be set to, if it sends something else or waits.
const WITHOUT_TLS: &str = "a client without TLS, with STARTTLS or with a PROXY header, on a port with the prefix tls: in the \
                           setting listen.addresses: set it to SSL/TLS, or drop the prefix";

/// Whether a handshake failed because the client speaks in clear text, or waits for a greeting.
fn is_silent_or_plain(cause: &str) -> bool {
    cause.contains(tls_words::NO_TLS) || cause.starts_with("no TLS handshake within")
}

impl<S: Intake> Receiver<S> {
    /// Runs a session to its end.
    pub async fn converse(&self, io: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        self.converse_at(Door::default(), io, peer, Load::default()).await;
    }

    /// The same, with a user of this host whom the kernel names.
    pub async fn converse_as(&self, user: LocalUser, io: impl AsyncRead + AsyncWrite + Unpin) {
        self.converse_with_user(user, io, Load::default()).await;
    }

    pub(super) async fn converse_with_user(
        &self,
        user: LocalUser,
        io: impl AsyncRead + AsyncWrite + Unpin,
        load: Load,
    ) {
        let client = Client { peer: Peer::Local, name: Some(user.in_logs()) };
        self.observer.observe(&Event::Connected { client: client.clone() });
        let terms = self.security.terms(Peer::Local, Door::default(), None, self.observer.as_ref());
        let terms = Terms { local_user: Some(user), ..terms };
        self.converse_with(Wire::Clear(io), client, terms, None, load).await;
    }

    pub(super) async fn converse_at(
        &self,
        door: Door,
        io: impl AsyncRead + AsyncWrite + Unpin,
        peer: Peer,
        load: Load,
    ) {
        let client = self.connected(peer).await;
        let terms = self.security.terms(peer, door, None, self.observer.as_ref());
        self.converse_with(Wire::Clear(io), client, terms, door.listener, load).await;
    }

    /// Runs a session within TLS from its first octet on (RFC 8314 3.3).
    pub(super) async fn converse_in_tls(
        &self,
        door: Door,
        io: impl AsyncRead + AsyncWrite + Unpin,
        peer: Peer,
        mut load: Load,
        opening: Opening,
    ) {
        let client = self.connected(peer).await;
        let Some(tls) = &self.security.tls else { return };
        let handshake = tls.shake_hands(io, Begun::AtOnce, |text| self.observer.observe(&Event::Trouble { text }));
        let shaken = opening.within(&self.limits, &mut load, &self.shutdown, handshake).await;
        match shaken.unwrap_or_else(|late| Err(format!("no TLS handshake {late}"))) {
            Ok(secured) => {
                let terms = self.security.terms(peer, door, Some(secured.tls), self.observer.as_ref());
                self.converse_with(Wire::Tls(secured.stream), client, terms, door.listener, load).await
            }
            Err(cause) => {
                let cause = if is_silent_or_plain(&cause) { format!("{cause} ({WITHOUT_TLS})") } else { cause };
                self.observer.observe(&Event::Disconnected { client, cause: Some(cause) });
            }
        }
    }

    async fn connected(&self, peer: Peer) -> Client {
        let client = Client { peer, name: self.name_of(peer).await };
        self.observer.observe(&Event::Connected { client: client.clone() });
        client
    }

    async fn converse_with<IO>(
        &self,
        wire: Wire<IO>,
        client: Client,
        terms: Terms,
        listener: Option<SocketAddr>,
        load: Load,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let peer = client.peer;
        let reverse_name = peer.ip().and_then(|_| client.name.clone());
        let session = Session::new(Arc::clone(&self.settings), peer, reverse_name, self.clock.now());
        let session = session.on_terms(terms);
        let dialogue = Dialogue::with(&self.settings, peer);
        let session = if dialogue.is_told() { session.with_transcript() } else { session };
        Connection::new(self, wire, client, dialogue, load).at_listener(listener).run(session).await;
    }

    async fn name_of(&self, peer: Peer) -> Option<String> {
        let (resolver, ip) = (self.resolver.as_ref()?, peer.ip()?);
        confirmed_name(resolver.as_ref(), ip).await.ok().flatten().map(|name| name.to_string())
    }
}
