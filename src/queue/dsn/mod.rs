//! What a sender receives about a message: delivery status notifications (RFC 3461, RFC 3464, RFC 6522). Pure.

mod kind;
mod mime;
pub mod notice;
mod notices;
mod original;
pub(in crate::queue) mod provenance;
mod returned;
pub mod tally;
mod wording;

pub use notices::NoticeSettings;
