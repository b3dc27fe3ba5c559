//! Both binaries as programs: with clients in front, a next hop behind, and crashes in between.

mod administrator;
mod alarms;
mod any_password;
mod archive;
mod bounded_waits;
#[cfg(feature = "page")]
mod browser;
#[cfg(feature = "webhook")]
mod chats;
mod checks;
mod client_programs;
mod crash;
#[cfg(feature = "sql")]
mod databases_asked;
mod dkim_keys;
#[cfg(feature = "auth-checks")]
mod dkim_signatures;
mod doctor;
#[cfg(feature = "dns")]
mod doctor_to;
mod end_to_end;
mod event_hooks;
mod explain;
mod filters_killed;
mod first_lines;
mod floods;
mod forwarding;
mod hanging_ends;
mod header_edits;
mod held_by_route;
mod help;
mod helper_alarms;
mod hooks;
mod hooks_envelope;
mod hooks_logins;
mod hostile_helpers;
mod large_messages;
mod line_ends;
mod listeners;
mod listening_addresses;
mod lists;
mod live_view;
mod lockouts;
mod logs;
#[cfg(feature = "sql")]
mod mail_in_tables;
mod mail_stores;
mod many_forwarders;
mod message_format;
mod metrics;
mod milters;
mod misconfigured;
mod monitors;
mod old_clients;
mod own_mail;
#[cfg(feature = "page")]
mod page_attacks;
#[cfg(feature = "page")]
mod page_client;
#[cfg(feature = "page")]
mod page_in_browser;
#[cfg(feature = "page")]
mod page_served;
mod pipes;
mod policy_services;
mod postgrey;
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
#[cfg(feature = "dns")]
mod senders_beside_opendmarc;
mod senders_checked;
mod senders_signed;
mod sendmail;
mod sendmail_callers;
mod silence;
mod smarthost_returns;
mod spam;
#[path = "../support/mod.rs"]
mod support;
mod syscalls;
mod tls_and_logins;
mod two_administrators;
mod verbs;
#[cfg(feature = "webhook")]
mod web_server;
#[cfg(feature = "webhook")]
mod web_services;

use support::{client, fake_smarthost, have, recipient_sink, site};
