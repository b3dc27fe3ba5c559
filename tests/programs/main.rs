//! Both binaries as programs: with clients in front, a next hop behind, and crashes in between.

mod administrator;
mod client;
mod crash;
mod end_to_end;
mod explain;
#[path = "../support/fake_smarthost.rs"]
mod fake_smarthost;
mod have;
mod peers;
mod proxied;
mod real_into_smtpd;
mod real_security;
mod real_servers;
mod secured;
mod site;
mod smarthost;
mod syscalls;
mod together;
