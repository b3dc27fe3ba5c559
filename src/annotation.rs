//! The names of all annotations: what an envelope or a receipt has besides its fields, as named texts.
//!
//! A name never changes its meaning, because messages in spools have it. `docs/spool-format.md` describes each of them, and
//! a test compares its table with [`OF_ENVELOPES`], [`OF_RECEIPTS`] and [`KINDS_OF_NOTICES`].

/// Of an envelope: AUTH= of MAIL, decoded (RFC 4954 5).
pub const AUTH: &str = "auth";

/// Of an envelope: the user of this host who handed the message over.
pub const LOCAL_USER: &str = "local-user";

/// Of an envelope: the recipient who was added for the copy of `[archive]`.
pub const ARCHIVE: &str = "archive";

/// Of an envelope: leafmail wrote the message, about no other message. The value is one of [`KINDS_OF_NOTICES`].
pub const NOTICE: &str = "notice";

/// A kind of notice: the list of failures that were not reported to their senders.
pub const DIGEST: &str = "digest";

/// A kind of notice: a heartbeat.
pub const HEARTBEAT: &str = "heartbeat";

/// Of an envelope: the message was made from another for the several addresses of an alias, which are not looked up again.
/// Also a kind of notice: what was made so from a message of leafmail.
pub const EXPANDED: &str = "expanded";

/// Of an envelope: the message is the copy for the members of a mailing list, whose address this is.
pub const LIST: &str = "list";

/// Of such a copy: each of its recipients gets it with a sender of his own.
pub const VERP: &str = "verp";

/// Of an envelope or a seal: what a policy noted about the message when it accepted it. There may be several.
pub const NOTE: &str = "note";

/// Of a seal: why a policy wants that the message waits in `hold/` until a person releases it.
pub const HOLD: &str = "hold";

/// Of a seal: a change to the header that a policy wanted when the message had ended, in the words of
/// `HeaderEdit`. It is made wherever the message leaves the spool. There may be several.
pub const HEADER_EDIT: &str = "header-edit";

/// Of a seal: a change to the envelope that a policy wanted when the message had ended, in the words of `EnvelopeEdit`. The
/// reader of the file makes it. There may be several.
pub const ENVELOPE_EDIT: &str = "envelope-edit";

/// Of an envelope or a seal: the route that a policy chose, by name; for one recipient, if its address follows a tab.
pub const ROUTE: &str = "route";

/// Of a receipt: a person did it. The value is the number of the user.
pub const BY_HAND: &str = "by-hand";

/// Of an in-doubt receipt that is written just before the end mark. It becomes an attempt of its own only when no later
/// receipt records how the attempt ended, that is after a crash.
pub const HANDED_OVER: &str = "handed-over";

/// Of the deferral that ends such a receipt where the route, not the message, was at fault: it is no attempt.
pub const UNCOUNTED: &str = "uncounted";

/// Of a delivery that no next hop will report: a sender who asked for reports of success gets one from this relay. The
/// value is the action to be reported (`relayed`, `delivered` or `expanded`), `relayed` where there is none.
pub const UNREPORTED: &str = "dsn-not-passed-on";

/// Of the receipt that such a delivery was reported; its recipients were delivered to before.
pub const REPORTED: &str = "relayed-dsn-sent";

/// Of the receipt that a sender gets no notice because there were too many. On a failure: a person decides.
pub const WITHHELD: &str = "notice-withheld";

/// Of a receipt: what was behind a failure that no next hop spoke of, as the word of a cause (`src/receipt/cause.rs`).
pub const CAUSE: &str = "cause";

/// Those of envelopes.
pub const OF_ENVELOPES: [&str; 9] = [ARCHIVE, AUTH, EXPANDED, LIST, LOCAL_USER, NOTE, NOTICE, ROUTE, VERP];

/// Those of seals.
pub const OF_SEALS: [&str; 5] = [ENVELOPE_EDIT, HEADER_EDIT, HOLD, NOTE, ROUTE];

/// Those of receipts.
pub const OF_RECEIPTS: [&str; 7] = [BY_HAND, CAUSE, HANDED_OVER, UNCOUNTED, UNREPORTED, REPORTED, WITHHELD];

/// What [`NOTICE`] may say.
pub const KINDS_OF_NOTICES: [&str; 3] = [DIGEST, EXPANDED, HEARTBEAT];
