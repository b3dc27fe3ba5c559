//! `[[list]]`: mailing lists.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::address::{AddressPattern, Mailbox};
use crate::config::check::databases;
use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::mailing_list::{ListFrom, MailingList, Members, MembersError, Post};
use crate::transport::{AddressQuery, DatabaseAsker, DatabaseQuestion, DatabaseUrl};

/// How long a database may take to name members.
const PATIENCE: Duration = Duration::from_secs(10);

/// `[[list]]`: an address whose mail goes to several people, as that of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListSection {
    /// The address of the list.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub address: Option<Mailbox>,
    /// Its members.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub members: Vec<Mailbox>,
    /// A file of them, one address a line, read again when it changes.
    #[serde(deserialize_with = "values::optional")]
    pub members_file: Option<PathBuf>,
    /// A database that knows them.
    #[serde(deserialize_with = "values::optional")]
    pub members_database: Option<DatabaseUrl>,
    /// What it is asked.
    #[serde(deserialize_with = "values::optional")]
    pub members_query: Option<AddressQuery>,
    /// The file of the password for it.
    #[serde(deserialize_with = "values::optional")]
    pub members_password_file: Option<PathBuf>,
    /// Who may write to it, by the envelope sender.
    #[serde(deserialize_with = "post")]
    pub post: Post,
    /// Where bounces go; by default `LIST-bounces`.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub bounces: Option<Mailbox>,
    /// Whom members write to about the list; by default `LIST-owner`.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub owner: Option<Mailbox>,
    /// Whether each copy has an envelope sender that names its recipient.
    pub verp: bool,
    /// Octets of the largest message: 1 kB to 2 GB. `None`: as `message.max_size` says.
    #[serde(deserialize_with = "values::optional_size::<1_000, 2_000_000_000, _>")]
    pub max_size: Option<u64>,
    /// What is in `From:`.
    #[serde(deserialize_with = "values::text")]
    pub from: ListFrom,
    /// Whether VRFY and EXPN tell of it.
    pub expn: bool,
}

impl Default for ListSection {
    fn default() -> Self {
        Self {
            address: None,
            members: Vec::new(),
            members_file: None,
            members_database: None,
            members_query: None,
            members_password_file: None,
            post: Post::Members,
            bounces: None,
            owner: None,
            verp: false,
            max_size: None,
            from: ListFrom::Keep,
            expn: false,
        }
    }
}

impl ListSection {
    /// The list; `None` without an address, which is a fault.
    ///
    /// # Errors
    /// When its file of members cannot be used.
    pub fn list(&self) -> Result<Option<MailingList>, MembersError> {
        let Some(address) = self.address.clone() else { return Ok(None) };
        let other =
            |set: &Option<Mailbox>, suffix| set.clone().or_else(|| MailingList::default_address(&address, suffix));
        let (Some(bounces), Some(owner)) = (other(&self.bounces, "bounces"), other(&self.owner, "owner")) else {
            return Ok(None);
        };
        let members = match (&self.members_file, self.question()) {
            (Some(file), _) => Members::in_file(file.clone())?,
            (None, Some(question)) => {
                let (asker, list) = (DatabaseAsker::new(question), address.clone());
                Members::asked(&address, move || asker.texts(&list, Members::MOST, PATIENCE))
            }
            (None, None) => Members::fixed(self.members.clone()),
        };
        let Self { post, verp, max_size, from, expn, .. } = self.clone();
        Ok(Some(MailingList { address, members, post, bounces, owner, verp, max_size, from, expn }))
    }
}

impl ListSection {
    /// What a database is asked for the members; `None` also where something is missing, which is a fault.
    pub(in crate::config) fn question(&self) -> Option<DatabaseQuestion> {
        databases::question(self.members_database.as_ref(), self.members_query.as_ref(), &self.members_password_file)
    }

    /// The keys of members that are set.
    fn kinds_of_members(&self) -> Vec<&'static str> {
        let kinds = [
            ("members", !self.members.is_empty()),
            ("members_file", self.members_file.is_some()),
            ("members_database", self.members_database.is_some()),
        ];
        kinds.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
    }
}

/// A list without an address or members, with two kinds of members, or at an address where another one is.
pub(in crate::config) fn faults(lists: &[ListSection], admin: Option<&Mailbox>) -> Vec<Fault> {
    let is_at = |list: &ListSection, mailbox: &Mailbox| {
        list.address.as_ref().is_some_and(|address| address.to_string().eq_ignore_ascii_case(&mailbox.to_string()))
    };
    let fault = |(index, list): (usize, &ListSection)| {
        let place = format!("list[{index}]");
        let Some(address) = &list.address else {
            let reason = format!("{place} has no address; set {place}.address, such as \"staff@example.lan\"");
            return Some(Fault::new(place, reason));
        };
        if let Some(earlier) = lists[..index].iter().position(|other| is_at(other, address)) {
            let reason = format!("{place} has the address of list[{earlier}]; put the members of both into one");
            return Some(Fault::new(format!("{place}.address"), reason));
        }
        let database = databases::Keys {
            place: &place,
            url: ("members_database", list.members_database.as_ref()),
            query: ("members_query", list.members_query.as_ref()),
            password: ("members_password_file", list.members_password_file.is_some()),
            example: "SELECT address FROM members WHERE list = :address",
        };
        if let Some(fault) = database.fault() {
            return Some(fault);
        }
        let (place, reason) = match list.kinds_of_members()[..] {
            [] => {
                let reason = format!(
                    "{place} has no members; name them in {place}.members, {place}.members_file or \
                     {place}.members_database"
                );
                (place, reason)
            }
            [one, other, ..] => {
                let reason = format!("{place} has {one} and {other}; use one of them");
                (format!("{place}.{one}"), reason)
            }
            [_] => {
                let at = list.members.iter().position(|member| lists.iter().any(|other| is_at(other, member)));
                if let Some(at) = at {
                    let reason = format!("{place}.members names a list; a list has people as members");
                    (format!("{place}.members[{at}]"), reason)
                } else if admin.is_some_and(|admin| is_at(list, admin)) {
                    let reason =
                        format!("{place} is notices.admin, but a list takes no notifications; name a person there");
                    (format!("{place}.address"), reason)
                } else {
                    return None;
                }
            }
        };
        Some(Fault::new(place, reason))
    };
    lists.iter().enumerate().filter_map(fault).collect()
}

impl FromText for ListFrom {
    const EXPECTED: &'static str = "keep or \"via list\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "via list" => Ok(Self::ViaList),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

fn post<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Post, D::Error> {
    deserializer.deserialize_any(PostVisitor)
}

struct PostVisitor;

/// One of those who may write.
struct Poster(AddressPattern);

impl<'de> Deserialize<'de> for Poster {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::text(deserializer).map(Self)
    }
}

const EXPECTED_POST: &str = "members, anyone, or a list of addresses";

impl<'de> Visitor<'de> for PostVisitor {
    type Value = Post;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED_POST)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Post, E> {
        match text {
            "members" => Ok(Post::Members),
            "anyone" => Ok(Post::Anyone),
            _ => Err(E::custom(unexpected(EXPECTED_POST, text))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Post, A::Error> {
        let mut posters = Vec::new();
        while let Some(Poster(pattern)) = elements.next_element()? {
            posters.push(pattern);
        }
        if posters.is_empty() {
            return Err(A::Error::custom("expected a list with at least one entry, but found an empty one"));
        }
        Ok(Post::Only(posters))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::mailing_list::{ListFrom, Post};

    fn checked(text: &str) -> Result<Config, String> {
        let config = Config::parse(text, "leafmail.toml".as_ref()).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_list_has_addresses_for_bounces_and_questions_of_its_own() {
        let config = checked("[[list]]\naddress = \"staff@example.lan\"\nmembers = [\"ann@example.com\"]\n").unwrap();
        let list = config.list[0].list().unwrap().unwrap();
        assert_eq!(list.bounces.to_string(), "staff-bounces@example.lan");
        assert_eq!((list.owner.to_string().as_str(), &list.post), ("staff-owner@example.lan", &Post::Members));
        let text = "[[list]]\naddress = \"a@x.lan\"\nmembers = [\"b@x\"]\npost = [\"@x\"]\nfrom = \"via list\"\nmax_size = \"1MB\"";
        let list = checked(text).unwrap().list[0].list().unwrap().unwrap();
        assert!(
            matches!(list.post, Post::Only(_)) && list.from == ListFrom::ViaList && list.max_size == Some(1_000_000)
        );
    }

    #[test]
    fn slips_name_the_line() {
        let one = "[[list]]\naddress = \"a@x.lan\"\nmembers = [\"b@x\"]\n";
        for (text, expected) in [
            ("[[list]]\nmembers = [\"b@x\"]".to_owned(), "leafmail.toml:1: list[0] has no address"),
            ("[[list]]\naddress = \"a@x.lan\"".to_owned(), "leafmail.toml:1: list[0] has no members"),
            (format!("{one}members_file = \"/x\""), "leafmail.toml:3: list[0] has members and members_file"),
            (format!("{one}{one}"), "leafmail.toml:5: list[1] has the address of list[0]"),
            (
                format!("{one}[[list]]\naddress = \"c@x.lan\"\nmembers = [\"A@x.lan\"]"),
                "leafmail.toml:6: list[1].members",
            ),
            (format!("{one}post = \"nobody\""), "leafmail.toml:4: expected members, anyone, or a list of addresses"),
            (format!("{one}post = []"), "leafmail.toml:4: expected a list with at least one entry"),
            (format!("{one}from = \"list\""), "leafmail.toml:4: expected keep or \"via list\""),
            (format!("{one}[notices]\nadmin = \"a@x.lan\""), "leafmail.toml:2: list[0] is notices.admin"),
            ("[[list]]\naddress = \"\u{fc}@x.lan\"".to_owned(), "leafmail.toml:2: expected"),
        ] {
            let reason = checked(&text).expect_err(&text);
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
