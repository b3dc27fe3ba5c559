//! Daemons that others wrote, started by tests for themselves.

pub(crate) mod dns_lab;
pub(crate) mod rspamd;
#[cfg(feature = "sql")]
pub(crate) mod sql_servers;
