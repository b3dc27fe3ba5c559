//! The language: commands, parameters, replies, lines and the framing of message octets. Pure; no sockets, files, clocks.

pub mod body;
pub mod catalogue;
mod command;
mod extension;
mod line;
mod params;
mod reply;

pub use command::{Command, CommandError, Dialect};
pub use extension::Extension;
pub use line::{Input, Line, MAX_LINE};
pub use params::{BodyType, MailParams, Notify, ParamError, Ret};
pub use reply::{Enhanced, EnhancedCode, EnhancedCodeError, Reply, ReplyError};
