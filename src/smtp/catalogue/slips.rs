//! The sentences to clients that speak something else than SMTP on this port. Each names the slip and the setting.

use crate::smtp::{EnhancedCode, Reply};

/// TLS from the first octet on, on a port without.
pub fn tls_on_a_plain_port() -> Reply {
    reply!(
        554,
        (5, 5, 1),
        "TLS from the first octet on a port without: the client needs STARTTLS or no encryption here, or the relay the prefix \
         tls: in its setting listen.addresses"
    )
}

/// A header of the PROXY protocol, on a port that reads none.
pub fn proxy_header_on_a_plain_port() -> Reply {
    reply!(
        554,
        (5, 5, 2),
        "a PROXY header on a port without: the proxy must send none here, or the relay needs the prefix proxy: in its setting \
         listen.addresses, and the proxy in listen.proxy_from"
    )
}

/// HTTP: a browser, or a health check of the wrong type.
pub fn http() -> Reply {
    reply!(
        421,
        (4, 7, 0),
        "this is a mail server, not a web server: a health check of a port in the relay's setting listen.addresses must be of \
         the type TCP or SMTP"
    )
}
