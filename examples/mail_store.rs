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

struct Shop(Arc<Database>);

#[async_trait]
impl Handler for Shop {
    type Visit = ();

    async fn rcpt_to(&self, _: &mut (), _: &ClientInfo<'_>, recipient: &Mailbox) -> Verdict {
        match recipient.local() {
            "ann" | "orders" => Verdict::Accept,
            _ => Verdict::no_such_mailbox(),
        }
    }

    async fn received(&self, _: &mut (), mail: &Mail) -> Result<Accepted, Reply> {
        let database = self.0.clone();
        mail.store(move |id, octets| keep(&database, id, octets)).await // the client gets its 250 after that
    }
}

fn keep(database: &Database, id: &str, octets: &[u8]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(MAIL)?.insert(id, octets)?;
    Ok(transaction.commit()?)
}

pub(crate) fn server(address: &str, database: &Path) -> Result<Running, Box<dyn Error>> {
    let shop = Shop(Arc::new(Database::create(database)?));
    Ok(Server::builder("mx.shop.lan").listen(address).start(shop)?)
}

#[allow(dead_code, reason = "a test runs the server without it")]
fn main() -> Result<(), Box<dyn Error>> {
    Ok(server("127.0.0.1:2527", "mail.redb".as_ref())?.wait()?)
}
