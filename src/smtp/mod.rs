//! SMTP: commands, parameters, replies, lines and the framing of message octets. Pure; no sockets, files, clocks.

pub mod body;
pub mod catalogue;
pub mod chunk;
mod command;
mod dsn;
mod extension;
pub mod header;
mod line;
pub mod long_lines;
pub mod mail_list;
mod mechanism;
mod params;
mod reply;
mod secret;
mod submitter;
pub mod xclient;
pub mod xtext;

/// The log target of the dialogues that somebody asked to see, whatever the level of the log.
pub const DIALOGUE: &str = "leafmail::dialogue";

/// Octets of the largest message that a receiver takes, unless it is configured.
pub const LARGEST_MESSAGE: u64 = 35_000_000;

pub use command::{Chunk, Command, CommandError, Dialect, Grammar, ParsedCommand};
pub use dsn::{Notify, Ret};
pub use extension::{Extension, Keyword, Keywords};
pub use line::{Input, Line, MAX_AUTH_LINE, MAX_LINE, MAX_SWALLOWED};
pub use mechanism::{Mechanism, Mechanisms};
pub use params::{BodyType, MailParams, ParamError, RcptParams};
pub use reply::{Enhanced, EnhancedCode, EnhancedCodeError, Refuser, Reply, ReplyError, ReplyReader};
pub use secret::Secret;

/// For those who know replies but no addresses.
pub(crate) use crate::address::is_unprintable;
