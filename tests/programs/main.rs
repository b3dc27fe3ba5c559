//! Both binaries as programs: with clients in front, a next hop behind, and crashes in between.

mod administrator;
mod alarms;
mod any_password;
mod bounded_waits;
mod checks;
mod client_programs;
mod crash;
#[cfg(feature = "sql")]
mod databases;
mod dkim_keys;
#[cfg(feature = "auth-checks")]
mod dkim_signatures;
mod doctor;
mod end_to_end;
mod event_hooks;
mod explain;
mod first_lines;
mod floods;
mod forwarding;
mod hanging_ends;
mod help;
mod helper_alarms;
mod hooks;
mod large_messages;
mod line_ends;
mod listening_addresses;
mod lists;
mod live_view;
mod lockouts;
mod logs;
mod mail_stores;
mod many_forwarders;
mod message_format;
mod milters;
mod misconfigured;
mod monitors;
mod old_clients;
mod own_mail;
mod policy_services;
mod privileges;
mod proxy_protocol;
mod random_operations;
mod rate_limits;
mod real_into_smtpd;
mod real_limits;
mod real_outages;
mod real_security;
mod real_servers;
mod recipients_known;
mod refusals;
mod repeated_secrets;
mod replies;
mod rivals;
mod routes;
mod senders_checked;
mod sendmail;
mod sendmail_callers;
mod silence;
mod smarthost_returns;
#[path = "../support/mod.rs"]
mod support;
mod syscalls;
mod tls_and_logins;
mod two_administrators;
mod verbs;

use support::{client, fake_smarthost, have, recipient_sink, site};
