//! What can be set of a route's next hops: where they are, how they are reached, and as whom.
//!
//! Values only: nothing here opens or reads anything.

mod agent;
mod error;
mod next_hop;
mod pin;
mod secret;
mod timeouts;
mod url;

pub(super) use agent::AgentKind;
pub use agent::{Agent, AgentNeeds, AgentSettings, DeliveryAgent};
pub use error::NextHopError;
pub use next_hop::{
    AuthMethod, ClientIdentity, DirectMx, Discardable, Discarded, EightBit, Extensions, IpVersion, MtaStsSettings,
    NextHop, RouteSettings, ServerKind,
};
pub use next_hop::{Smarthost, TlsPolicy, TlsSettings};
pub use pin::{Pin, PinError, Roots};
pub use secret::{SecretSource, TokenGrant, TokenSource};
pub use timeouts::Timeouts;
pub(super) use url::{PLAIN, host_and_port, is_this_host, lmtp, mail_exchangers, smarthost, user_name};
