//! A receiver with a policy of its own: mail for the boss is taken from nine to five only.
//!
//! `cargo run --example office_hours`, then `curl smtp://127.0.0.1:2526 --mail-from me@lan --mail-rcpt boss@lan -T FILE`.
//! What is accepted is in `./office-spool`; `spoolrun --spool office-spool list` shows it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Timelike;
use leafmail::address::{Mailbox, ReversePath};
use leafmail::config::Config;
use leafmail::dns::SystemResolver;
use leafmail::driver::{DiskWait, Front, Limits, Listener, MailList, Receiver, Security, Shutdown, listen};
use leafmail::policy::{Chain, ClientInfo, Policy};
use leafmail::session::{Settings, Verdict};
use leafmail::smtp::{EnhancedCode, Reply};
use leafmail::spool::{DirSpool, SpoolSettings};
use leafmail::sys::SystemClock;

struct OfficeHours;

#[async_trait]
impl Policy for OfficeHours {
    async fn rcpt(&self, _client: &ClientInfo<'_>, _sender: &ReversePath, recipient: &Mailbox) -> Verdict {
        if recipient.local() != "boss" || (9..17).contains(&chrono::Local::now().hour()) {
            return Verdict::Accept;
        }
        Verdict::Refuse(Reply::new(550, EnhancedCode(5, 7, 1), "the boss is out; write from nine to five"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default();
    let spool = DirSpool::open(Path::new("office-spool"), SpoolSettings::default(), Arc::new(SystemClock))?;
    let receiver = Receiver {
        settings: Arc::new(Settings::new(config.hostname.clone())),
        limits: Limits::default(),
        policy: Chain::new(config.rules(), Arc::new(SystemResolver::default()), vec![Arc::new(OfficeHours)]),
        resolver: None,
        security: Security::default(),
        spool: Arc::new(spool),
        disk_wait: DiskWait::Elsewhere,
        observer: Arc::new(()),
        clock: Arc::new(SystemClock),
        mail_list: MailList::default(),
        shutdown: Shutdown::default(),
    };
    listen(Arc::new(receiver), vec![Listener::tcp("127.0.0.1:2526".parse()?, Front::default())?]).await?;
    Ok(())
}
