//! An application that keeps its mail in a database of its own, and refuses mail for users whom it does not know.
//!
//! `cargo run --example mail_store`, then `curl smtp://127.0.0.1:2527 --mail-from me@lan --mail-rcpt ann@shop.lan -T FILE`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use leafmail::server::prelude::*;
use redb::{Database, TableDefinition};

/// The octets of each message by its id.
pub(crate) const MAIL: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("mail");

pub(crate) struct Shop(Arc<Database>);

#[async_trait]
impl Handler for Shop {
    type Visit = ();

    async fn rcpt_to(&self, _: &mut (), _: &ClientInfo<'_>, recipient: &Mailbox) -> Verdict {
        if ["ann", "orders"].contains(&recipient.local()) {
            return Verdict::Accept;
        }
        Verdict::Refuse(Reply::new(550, EnhancedCode(5, 1, 1), "there is no such user"))
    }

    async fn received(&self, _: &mut (), mail: &Mail) -> Result<Accepted, Reply> {
        // On a thread that may block, as the database waits for the disk. The client gets its 250 after that.
        let (database, id, octets) = (self.0.clone(), mail.id().to_string(), mail.octets());
        match tokio::task::spawn_blocking(move || {
            Ok::<_, Box<dyn Error + Send + Sync>>(keep(&database, &id, &octets?)?)
        })
        .await
        {
            Ok(Ok(())) => Ok(Accepted::Taken),
            _ => Err(Reply::new(451, EnhancedCode(4, 3, 0), "the database does not answer; try again later")),
        }
    }
}

fn keep(database: &Database, id: &str, octets: &[u8]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(MAIL)?.insert(id, octets)?;
    Ok(transaction.commit()?)
}

pub(crate) fn server(address: &str, database: &Path) -> Result<Running, Box<dyn Error>> {
    let shop = Shop(Arc::new(Database::create(database)?));
    Ok(Server::builder("mx.shop.lan").listen(address).max_size(10_000_000).start(shop)?)
}

#[allow(dead_code, reason = "a test runs the server without it")]
fn main() -> Result<(), Box<dyn Error>> {
    Ok(server("127.0.0.1:2527", "mail.redb".as_ref())?.wait()?)
}
