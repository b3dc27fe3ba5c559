//! The language: commands, parameters, replies, lines and the framing of message octets. Pure; no sockets, files, clocks.

mod reply;

pub use reply::{Enhanced, EnhancedCode, EnhancedCodeError, Reply, ReplyError};
