//! SPF (RFC 7208): whether a domain permits an address to send mail in its name.
//!
//! The evaluation is pure but for the [`Dns`](crate::dns::Dns) that it asks. It is bounded: 10 terms that ask, 2 of them in vain, 10 names of one MX or
//! PTR answer, and the size of what macros make. That the DNS gives no answer is [`SpfResult::TempError`], and never a fail.

mod check;
mod evaluation;
mod macros;
mod outcome;
mod record;
#[cfg(test)]
mod tests;

pub use check::check_host;
pub use outcome::{SpfClient, SpfOutcome, SpfResult};
