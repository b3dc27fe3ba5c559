//! The settings of a server, in the words of whoever writes an application. Nothing is bound or opened before
//! [`ServerBuilder::bind`].
//!
//! By default only private networks may connect, and limits are those of the programs. With a spool, no setting makes an open relay.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::ServerError;
use super::handler::Handler;
use super::intake::{HandlerIntake, House};
use super::logins::Logins;
use super::running::{Bound, Running};
use super::visits::{Patience, Visits};
use crate::address::Domain;
use crate::config::Config;
use crate::dns::SystemResolver;
use crate::driver::{
    Accounts, CertificateFiles, DiskWait, Door, Front, Limits, Lockout, MailList, Receiver, Security, ServerTls,
    Shutdown, Socket,
};
use crate::event::Observer;
use crate::id::IdSource;
use crate::policy::Chain;
use crate::session::Settings;
use crate::spool::{DirSpool, SpoolSettings};
use crate::sys::SystemClock;

/// Failed logins that end a session, and lock the address out.
const LOGIN_FAILURES: u32 = 3;
/// For how long.
const LOCKED_OUT: Duration = Duration::from_secs(15 * 60);

/// Where a server begins.
///
/// ```
/// use leafmail::server::{Inbox, Server};
///
/// let inbox = Inbox::default();
/// let server = Server::builder("mx.example.org").listen("127.0.0.1:0").start(inbox.clone()).unwrap();
/// let mut client = std::net::TcpStream::connect(server.addresses()[0]).unwrap();
/// let mut greeting = [0; 24];
/// std::io::Read::read_exact(&mut client, &mut greeting).unwrap();
/// assert_eq!(&greeting, b"220 mx.example.org ESMTP");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Server;

impl Server {
    /// The settings of a server that calls itself so.
    pub fn builder(hostname: &str) -> ServerBuilder {
        ServerBuilder::new(hostname)
    }
}

/// The settings of a server. The first one that is wrong is reported by [`bind`](Self::bind) or [`start`](Self::start).
///
/// ```
/// use leafmail::server::Server;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let builder = Server::builder("mx.example.org")
///     .listen("127.0.0.1:0")
///     .networks(["10.0.0.0/8", "127.0.0.0/8"])
///     .recipients(["@example.org"])
///     .max_size(1_000_000)
///     .max_recipients(50)
///     .spool(folder.path().join("spool"));
/// # builder.start(leafmail::server::Inbox::default()).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a server begins with `bind` or `start`"]
pub struct ServerBuilder {
    hostname: Result<Domain, ServerError>,
    fault: Option<ServerError>,
    sockets: Vec<(SocketAddr, Front)>,
    certificate: Option<CertificateFiles>,
    config: Config,
    limits: Limits,
    max_size: u64,
    max_recipients: usize,
    takes_logins: bool,
    requires_login: bool,
    patience: Patience,
    spool: Option<PathBuf>,
    folder: PathBuf,
    observer: Option<BoxedObserver>,
}

/// An observer has nothing to show.
struct BoxedObserver(Arc<dyn Observer>);

impl std::fmt::Debug for BoxedObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an observer")
    }
}

impl ServerBuilder {
    fn new(hostname: &str) -> Self {
        let mut config = Config::default();
        config.message.required_headers.clear();
        Self {
            hostname: hostname.parse().map_err(|error| ServerError(format!("{hostname}: {error}"))),
            fault: None,
            sockets: Vec::new(),
            certificate: None,
            config,
            limits: Limits::default(),
            max_size: Settings::MAX_SIZE,
            max_recipients: Settings::MAX_RECIPIENTS,
            takes_logins: false,
            requires_login: false,
            patience: Patience { answer: Duration::from_secs(60), received: Duration::from_secs(300) },
            spool: None,
            folder: std::env::temp_dir(),
            observer: None,
        }
    }

    fn fail(&mut self, text: &str, error: impl std::fmt::Display) {
        self.fault.get_or_insert_with(|| ServerError(format!("{text}: {error}")));
    }

    fn listen_with(mut self, address: &str, front: Front) -> Self {
        match address.parse() {
            Ok(address) => self.sockets.push((address, front)),
            Err(error) => self.fail(address, error),
        }
        self
    }

    /// Listens on an address such as `127.0.0.1:2525`; port 0 lets the system choose. Several calls are several addresses.
    pub fn listen(self, address: &str) -> Self {
        self.listen_with(address, Front::default())
    }

    /// Listens on an address with TLS from the first octet on.
    pub fn listen_tls(self, address: &str) -> Self {
        self.listen_with(address, Front { tls: true, ..Front::default() })
    }

    /// Offers TLS with the certificate and the key of these PEM files. They are read again when they change.
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        self.certificate = Some(CertificateFiles { certificate, key, client_ca: None });
        self
    }

    /// The networks whose hosts may connect. By default the private ones, and this host.
    pub fn networks<'a>(mut self, networks: impl IntoIterator<Item = &'a str>) -> Self {
        self.config.clients.networks.clear();
        for network in networks {
            match network.parse() {
                Ok(network) => self.config.clients.networks.push(network),
                Err(error) => self.fail(network, error),
            }
        }
        self
    }

    /// Every host may connect. With a [`spool`](Self::spool) the server starts only if [`recipients`](Self::recipients) are named.
    pub fn anyone(self) -> Self {
        self.networks(["0.0.0.0/0", "::/0"])
    }

    /// Whom mail may go to: addresses, `@example.org` for a domain, `@.example.org` for those below it. By default everybody.
    pub fn recipients<'a>(mut self, allowed: impl IntoIterator<Item = &'a str>) -> Self {
        self.config.recipients.allow.clear();
        for entry in allowed {
            match entry.parse() {
                Ok(entry) => self.config.recipients.allow.push(entry),
                Err(error) => self.fail(entry, error),
            }
        }
        self
    }

    /// Takes logins by AUTH PLAIN and LOGIN within TLS, and asks [`Handler::password`]. Needs [`tls`](Self::tls).
    pub fn logins(mut self) -> Self {
        self.takes_logins = true;
        self
    }

    /// The same, and takes no mail without a login.
    pub fn require_login(mut self) -> Self {
        self.requires_login = true;
        self.logins()
    }

    /// The largest message, in octets. By default 35,000,000, as the programs have it.
    pub fn max_size(mut self, octets: u64) -> Self {
        self.max_size = octets;
        self
    }

    /// The most recipients of one message.
    pub fn max_recipients(mut self, recipients: usize) -> Self {
        self.max_recipients = recipients;
        self
    }

    /// How many clients, how fast, and how long they may be silent.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a method of the handler may take: for an answer to a command (a minute by default), and for
    /// [`Handler::received`] (five minutes, as clients wait ten). After that the client gets a reply by which it tries again.
    pub fn patience(mut self, answer: Duration, received: Duration) -> Self {
        self.patience = Patience { answer, received };
        self
    }

    /// Stores messages that the handler leaves to the server in the spool of this folder, from which `spoolrun`, or a
    /// [`Runner`](crate::queue::Runner), delivers them.
    pub fn spool(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spool = Some(folder.into());
        self
    }

    /// Where messages of more than 256 KiB are while they arrive; by default the folder for temporary files. Nothing is left there.
    pub fn temporary_files(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Who gets to know what happens; [`LogObserver`](crate::event::LogObserver) writes a log.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(BoxedObserver(observer));
        self
    }

    /// Runs the server on a thread of its own until [`Running`] is dropped or stopped.
    ///
    /// # Errors
    /// When a setting is wrong, an address cannot be bound, or the spool cannot be opened.
    pub fn start(self, handler: impl Handler) -> Result<Running, ServerError> {
        self.bind(handler)?.start()
    }

    /// Binds the addresses and opens the spool. Clients that connect wait until [`Bound::run`] or [`Bound::start`] serves them.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn bind<H: Handler>(self, handler: H) -> Result<Bound<H>, ServerError> {
        let hostname = self.hostname.clone()?;
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.check()?;
        let handler = Arc::new(handler);
        let security = self.security(&handler)?;
        let clock = Arc::new(SystemClock);
        let spool = match &self.spool {
            None => None,
            Some(folder) => {
                let opened = DirSpool::open(folder, SpoolSettings::default(), clock.clone());
                Some(Arc::new(opened.map_err(|error| ServerError(error.to_string()))?))
            }
        };
        let sockets: Vec<(Socket, Front)> = self.sockets.iter().map(bound).collect::<Result<_, _>>()?;
        let visits = Arc::new(Visits::new(handler, self.patience));
        let settings = Settings {
            max_size: self.max_size,
            max_recipients: self.max_recipients,
            ..Settings::new(hostname.clone())
        };
        let house = Arc::new(House { hostname, folder: self.folder, spool });
        let policy = Chain::new(self.config.rules(), Arc::new(SystemResolver::default()), vec![visits.clone()]);
        let receiver = Receiver {
            settings: Arc::new(settings),
            limits: self.limits,
            policy,
            resolver: None,
            security,
            spool: Arc::new(HandlerIntake { visits, house, ids: IdSource::default(), clock: clock.clone() }),
            mail_list: MailList::default(),
            disk_wait: DiskWait::Elsewhere,
            observer: self.observer.map_or_else(|| Arc::new(()) as Arc<dyn Observer>, |BoxedObserver(it)| it),
            clock,
            shutdown: Shutdown::default(),
        };
        Ok(Bound { receiver, sockets })
    }

    /// What contradicts itself.
    fn check(&self) -> Result<(), ServerError> {
        let fault = |text: &str| Err(ServerError(text.to_owned()));
        if self.sockets.is_empty() {
            return fault("nothing is listened on: name an address by listen()");
        }
        let needs_tls = self.takes_logins || self.sockets.iter().any(|(_, front)| front.tls);
        if needs_tls && self.certificate.is_none() {
            return fault("listen_tls() and logins() need a certificate: name one by tls()");
        }
        match self.spool {
            Some(_) => self.config.check().map_err(|error| ServerError(error.to_string())),
            None => Ok(()),
        }
    }

    fn security<H: Handler>(&self, handler: &Arc<H>) -> Result<Security, ServerError> {
        let tls = self.certificate.clone().map(ServerTls::from_files).transpose().map_err(ServerError)?.map(Arc::new);
        let accounts = match self.takes_logins {
            false => None,
            true => {
                let logins = Logins::new(Arc::clone(handler));
                let logins = logins.ok_or_else(|| ServerError("the system gives no random octets".to_owned()))?;
                let lockout = Arc::new(Lockout::of_process(LOCKED_OUT));
                Some(Accounts::asking(Box::new(logins), LOGIN_FAILURES, lockout))
            }
        };
        Ok(Security { tls, accounts, require_auth: self.requires_login, ..Security::default() })
    }
}

fn bound((address, front): &(SocketAddr, Front)) -> Result<(Socket, Front), ServerError> {
    let front = Front { door: Door::default(), ..*front };
    let socket = Socket::tcp(*address).map_err(|error| ServerError(format!("listening on {address}: {error}")))?;
    Ok((socket, front))
}
