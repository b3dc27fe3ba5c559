//! Transports: what hands a message to the next hop, with one outcome per recipient.
//!
//! A transport knows neither the spool, nor receipts, nor when to try again. `delivery.rs` has the traits, `settings/` what can be
//! set of a next hop. `smarthost.rs`, `mx/` and `maildir.rs` are the transports, `failover/` puts several in a row; `smtp/` is the
//! one SMTP client, `credential/` what it logs in with, `classify/` what a reply means, and `probe/` tries a next hop out.

mod classify;
mod credential;
mod delivery;
mod destination;
mod dispatch;
mod failover;
mod leaving;
mod lessons;
mod maildir;
mod memory;
mod mx;
mod opening;
mod probe;
mod recipient_limit;
mod settings;
mod smarthost;
mod smtp;

pub use classify::{Meaning, Place, may_be_ours, meaning};
pub use delivery::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, SettingsError, Transport};
pub use dispatch::{dispatch, dispatch_with_memory};
pub use leaving::Leaving;
pub use maildir::{MaildirDispatch, MaildirTransport};
pub use memory::{HopMemory, HopNote, HopNotes, Learned, learned};
pub use mx::{MxDispatch, MxTransport};
pub use probe::{Inquiry, ProbeVerdict, Step, own_certificate, probe};
pub use settings::{
    AuthMethod, ClientIdentity, DirectMx, Discardable, Discarded, EightBit, Extensions, IpVersion, NextHop,
    NextHopError, Pin, PinError, Roots,
};
pub use settings::{RouteSettings, SecretSource, Smarthost, Timeouts, TlsPolicy, TlsSettings, TokenGrant, TokenSource};
pub use smarthost::{SmarthostDispatch, SmarthostTransport, ask_recipient};
