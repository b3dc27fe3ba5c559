//! `[spam]`: the spam filter that users train.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::address::Mailbox;
use crate::config::alarm::Webhook;
use crate::config::error::Fault;
use crate::config::values;
use crate::policy::{Fallback, SpamCheckSettings, Thresholds, TrainingSettings};
use crate::spam::{SpamProgram, SpamScore, SpamSettings};

/// From which score on a message is marked: the default of bogofilter itself.
const OF_BOGOFILTER: f64 = 0.99;
/// That of rspamd, where it adds a field to the header.
const OF_RSPAMD: f64 = 6.0;

/// `[spam]`: a filter that gives each message a score, and learns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpamSection {
    /// The command line of bogofilter.
    #[serde(deserialize_with = "values::optional")]
    pub bogofilter: Option<String>,
    /// The URL of rspamd's controller.
    #[serde(deserialize_with = "values::optional")]
    pub rspamd: Option<Webhook>,
    /// The score from which on a message is marked as spam.
    #[serde(deserialize_with = "score")]
    pub tag: Option<SpamScore>,
    /// The score from which on it is held.
    #[serde(deserialize_with = "score")]
    pub hold: Option<SpamScore>,
    /// The score from which on it is refused.
    #[serde(deserialize_with = "score")]
    pub refuse: Option<SpamScore>,
    /// How long an answer may take: 1 s to 4 min, as RFC 5321 4.5.3.2 has clients wait 10 min there.
    #[serde(deserialize_with = "values::duration::<1, 240, _>")]
    pub timeout: Duration,
    /// What happens where there is no score.
    #[serde(deserialize_with = "values::text")]
    pub no_answer: Fallback,
    /// Clients whose mail is not judged.
    #[serde(deserialize_with = "values::list")]
    pub except: Vec<IpNet>,
    /// Whether the mail of clients that logged in is not judged.
    pub except_logins: bool,
    /// Octets of a body that are looked at: 1 kB to 10 MB.
    #[serde(deserialize_with = "values::size::<1_000, 10_000_000, _>")]
    pub contents: u64,
    /// The address whose mail is learnt as spam.
    #[serde(deserialize_with = "values::optional")]
    pub train_spam: Option<Mailbox>,
    /// The address whose mail is learnt as ham.
    #[serde(deserialize_with = "values::optional")]
    pub train_ham: Option<Mailbox>,
    /// Clients that may send to these addresses without a login.
    #[serde(deserialize_with = "values::list")]
    pub train_from: Vec<IpNet>,
}

impl Default for SpamSection {
    fn default() -> Self {
        Self {
            bogofilter: None,
            rspamd: None,
            tag: None,
            hold: None,
            refuse: None,
            timeout: Duration::from_secs(30),
            no_answer: Fallback::Defer,
            except: Vec::new(),
            except_logins: false,
            contents: 512 * 1024,
            train_spam: None,
            train_ham: None,
            train_from: Vec::new(),
        }
    }
}

impl SpamSection {
    /// The filter, if there is one; what it learns is remembered in the spool.
    pub(in crate::config) fn filter(&self, spool: &Path) -> Option<SpamSettings> {
        let of_rspamd = || self.rspamd.as_ref().map(|url| SpamProgram::Rspamd(url.reveal().to_owned()));
        Some(SpamSettings {
            program: self.bogofilter.clone().map(SpamProgram::Bogofilter).or_else(of_rspamd)?,
            timeout: self.timeout,
            contents: usize::try_from(self.contents).unwrap_or(usize::MAX),
            memory: spool.join("log").join("spam-learned"),
        })
    }

    /// What is done by its scores, and who may train it.
    pub(in crate::config) fn check(&self) -> Option<SpamCheckSettings> {
        Some(SpamCheckSettings {
            thresholds: Thresholds { tag: self.tag()?, hold: self.hold, refuse: self.refuse },
            fallback: self.no_answer,
            except: self.except.clone(),
            except_logins: self.except_logins,
            training: TrainingSettings {
                spam: self.train_spam.clone(),
                ham: self.train_ham.clone(),
                networks: self.train_from.clone(),
            },
        })
    }

    fn tag(&self) -> Option<SpamScore> {
        self.tag.or_else(|| SpamScore::new(if self.bogofilter.is_some() { OF_BOGOFILTER } else { OF_RSPAMD }))
    }
}

/// Keys without a filter, two filters, and thresholds that are never reached.
pub(in crate::config) fn faults(spam: &SpamSection) -> Vec<Fault> {
    let fault = |key: &str, reason: String| vec![Fault::new(format!("spam.{key}"), reason)];
    match (&spam.bogofilter, &spam.rspamd) {
        (None, None) if *spam == SpamSection::default() => return Vec::new(),
        (None, None) => {
            let reason = "[spam] has no filter; set spam.bogofilter or spam.rspamd";
            return vec![Fault::new("spam", reason)];
        }
        (Some(_), Some(_)) => return fault("rspamd", "[spam] has two filters; remove one of them".to_owned()),
        (None, Some(_)) if !cfg!(feature = "webhook") => {
            let reason =
                "this leafmail was built without the feature webhook; use spam.bogofilter, or rspamd as a [[milter]]";
            return fault("rspamd", reason.to_owned());
        }
        (Some(command), None) if command.trim().is_empty() => {
            return fault("bogofilter", "spam.bogofilter is empty; an example is \"bogofilter -d FOLDER\"".to_owned());
        }
        _ => {}
    }
    let mut faults = Vec::new();
    let steps = [("tag", spam.tag()), ("hold", spam.hold), ("refuse", spam.refuse)];
    let steps: Vec<_> = steps.iter().filter_map(|(key, score)| Some((*key, (*score)?))).collect();
    for pair in steps.windows(2) {
        let [(low, from), (high, to)] = pair else { continue };
        if from > to {
            faults.extend(fault(high, format!("spam.{high} ({to}) is below spam.{low} ({from})")));
        }
    }
    if spam.bogofilter.is_some() {
        let is_above = |score: SpamScore| SpamScore::new(1.0).is_some_and(|most| score > most);
        for (key, score) in steps.into_iter().filter(|(_, score)| is_above(*score)) {
            faults.extend(fault(key, format!("spam.{key} is {score}, but the scores of bogofilter end at 1")));
        }
    }
    if spam.train_spam.is_some() && spam.train_spam == spam.train_ham {
        faults.extend(fault("train_ham", "spam.train_ham is the same address as spam.train_spam".to_owned()));
    }
    faults
}

fn score<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SpamScore>, D::Error> {
    deserializer.deserialize_f64(ScoreVisitor).map(Some)
}

struct ScoreVisitor;

impl Visitor<'_> for ScoreVisitor {
    type Value = SpamScore;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a score such as 0.99 or 6")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<SpamScore, E> {
        let within = (-1_000.0..=1_000.0).contains(&number);
        let found = || E::custom(format!("expected a score from -1000 to 1000, but found the number {number}"));
        if within { SpamScore::new(number).ok_or_else(found) } else { Err(found()) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<SpamScore, E> {
        match i32::try_from(number) {
            Ok(number) => self.visit_f64(number.into()),
            Err(_) => Err(E::custom(format!("expected a score from -1000 to 1000, but found the number {number}"))),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<SpamScore, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn contradictions_name_the_key_and_the_remedy() {
        let filter = "[spam]\nbogofilter = \"bogofilter -d /d\"\n";
        for (text, expected) in [
            ("[spam]\ntag = 0.9".to_owned(), "[spam] has no filter; set spam.bogofilter or spam.rspamd"),
            (format!("{filter}rspamd = \"http://h\""), "leafmail.toml:3: [spam] has two filters"),
            ("[spam]\nbogofilter = \" \"".to_owned(), "leafmail.toml:2: spam.bogofilter is empty"),
            (format!("{filter}hold = 0.5"), "leafmail.toml:3: spam.hold (0.5) is below spam.tag (0.99)"),
            (
                format!("{filter}hold = 1\nrefuse = 0.995"),
                "leafmail.toml:4: spam.refuse (0.995) is below spam.hold (1)",
            ),
            (
                format!("{filter}refuse = 15"),
                "leafmail.toml:3: spam.refuse is 15, but the scores of bogofilter end at 1",
            ),
            (
                format!("{filter}train_spam = \"a@b.example\"\ntrain_ham = \"a@b.example\""),
                "leafmail.toml:4: spam.train_ham is the same address",
            ),
        ] {
            let error = Config::parse(&text, "leafmail.toml".as_ref()).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let fine = format!("{filter}tag = 0.5\nhold = 0.9\nrefuse = 1\ntrain_spam = \"spam@b.example\"");
        Config::parse(&fine, "leafmail.toml".as_ref()).unwrap().check().unwrap();
    }

    #[test]
    fn a_training_address_is_a_recipient_where_only_some_are() {
        let text =
            "[spam]\nbogofilter = \"b\"\ntrain_ham = \"ham@relay.example\"\n[recipients]\nallow = [\"@a.example\"]\n";
        let allowed = Config::parse(text, "leafmail.toml".as_ref()).unwrap().rules().recipients.allow;
        assert_eq!(allowed.len(), 2, "{allowed:?}");
        let open = text.replace("allow = [\"@a.example\"]", "");
        assert!(Config::parse(&open, "leafmail.toml".as_ref()).unwrap().rules().recipients.allow.is_empty());
    }
}
