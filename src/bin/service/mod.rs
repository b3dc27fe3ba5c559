//! `smtpd` as a service: what listens continuously, alone or as a worker, the supervisor above it, and what `--status` shows.

mod listening;
mod mail_list;
pub(crate) mod options;
pub(crate) mod pages;
pub(crate) mod receiver;
mod screen;
mod single;
mod sockets;
mod start;
mod status;
mod supervise;
mod telling;

use leafmail::config::Config;
use leafmail::supervisor::WorkerEnv;

pub(crate) use single::{has_client, serve_one, turn_away};
pub(crate) use sockets::sockets_are_handed_over;
pub(crate) use status::status;

use options::Options;

/// Listens until TERM or INT: as a worker, under a supervisor, or alone.
pub(crate) fn listen_continuously(options: &Options, config: &Config) -> anyhow::Result<()> {
    match WorkerEnv::given() {
        Some(orders) => listening::as_worker(options, config, &orders),
        None if options.service.supervise => supervise::supervise(options, config),
        None => listening::alone(options, config),
    }
}
