//! Both binaries as programs: with clients in front, a next hop behind, and crashes in between.

mod client;
mod end_to_end;
mod have;
mod peers;
mod proxied;
mod secured;
mod site;
