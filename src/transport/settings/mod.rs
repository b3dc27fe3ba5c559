//! What can be set of a route's next hops: where they are, how they are reached, and as whom.
//!
//! Values only: nothing here opens or reads anything.

mod agent;
mod next_hop;
mod pin;
mod url;

pub(super) use agent::AgentKind;
pub use agent::{Agent, AgentNeeds, DeliveryAgent};
pub use next_hop::{
    AuthMethod, ClientIdentity, DirectMx, Discardable, Discarded, EightBit, Extensions, IpVersion, NextHop, Roots,
    RouteSettings, SecretSource,
};
pub use next_hop::{Smarthost, Timeouts, TlsPolicy, TlsSettings, TokenGrant, TokenSource};
pub use pin::{Pin, PinError};
pub use url::NextHopError;
pub(super) use url::{mail_exchangers, smarthost};
