//! The server: connections, their limits, and the way of a request from its octets to its answer.
//!
//! One thread serves all connections; what reads the spool runs on a few threads that may block. A visitor that is slow, or
//! sends too much, loses its own connection and nothing else.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method as Verb, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::access::{Access, Denied, Peer};
use super::answer::{Answer, common_headers};
use super::catalogue::{Catalogue, Site};
use super::endpoints::{Endpoint, Handle, find};
use super::query::Query;
use super::relay::{PageRelay, PageSpool};
use super::request::{Method, Request};
use super::roles::{PageRole, Roles};
use super::stream::{Events, Viewers};
use super::{guard, html, openapi};
use crate::page::TokenFile;
use crate::sys::socket_owner;

/// Connections at a time.
const MOST_CONNECTIONS: usize = 32;
/// How long the head of a request may take, and a connection may wait for the next one.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long the content of a request may take, and a TLS handshake.
const CONTENT_TIME: Duration = Duration::from_secs(10);
/// Octets of the content.
const MOST_CONTENT: usize = 64 * 1024;
/// Octets of the head, and header fields.
const MOST_HEAD: usize = 16 * 1024;
const MOST_FIELDS: usize = 64;
/// How long a connection lasts, whatever is done on it: a visitor that does not read holds nothing for longer.
const LONGEST_CONNECTION: Duration = Duration::from_secs(3_600);
/// Threads that read the spool.
const READERS: usize = 4;
/// Requests that are worked on or wait for a thread at a time.
const MOST_WORK: usize = 16;

/// TLS of a listener.
pub type PageTls = Arc<rustls::ServerConfig>;

/// A socket that is listened on.
pub enum PageListener {
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
    /// TCP.
    Tcp(std::net::TcpListener, Option<PageTls>),
}

impl PageListener {
    /// Makes a Unix socket that the user and the group may open. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// When it cannot be made, or somebody listens there.
    pub fn unix(path: PathBuf) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        let is_socket = |kind: std::fs::FileType| std::os::unix::fs::FileTypeExt::is_socket(&kind);
        if path.symlink_metadata().is_ok_and(|status| is_socket(status.file_type())) {
            std::fs::remove_file(&path)?;
        }
        let listener = std::os::unix::net::UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self::Unix(listener))
    }
}

/// What the page is made from.
pub struct PageSettings {
    /// The spool.
    pub spool: Arc<dyn PageSpool>,
    /// Its folder.
    pub folder: PathBuf,
    /// What this relay is called.
    pub hostname: String,
    /// The relay.
    pub relay: Arc<dyn PageRelay>,
    /// Further names of this host.
    pub hosts: Vec<String>,
    /// What users may do who can open the Unix socket.
    pub socket_roles: Roles,
}

/// What all connections share.
struct House {
    site: Arc<Site>,
    access: Access,
    hosts: Vec<String>,
    viewers: Viewers,
    /// Places for requests that are worked on, or wait for a thread.
    work: Arc<Semaphore>,
}

/// Serves until `until` ends.
///
/// # Errors
/// When the runtime or a socket cannot be set up.
pub fn serve(settings: PageSettings, listeners: Vec<PageListener>, until: impl Future<Output = ()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READERS).build()?;
    let tokens = TokenFile::of_spool(&settings.folder);
    let own = rustix::process::geteuid().as_raw();
    let house = Arc::new(House {
        site: Arc::new(Site {
            catalogue: Catalogue::new(Arc::clone(&settings.spool)),
            spool: settings.spool,
            folder: settings.folder,
            hostname: settings.hostname,
            relay: settings.relay,
        }),
        access: Access::new(tokens, own, settings.socket_roles),
        hosts: settings.hosts,
        viewers: Viewers::default(),
        work: Arc::new(Semaphore::new(MOST_WORK)),
    });
    runtime.block_on(async {
        for listener in listeners {
            // Each has its own places, so that a crowd at one keeps nobody from another.
            let (house, room) = (Arc::clone(&house), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
            match listener {
                PageListener::Unix(socket) => {
                    socket.set_nonblocking(true)?;
                    tokio::spawn(accept_unix(house, room, tokio::net::UnixListener::from_std(socket)?));
                }
                PageListener::Tcp(socket, tls) => {
                    socket.set_nonblocking(true)?;
                    let tls = tls.map(TlsAcceptor::from);
                    tokio::spawn(accept_tcp(house, room, tokio::net::TcpListener::from_std(socket)?, tls));
                }
            }
        }
        until.await;
        Ok::<(), io::Error>(())
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// After a failure to accept, such as too many open files.
async fn breathe(error: io::Error) {
    log::warn!("page: accepting a connection: {error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn accept_unix(house: Arc<House>, room: Arc<Semaphore>, listener: tokio::net::UnixListener) {
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Err(error) => breathe(error).await,
            Ok((stream, _)) => {
                let Ok(credentials) = stream.peer_cred() else { continue };
                let peer = Peer::Socket(credentials.uid());
                tokio::spawn(converse(Arc::clone(&house), stream, (peer, false), permit));
            }
        }
    }
}

async fn accept_tcp(
    house: Arc<House>,
    room: Arc<Semaphore>,
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
) {
    let own = listener.local_addr().ok();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, client) = match listener.accept().await {
            Err(error) => {
                breathe(error).await;
                continue;
            }
            Ok(accepted) => accepted,
        };
        let _ = stream.set_nodelay(true);
        let (house, peer) = (Arc::clone(&house), peer_of(client, stream.local_addr().ok().or(own)));
        match tls.clone() {
            None => drop(tokio::spawn(converse(house, stream, (peer, false), permit))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(Ok(stream)) = tokio::time::timeout(CONTENT_TIME, tls.accept(stream)).await {
                    converse(house, stream, (peer, true), permit).await;
                }
            })),
        }
    }
}

/// Who is at the other end; on the loopback with the user whose socket it is.
fn peer_of(client: SocketAddr, own: Option<SocketAddr>) -> Peer {
    let address: IpAddr = client.ip().to_canonical();
    let owner = own.filter(|own| address.is_loopback() && own.ip().to_canonical().is_loopback());
    Peer::Tcp(address, owner.and_then(|own| socket_owner(client, own)))
}

async fn converse<S>(house: Arc<House>, stream: S, (peer, is_tls): (Peer, bool), permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let house = Arc::clone(&house);
        async move { Ok::<_, Infallible>(house.answer(request, peer, is_tls).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_FIELDS)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    // What a visitor does wrong is its own trouble.
    let _ = tokio::time::timeout(LONGEST_CONNECTION, connection).await;
    drop(permit);
}

/// What is written: a known content, or events.
type Content = Either<Full<Bytes>, EventBody>;

/// Events as a body.
struct EventBody(Events);

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// A request as it comes.
type Asked = hyper::Request<Incoming>;

impl House {
    async fn answer(self: Arc<Self>, asked: Asked, peer: Peer, is_tls: bool) -> Response<Content> {
        let is_api = asked.uri().path().starts_with("/api/");
        let answer = match self.let_in(asked, peer, is_tls).await {
            Ok((endpoint, request, last)) => match endpoint.handle {
                Handle::Events => match self.viewers.begin(Arc::clone(&self.site), last) {
                    Some(events) => return events_response(events),
                    None => Answer::fault(StatusCode::SERVICE_UNAVAILABLE, "there are too many viewers"),
                },
                Handle::Description => openapi::document(),
                Handle::Answer(handle) => {
                    // A visitor may leave while the work goes on, so it has a bound of its own.
                    let (site, place) = (Arc::clone(&self.site), Arc::clone(&self.work).try_acquire_owned());
                    let Ok(place) = place else {
                        let why = "too much is asked at once; try again";
                        return response(Answer::fault(StatusCode::SERVICE_UNAVAILABLE, why));
                    };
                    let made = tokio::task::spawn_blocking(move || (handle(&site, &request), place)).await;
                    let made = made.map(|(answer, _)| answer);
                    made.unwrap_or_else(|_| Answer::fault(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
                }
            },
            Err(answer) => answer,
        };
        let answer = match (is_api, answer.status.is_success() || answer.status.is_redirection(), answer.kind) {
            // Errors of the API are JSON, those of pages are pages.
            (false, false, kind) if !kind.starts_with("text/html") => html::fault(answer),
            _ => answer,
        };
        response(answer)
    }

    /// Checks a request, in the order of the module's head, and reads its content.
    async fn let_in(
        &self,
        asked: Asked,
        peer: Peer,
        is_tls: bool,
    ) -> Result<(&'static Endpoint, Request, Option<String>), Answer> {
        let refused = |(status, why): guard::Refusal| {
            let answer = Answer::fault(status, why);
            // Whatever follows on this connection may be a part of what was refused.
            let answer = answer.with("connection", "close".to_owned());
            if status == StatusCode::METHOD_NOT_ALLOWED {
                answer.with("allow", "GET, HEAD, POST".to_owned())
            } else {
                answer
            }
        };
        guard::framing(asked.method(), asked.version(), asked.headers()).map_err(refused)?;
        let segments = guard::segments(asked.uri()).map_err(refused)?;
        let host = guard::host(asked.headers(), &self.hosts).map_err(refused)?;
        guard::origin(asked.method(), asked.headers(), host, is_tls).map_err(refused)?;
        let method = if *asked.method() == Verb::POST { Method::Post } else { Method::Get };
        let (endpoint, places) = find(method, &segments).map_err(|is_known| match is_known {
            true => Answer::fault(StatusCode::METHOD_NOT_ALLOWED, "there is no such thing to do here")
                .with("allow", if method == Method::Post { "GET, HEAD" } else { "POST" }.to_owned()),
            false => Answer::fault(StatusCode::NOT_FOUND, "there is no such page"),
        })?;
        let visitor = match endpoint.role {
            None => super::access::Visitor { roles: Roles::NONE, name: peer.to_string(), uid: 0 },
            Some(role) => self.visitor(&asked, peer, role)?,
        };
        let last = asked.headers().get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let query = asked.uri().query().unwrap_or_default();
        let query =
            Query::parse(query).ok_or_else(|| Answer::fault(StatusCode::BAD_REQUEST, "the query cannot be read"))?;
        let wrong = |why: &str| Answer::fault(StatusCode::BAD_REQUEST, why);
        if method == Method::Post && !query.pairs().is_empty() {
            return Err(wrong("what is posted belongs into the content, not into the query"));
        }
        let query = if method == Method::Post { content(asked).await? } else { query };
        if let Some(name) = endpoint.unknown(&query) {
            return Err(wrong(&format!("{name}: no such name here; see /api/v1/openapi.json")));
        }
        Ok((endpoint, Request { query, places, visitor }, last))
    }

    fn visitor(&self, asked: &Asked, peer: Peer, role: PageRole) -> Result<super::access::Visitor, Answer> {
        let authorization = asked.headers().get("authorization").map(|value| value.to_str().unwrap_or(""));
        let demand = |why: &str| {
            let answer = Answer::fault(StatusCode::UNAUTHORIZED, why);
            answer.with(
                "www-authenticate",
                "Basic realm=\"leafmail: a token as the password\", charset=\"UTF-8\"".to_owned(),
            )
        };
        match self.access.visitor(peer, authorization) {
            Ok(visitor) if visitor.roles.have(role) => Ok(visitor),
            Ok(visitor) => {
                let why = format!("{} may not do this: it needs the role {}", visitor.name, role.name());
                Err(Answer::fault(StatusCode::FORBIDDEN, &why))
            }
            Err(Denied::Unknown) => Err(demand("this needs a token: spoolrun token new NAME makes one")),
            Err(Denied::Wrong) => {
                log::warn!("page: a wrong token from {peer}");
                Err(demand("this is no token of this relay"))
            }
            Err(Denied::Later(pause)) => {
                let answer = Answer::fault(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens: try again later");
                Err(answer.with("retry-after", (pause.as_secs() + 1).to_string()))
            }
        }
    }
}

/// The form or the object that was posted.
async fn content(asked: Asked) -> Result<Query, Answer> {
    let kind = asked.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = kind.starts_with("application/json");
    if !is_json && !kind.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Answer::fault(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a form or JSON"));
    }
    let too_large = |why| Answer::fault(StatusCode::PAYLOAD_TOO_LARGE, why).with("connection", "close".to_owned());
    let read = tokio::time::timeout(CONTENT_TIME, Limited::new(asked.into_body(), MOST_CONTENT).collect()).await;
    let octets = match read {
        Err(_) => {
            return Err(Answer::fault(StatusCode::REQUEST_TIMEOUT, "the content took too long")
                .with("connection", "close".to_owned()));
        }
        Ok(Err(_)) => return Err(too_large("the content is too large, or broken")),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    let query =
        if is_json { Query::from_json(&octets) } else { std::str::from_utf8(&octets).ok().and_then(Query::parse) };
    query.ok_or_else(|| Answer::fault(StatusCode::BAD_REQUEST, "the content cannot be read"))
}

fn response(answer: Answer) -> Response<Content> {
    let headers = answer.headers();
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(answer.content))));
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    debug_assert!(answer.status != StatusCode::UNAUTHORIZED || response.headers().contains_key(WWW_AUTHENTICATE));
    debug_assert!(answer.status != StatusCode::METHOD_NOT_ALLOWED || response.headers().contains_key(ALLOW));
    debug_assert!(answer.status != StatusCode::TOO_MANY_REQUESTS || response.headers().contains_key(RETRY_AFTER));
    response
}

fn events_response(events: Events) -> Response<Content> {
    let mut response = Response::new(Either::Right(EventBody(events)));
    *response.headers_mut() = common_headers();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}
