//! What sections name to have a value read: single ones, and lists of them.

pub(in crate::config) use super::lists::{durations, list, lists, non_empty_list, pairs, table, tables};
pub(in crate::config) use super::scalars::*;
