//! Daemons that others wrote, started by tests for themselves.

pub(crate) mod dns_lab;
