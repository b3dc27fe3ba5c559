//! `recipients.source`: from the text of the key to who is asked, and what must hold of it.

use super::databases;
use crate::config::error::Fault;
use crate::config::{Config, SourceText};
use crate::recipients::{RecipientSettings, RecipientSource};
use crate::transport::{NextHop, RouteSettings};

impl Config {
    /// Who knows which recipients exist, if anybody; `None` also where that cannot work, which is a fault.
    pub fn recipient_settings(&self) -> Option<RecipientSettings> {
        let recipients = &self.recipients;
        let source = match recipients.source.clone()? {
            SourceText::File(path) => RecipientSource::File(path),
            SourceText::Command(line) => RecipientSource::Command(line),
            SourceText::Callout(route) => RecipientSource::Callout(Box::new(self.callout_hop(&route)?)),
            SourceText::Database(url) => RecipientSource::Database(databases::question(
                Some(&url),
                recipients.source_query.as_ref(),
                &recipients.source_password_file,
            )?),
        };
        Some(RecipientSettings {
            source,
            domains: recipients.source_domains.clone(),
            timeout: recipients.source_timeout,
            fallback: recipients.source_no_answer,
        })
    }

    /// The main next hop of a route, if it speaks SMTP and has a name of its own.
    fn callout_hop(&self, route: &str) -> Option<RouteSettings> {
        let plan = self.routes().into_iter().find(|plan| plan.name == route)?;
        plan.hops.into_iter().next().filter(|hop| matches!(hop.next_hop, NextHop::Smarthost(_)))
    }

    /// What is wrong with the keys of a database.
    fn asked_database(&self) -> Option<Fault> {
        let recipients = &self.recipients;
        let url = match &recipients.source {
            Some(SourceText::Database(url)) => Some(url),
            _ => None,
        };
        let keys = databases::Keys {
            place: "recipients",
            url: ("source", url),
            query: ("source_query", recipients.source_query.as_ref()),
            password: ("source_password_file", recipients.source_password_file.is_some()),
            example: "SELECT 1 FROM mailboxes WHERE address = :address",
        };
        keys.fault().or_else(|| {
            let query = recipients.source_query.as_ref().filter(|query| !query.names_mailbox())?;
            let reason =
                format!("recipients.source_query is \"{query}\", which says the same of each mailbox; use :address");
            Some(Fault::new("recipients.source_query", reason))
        })
    }

    /// A source must have domains and be there to be asked.
    pub(super) fn recipient_source(&self) -> Option<Fault> {
        let recipients = &self.recipients;
        if let Some(fault) = self.asked_database() {
            return Some(fault);
        }
        let Some(source) = &recipients.source else {
            let reason = "verify.source is set, but recipients.source is not";
            return self.verify.source.then(|| Fault::new("verify.source", reason));
        };
        if recipients.source_domains.is_empty() {
            let reason = "recipients.source is set, but recipients.source_domains names no domain that it knows";
            return Some(Fault::new("recipients.source", reason));
        }
        match source {
            SourceText::Callout(route) if self.callout_hop(route).is_none() => {
                let reason = format!(
                    "recipients.source asks the route {route}, but there is no such route with the URL of a smarthost"
                );
                Some(Fault::new("recipients.source", reason))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_source_that_cannot_be_asked_names_its_line_and_the_remedy() {
        for (text, expected) in [
            ("[verify]\nsource = true", "leafmail.toml:2: verify.source is set, but"),
            (
                "[recipients]\nsource = \"file:/r\"",
                "leafmail.toml:2: recipients.source is set, but recipients.source_domains",
            ),
            (
                "[recipients]\nsource = \"callout:relay\"\nsource_domains = [\"a.example\"]",
                "leafmail.toml:2: recipients.source asks the route relay, but",
            ),
        ] {
            let config = Config::parse(text, "leafmail.toml".as_ref()).unwrap();
            let reason = config.check().unwrap_err().to_string();
            assert!(reason.starts_with(expected), "{reason}");
        }
        for bad in ["file:", "/r", "sql:x", ""] {
            let text = format!("[recipients]\nsource = \"{bad}\"");
            let error = Config::parse(&text, "leafmail.toml".as_ref()).unwrap_err().to_string();
            assert!(
                error.contains("expected file:PATH, command:LINE, callout:ROUTE or the URL of a database"),
                "{error}"
            );
        }
        let good =
            "[recipients]\nsource = \"callout:relay\"\nsource_domains = [\"a.example\"]\n[relay]\nurl = \"smtp://h\"";
        let config = Config::parse(good, "leafmail.toml".as_ref()).unwrap();
        assert_eq!((config.check(), config.recipient_settings().is_some()), (Ok(()), true));
    }
}
