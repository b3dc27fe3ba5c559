//! Both binaries as programs: with clients in front, a next hop behind, and crashes in between.

mod administrator;
mod alarms;
mod any_password;
mod bounded_waits;
mod client_programs;
mod crash;
mod doctor;
mod end_to_end;
mod explain;
mod first_lines;
mod floods;
mod forwarding;
mod help;
mod line_ends;
mod listening_addresses;
mod live_view;
mod lockouts;
mod logs;
mod many_forwarders;
mod misconfigured;
mod monitors;
mod old_clients;
mod own_mail;
mod privileges;
mod proxy_protocol;
mod random_operations;
mod real_into_smtpd;
mod real_limits;
mod real_outages;
mod real_security;
mod real_servers;
mod refusals;
mod replies;
mod rivals;
mod routes;
mod sendmail;
mod sendmail_callers;
mod silence;
#[path = "../support/mod.rs"]
mod support;
mod syscalls;
mod tls_and_logins;
mod two_administrators;
mod verbs;

use support::{client, fake_smarthost, have, recipient_sink, site};
