//! What is said of octets that a message may not have, and of an end that is none.

use crate::address::Domain;
use crate::smtp::body::{Blemish, FalseEnd};
use crate::smtp::{EnhancedCode, Reply};

/// Octets that RFC 5321 2.3.8 forbids.
pub fn blemished(blemish: Blemish) -> Reply {
    match blemish {
        Blemish::BareCr => reply!(
            550,
            (5, 5, 2),
            "the message holds a CR without LF; the relay repairs that with its setting message.bare_newline = \"normalize\""
        ),
        Blemish::BareLf => reply!(
            550,
            (5, 5, 2),
            "the message holds an LF without CR; the relay repairs that with its setting message.bare_newline = \"normalize\""
        ),
        Blemish::Nul => reply!(550, (5, 5, 2), "the message holds a NUL octet"),
    }
}

/// The client waits for the reply to a message whose end has not come (RFC 5321 4.1.1.4). A temporary error, as it may be
/// the network that keeps the rest back.
pub fn ended_wrongly(hostname: &Domain, end: FalseEnd) -> Reply {
    let (lines, remedy) = match end {
        FalseEnd::Lf => ("LF alone", "or list its address in the relay's setting clients.lf_only"),
        FalseEnd::Mixed => {
            ("LF alone", "as one of them did: so the relay's setting clients.lf_only does not help this message")
        }
        FalseEnd::Cr => ("CR alone", "there is no other way"),
        FalseEnd::CrCrLf => ("CR CR LF", "often by sending in binary mode instead of text mode"),
    };
    reply!(
        421,
        (4, 5, 2),
        "{hostname} waits for the end of the message, which is CR LF . CR LF (RFC 5321); lines that end in {lines} do not \
         end it; set the client to end lines with CR LF, {remedy}"
    )
}

/// The same for the log, where the client has gone.
pub fn false_end_remark(end: FalseEnd) -> &'static str {
    match end {
        FalseEnd::Lf => {
            "left after LF . LF, which ends no message: it ends lines with LF alone; set it to end them with CR LF, or list it \
             in clients.lf_only"
        }
        FalseEnd::Mixed => {
            "left after LF . LF, which ends no message in which a line ended in CR LF, in spite of clients.lf_only"
        }
        FalseEnd::Cr => "left after CR . CR, which ends no message: it ends lines with CR alone",
        FalseEnd::CrCrLf => "left after CR LF . CR CR LF, which ends no message: it ends lines with CR CR LF",
    }
}
