//! The language: commands, parameters, replies, lines and the framing of message octets. Pure; no sockets, files, clocks.

pub mod body;
pub mod catalogue;
mod command;
mod extension;
mod line;
mod mechanism;
mod params;
mod reply;
mod secret;
mod submitter;

pub use command::{Command, CommandError, Dialect};
pub use extension::Extension;
pub use line::{Input, Line, MAX_AUTH_LINE, MAX_LINE};
pub use mechanism::{Mechanism, Mechanisms};
pub use params::{BodyType, MailParams, Notify, ParamError, Ret};
pub use reply::{Enhanced, EnhancedCode, EnhancedCodeError, Reply, ReplyError};
pub use secret::Secret;
