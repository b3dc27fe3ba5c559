//! From a file to a [`Config`](super::Config), or to all that is wrong with it.
//!
//! [`mod@file`] finds and reads the file, [`gather`] makes the sections of it and goes on after a slip, so that one run says
//! all of them, [`keys`] knows which key belongs where, [`scalars`], [`units`] and [`network`] read single values, and
//! [`error`] says what is wrong. Nothing here looks at two keys at once; [`super::check`] does.

pub(super) mod error;
pub(super) mod file;
mod gather;
pub(super) mod keys;
pub(super) mod lists;
pub(super) mod network;
pub(super) mod origin;
pub(super) mod scalars;
pub(super) mod units;
pub(super) mod values;
mod words;
