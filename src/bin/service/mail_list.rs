//! Who tells users of this host of their mail: the queue of this receiver's spool, with the routes as they are.

use std::sync::Arc;

use leafmail::admin::own_mail;
use leafmail::config::Config;
use leafmail::driver::MailLister;
use leafmail::session::MailQuery;
use leafmail::spool::DirSpool;

use crate::listing::routes;

/// Lists the mail of a spool.
pub(super) struct SpoolLister {
    pub(super) config: Config,
    pub(super) spool: Arc<DirSpool>,
}

impl MailLister for SpoolLister {
    fn list(&self, query: &MailQuery) -> Result<String, String> {
        own_mail(&*self.spool, query.uid, &routes(&self.config), query.json).map_err(|error| error.to_string())
    }
}
