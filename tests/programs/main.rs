//! Both binaries as programs: with clients in front, a next hop behind, and crashes in between.

mod administrator;
mod alarms;
mod by_hand;
#[path = "../support/client.rs"]
mod client;
mod crash;
mod end_to_end;
mod explain;
#[path = "../support/fake_smarthost.rs"]
mod fake_smarthost;
#[path = "../support/have.rs"]
mod have;
mod live;
mod logs;
mod monitors;
mod patience;
mod peers;
mod privileges;
mod proxied;
mod real_into_smtpd;
mod real_security;
mod real_servers;
mod rivals;
mod routes;
mod secured;
mod sendmail;
mod sendmail_callers;
#[path = "../support/site.rs"]
mod site;
mod smarthost;
mod syscalls;
mod together;
mod verbs;
