//! Why a server does not start or does not go on.

/// Why a server does not start, in words.
///
/// ```
/// use leafmail::server::Server;
///
/// let error = Server::builder("no host name").start(leafmail::server::Inbox::default()).unwrap_err();
/// assert!(error.to_string().starts_with("no host name: "), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServerError(pub(super) String);
