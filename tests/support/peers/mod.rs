//! Daemons that others wrote, started by tests for themselves.

#[cfg(feature = "sql")]
pub(crate) mod databases;
pub(crate) mod dns_lab;
pub(crate) mod rspamd;
