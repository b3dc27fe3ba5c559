//! Transports: what hands a message to the next hop, with one outcome per recipient.
//!
//! A transport knows neither the spool, nor receipts, nor when to try again. `delivery.rs` has the traits, `settings/` what can be
//! set of a next hop, `schemes.rs` what a URL leads to. `smarthost.rs`, `mx/` and `agents/` are the transports, `failover/` puts several
//! in a row; `smtp/` is the one SMTP client, `credential/` what it logs in with, `dane/` what the DNS says of a host's certificate,
//! `mta_sts/` what a domain says of its hosts,
//! `classify/` what a reply means, and `probe/` tries a next hop out.

mod agents;
mod classify;
mod credential;
mod dane;
mod delivery;
mod destination;
mod dispatch;
mod failover;
mod leaving;
mod lessons;
mod memory;
mod mta_sts;
mod mx;
mod opening;
mod probe;
mod recipient_limit;
mod schemes;
mod settings;
mod smarthost;
mod smtp;
mod step;

pub use agents::{AddressQuery, DatabaseAsker, DatabaseKind, DatabaseQuestion, DatabaseUrl};
pub use agents::{MaildirDispatch, MaildirTransport, is_agent, schema};
pub use classify::{Meaning, Place, may_be_ours, meaning};
pub use delivery::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, SettingsError, Transport};
pub use dispatch::{dispatch, dispatch_with_memory};
pub use leaving::Leaving;
pub use memory::{HopMemory, HopNote, HopNotes, Learned, learned};
pub use mx::{MxDispatch, MxTransport};
pub use probe::{Inquiry, own_certificate, probe};
pub use schemes::url_forms;
pub use settings::{
    Agent, AgentNeeds, AgentSettings, AuthMethod, ClientIdentity, DeliveryAgent, DirectMx, Discardable, Discarded,
    EightBit, Extensions, IpVersion, MtaStsSettings, NextHop, NextHopError, Pin, PinError, Roots, ServerKind,
};
pub use settings::{RouteSettings, SecretSource, Smarthost, Timeouts, TlsPolicy, TlsSettings, TokenGrant, TokenSource};
pub use smarthost::{SmarthostDispatch, SmarthostTransport, ask_recipient};
pub use step::{ProbeVerdict, Step};
