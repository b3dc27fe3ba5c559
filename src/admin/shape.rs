//! The shape of the queue: the age of the mail for each domain, like Postfix's `qshape`.
//!
//! If all mail of one domain is old, that domain has a problem. If all domains have old mail, the problem is here.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::listing::Listing;
use crate::clock::Timestamp;

/// The ages at which the columns end, in minutes; a last one has all that is older.
pub const COLUMNS: [u64; 10] = [5, 10, 20, 40, 80, 160, 320, 640, 1280, u64::MAX];

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Recipients who do not have the message yet, by their domain.
    Recipients,
    /// Messages, by their sender's domain.
    Senders,
}

/// The counts, by domain and age.
#[derive(Debug, Default)]
pub struct Shape {
    domains: HashMap<String, [u64; COLUMNS.len()]>,
}

impl Shape {
    /// Counts a message.
    pub fn count(&mut self, listing: &Listing, of: Of, now: Timestamp) {
        let column = column_of(now.since(listing.arrived));
        let mut enter = |domain: &str| match self.domains.get_mut(domain) {
            Some(counts) => counts[column] += 1,
            None => self.domains.entry(domain.to_ascii_lowercase()).or_default()[column] += 1,
        };
        match of {
            Of::Senders => {
                enter(listing.sender.mailbox().map_or("MAILER-DAEMON", |mailbox| mailbox.domain().as_str()));
            }
            Of::Recipients => {
                listing.recipients.iter().for_each(|recipient| enter(recipient.mailbox.domain().as_str()));
            }
        }
    }

    /// Those with most first.
    fn rows(&self) -> Vec<(&str, &[u64; COLUMNS.len()])> {
        let mut rows: Vec<_> = self.domains.iter().map(|(domain, counts)| (domain.as_str(), counts)).collect();
        rows.sort_unstable_by_key(|(domain, counts)| (std::cmp::Reverse(counts.iter().sum::<u64>()), *domain));
        rows
    }

    fn total(&self) -> [u64; COLUMNS.len()] {
        let mut total = [0; COLUMNS.len()];
        for counts in self.domains.values() {
            total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        total
    }

    /// As `qshape` prints it.
    pub fn text(&self) -> String {
        let mut text = format!("{:>32} {:>6}", "", "T");
        for name in column_names() {
            let _ = write!(text, " {name:>5}");
        }
        text.push('\n');
        let total = self.total();
        for (name, counts) in std::iter::once(("TOTAL", &total)).chain(self.rows()) {
            let _ = write!(text, "{name:>32} {:>6}", counts.iter().sum::<u64>());
            for count in counts {
                let _ = write!(text, " {count:>5}");
            }
            text.push('\n');
        }
        text
    }

    /// An object a domain, that of all first.
    pub fn json(&self) -> Vec<Value> {
        let total = self.total();
        let object = |(name, counts): (&str, &[u64; COLUMNS.len()])| {
            let ages: Map<String, Value> =
                column_names().into_iter().zip(counts.iter().map(|one| json!(one))).collect();
            json!({ "domain": name, "total": counts.iter().sum::<u64>(), "minutes": ages })
        };
        std::iter::once(("TOTAL", &total)).chain(self.rows()).map(object).collect()
    }
}

/// Where an age belongs.
pub(super) fn column_of(age: Duration) -> usize {
    let minutes = age.as_secs() / 60;
    COLUMNS.iter().position(|end| minutes < *end).unwrap_or(COLUMNS.len() - 1)
}

pub(super) fn column_names() -> [String; COLUMNS.len()] {
    std::array::from_fn(|column| match COLUMNS[column] {
        u64::MAX => format!("{}+", COLUMNS[column - 1]),
        end => end.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ReversePath;
    use crate::admin::RecipientState;
    use crate::id::SpoolId;
    use crate::spool::Folder;

    fn listing(sender: &str, recipients: &[&str]) -> Listing {
        let state = |address: &&str| RecipientState {
            mailbox: address.parse().unwrap(),
            status: None,
            reason: None,
            route: None,
        };
        let arrived = Timestamp::from_millis(1_000_000_000);
        Listing {
            id: SpoolId::new(arrived, 1, 1),
            folder: Folder::Queue,
            busy: false,
            size: 1,
            arrived,
            sender: ReversePath::parse(sender, None).unwrap(),
            recipients: recipients.iter().map(state).collect(),
            attempts: 0,
            forced_expire: false,
        }
    }

    #[test]
    fn each_recipient_counts_in_the_column_of_its_age_and_the_largest_domain_is_first() {
        let mut shape = Shape::default();
        let after = |minutes: u64| Timestamp::from_millis(1_000_000_000) + Duration::from_secs(60 * minutes);
        let (few, many) = (listing("s@a", &["x@few"]), listing("s@a", &["x@many", "y@MANY"]));
        for (message, minutes) in [(&few, 4), (&many, 5), (&many, 1279), (&many, 1280), (&few, 90_000)] {
            shape.count(message, Of::Recipients, after(minutes));
        }
        let rows: Vec<Vec<String>> =
            shape.text().lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
        assert_eq!(rows[0].join(" "), "T 5 10 20 40 80 160 320 640 1280 1280+");
        assert_eq!(rows[1].join(" "), "TOTAL 8 1 2 0 0 0 0 0 0 2 3");
        assert_eq!(rows[2].join(" "), "many 6 0 2 0 0 0 0 0 0 2 2");
        assert_eq!(rows[3].join(" "), "few 2 1 0 0 0 0 0 0 0 0 1");
        assert_eq!(shape.json()[1]["minutes"]["1280+"], 2);
    }

    #[test]
    fn each_message_counts_once_for_its_sender() {
        let mut shape = Shape::default();
        let now = Timestamp::from_millis(1_000_000_000);
        shape.count(&listing("", &["x@few"]), Of::Senders, now);
        shape.count(&listing("s@a", &["x@many", "y@many"]), Of::Senders, now);
        assert_eq!(shape.json()[0]["total"], 2);
        assert!(shape.text().contains("mailer-daemon"), "{}", shape.text());
    }
}
