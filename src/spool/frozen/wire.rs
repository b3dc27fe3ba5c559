//! What is in a spool file, octet for octet: the types of format version 1.
//!
//! They never change: a new field is an `EnvelopeV2` beside them, and files of version 1 thaw for ever. They are apart from
//! the domain types for that reason. Nothing here may be skipped, defaulted or flattened, as the encoding has no names in
//! it. This is the only file that knows bincode.

use bincode::Options as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Encodes with fixed-size little-endian integers; `None` when it would be longer than `limit` octets.
pub(super) fn encode(value: &impl Serialize, limit: u64) -> Option<Vec<u8>> {
    options(limit).serialize(value).ok()
}

/// Decodes all of `octets`; `None` when they are not exactly one `T`.
pub(super) fn decode<T: DeserializeOwned>(octets: &[u8]) -> Option<T> {
    options(octets.len() as u64).deserialize(octets).ok()
}

/// The limit keeps a forged length from reserving memory: bincode's free functions have none.
fn options(limit: u64) -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_little_endian().with_limit(limit).reject_trailing_bytes()
}

#[derive(Serialize, Deserialize)]
pub(super) struct EnvelopeV1 {
    pub(super) received_at: u64,
    /// Empty for the null path.
    pub(super) reverse_path: String,
    pub(super) recipients: Vec<RecipientV1>,
    pub(super) origin: OriginV1,
    pub(super) body: BodyTypeV1,
    pub(super) smtputf8: bool,
    pub(super) ret: Option<RetV1>,
    pub(super) envid: Option<String>,
    pub(super) annotations: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecipientV1 {
    pub(super) mailbox: String,
    pub(super) notify: Option<NotifyV1>,
    pub(super) orcpt: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct NotifyV1 {
    pub(super) success: bool,
    pub(super) failure: bool,
    pub(super) delay: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) enum RetV1 {
    Full,
    Headers,
}

#[derive(Serialize, Deserialize)]
pub(super) enum BodyTypeV1 {
    SevenBit,
    EightBitMime,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OriginV1 {
    pub(super) peer: PeerV1,
    pub(super) reverse_name: Option<String>,
    pub(super) helo: Option<String>,
    pub(super) protocol: ProtocolV1,
    pub(super) login: Option<String>,
    pub(super) tls: Option<TlsV1>,
    pub(super) forwarded: Vec<(String, String)>,
    pub(super) notice_of: Option<NoticeOfV1>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum PeerV1 {
    Local,
    V4 { address: [u8; 4], port: u16 },
    V6 { address: [u8; 16], port: u16 },
}

#[derive(Serialize, Deserialize)]
pub(super) struct ProtocolV1 {
    pub(super) extended: bool,
    pub(super) tls: bool,
    pub(super) authenticated: bool,
    pub(super) utf8: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TlsV1 {
    pub(super) version: String,
    pub(super) cipher: String,
    pub(super) client: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct NoticeOfV1 {
    pub(super) original: u128,
    pub(super) recipients: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SealV1 {
    pub(super) completed_at: u64,
    pub(super) eight_bit: bool,
    pub(super) hops: u16,
    pub(super) message_id: Option<String>,
    pub(super) annotations: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ReceiptV1 {
    pub(super) at: u64,
    pub(super) what: HappeningV1,
    pub(super) recipients: Vec<u16>,
    pub(super) status: (u16, u16, u16),
    pub(super) reply_code: Option<u16>,
    pub(super) text: String,
    pub(super) route: String,
    pub(super) relay: String,
    pub(super) annotations: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum HappeningV1 {
    Delivered,
    Deferred,
    Failed,
    InDoubt,
    DelayNotified,
    Bounced,
    Held,
    Released,
    Requeued,
}
