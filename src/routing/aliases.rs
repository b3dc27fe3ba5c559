//! Aliases: local addresses that mean other people, such as `root: admin@example.com`.
//!
//! All names are resolved when the table is made, so a loop or a fan-out is found by `--check` and not by a message,
//! and a look-up takes a few steps. It neither reads files nor delivers to programs.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::alias_entry::{Entry, Name, Place, Reference};
use super::alias_text;
use crate::address::{Domain, Mailbox};

pub use super::alias_entry::AliasError;

/// How many aliases may lead to each other in a row.
const MAX_DEPTH: usize = 10;
/// How many addresses one alias may have in the end; the most recipients of a message.
const MAX_TARGETS: usize = 1_000;
/// How many addresses all aliases together may have; bounds time and memory where lists name lists.
const MAX_WORK: usize = 250_000;

/// To which domains names without a domain belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDomains {
    /// Names without a domain, and `*`, are for the addresses of these domains only.
    pub domains: Vec<Domain>,
    /// Of targets without a domain that are no alias.
    pub default: Domain,
}

/// Whom an address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Itself: there is no alias for it.
    Unchanged,
    /// Somebody else.
    One(Mailbox),
    /// Several, in the order of the table, each once, at most 1,000; the address itself may be among them.
    Many(Vec<Mailbox>),
}

/// All aliases, resolved.
#[derive(Debug, Clone)]
pub struct Aliases {
    local: LocalDomains,
    names: HashMap<Name, usize>,
    resolved: Vec<Resolved>,
}

/// What an alias leads to in the end; `None` is the address that was looked up: a copy stays.
#[derive(Debug, Clone, Default)]
struct Resolved {
    targets: Vec<Option<Mailbox>>,
    depth: usize,
}

impl Aliases {
    /// Without any alias.
    pub fn none(local: LocalDomains) -> Self {
        Self { local, names: HashMap::new(), resolved: Vec::new() }
    }

    /// Reads lines of the form `name: target, target`: a line that begins with white space continues the one before, and `#`
    /// begins a comment.
    ///
    /// # Errors
    /// With the line: what is no name or no target, a name that is there already, aliases that lead to themselves, more than 10
    /// in a row, or to more than 1,000 addresses.
    pub fn parse(text: &str, local: LocalDomains) -> Result<Self, AliasError> {
        Self::new(text, &BTreeMap::new(), local)
    }

    /// As [`parse`](Self::parse), and with the entries of a table, as if they were lines after it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), for entries of the table with their name in place of the line.
    pub fn new(text: &str, table: &BTreeMap<String, Vec<String>>, local: LocalDomains) -> Result<Self, AliasError> {
        let mut entries = alias_text::entries(text, &local.default)?;
        for (name, targets) in table {
            let targets = targets.iter().map(String::as_str);
            entries.push(Entry::parse(Place::of_table(name), name, targets, &local.default)?);
        }
        Self::resolve(entries, local)
    }

    /// Whether there is no alias at all.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whom an address means.
    pub fn target(&self, mailbox: &Mailbox) -> Target {
        let Some(index) = find(&self.names, &self.local, mailbox) else { return Target::Unchanged };
        let mut seen = HashSet::new();
        let targets = self.resolved[index].targets.iter().map(|target| target.as_ref().unwrap_or(mailbox));
        let targets: Vec<Mailbox> = targets.filter(|target| seen.insert(*target)).cloned().collect();
        match <[Mailbox; 1]>::try_from(targets) {
            Ok([only]) if only == *mailbox => Target::Unchanged,
            Ok([only]) => Target::One(only),
            Err(several) => Target::Many(several),
        }
    }

    fn resolve(entries: Vec<Entry>, local: LocalDomains) -> Result<Self, AliasError> {
        let mut names = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if let Some(first) = names.insert(entry.name.clone(), index) {
                return Err(entry.fault(format!("there is an alias of this name already, at {}", entries[first].place)));
            }
        }
        let mut resolver =
            Resolver { entries: &entries, names: &names, local: &local, resolved: vec![None; entries.len()], work: 0 };
        for index in 0..entries.len() {
            resolver.visit(index, &mut Vec::new())?;
        }
        let resolved = resolver.resolved.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self { local, names, resolved })
    }
}

/// The alias for an address: of the whole address, of the local part in a local domain, of the domain, of all local domains.
fn find(names: &HashMap<Name, usize>, local: &LocalDomains, mailbox: &Mailbox) -> Option<usize> {
    let domain = mailbox.domain();
    let is_local = local.domains.contains(domain);
    let find = |name: Name| names.get(&name).copied();
    let parts = || with_and_without_detail(mailbox.local());
    parts()
        .find_map(|part| find(Name::address(part, domain)))
        .or_else(|| parts().filter(|_| is_local).find_map(|part| find(Name::local(part))))
        .or_else(|| find(Name::Domain(domain.clone())))
        .or_else(|| find(Name::Everything).filter(|_| is_local))
}

/// `user+detail`, then `user` (RFC 5233).
fn with_and_without_detail(local: &str) -> impl Iterator<Item = &str> {
    let user = local.split_once('+').map(|(user, _)| user).filter(|user| !user.is_empty());
    std::iter::once(local).chain(user)
}

/// Resolves each alias once, whoever leads to it.
struct Resolver<'a> {
    entries: &'a [Entry],
    names: &'a HashMap<Name, usize>,
    local: &'a LocalDomains,
    resolved: Vec<Option<Resolved>>,
    work: usize,
}

impl Resolver<'_> {
    /// How many aliases in a row begin here. `path` are those that led here; its bound is that of the recursion.
    fn visit(&mut self, index: usize, path: &mut Vec<usize>) -> Result<usize, AliasError> {
        let entry = &self.entries[index];
        if let Some(begin) = path.iter().position(|before| *before == index) {
            let circle: Vec<String> = path[begin..].iter().map(|one| self.entries[*one].place.to_string()).collect();
            let remedy = "a backslash before a target means that it is no alias";
            return Err(entry.fault(format!("it leads back to itself, by way of {}; {remedy}", circle.join(", "))));
        }
        if let Some(resolved) = &self.resolved[index] {
            return Ok(resolved.depth);
        }
        let too_deep = || entry.fault(format!("more than {MAX_DEPTH} aliases lead to each other"));
        if path.len() == MAX_DEPTH {
            return Err(too_deep());
        }
        path.push(index);
        let (mut targets, mut seen, mut depth) = (Vec::new(), HashSet::new(), 1);
        for reference in &entry.targets {
            let found = self.look_up(index, reference);
            let several = match found {
                Found::Itself => vec![None],
                Found::Mailbox(mailbox) => vec![Some(mailbox)],
                Found::Alias(next) => {
                    depth = depth.max(1 + self.visit(next, path)?);
                    self.through(next)
                }
            };
            self.work += several.len();
            targets.extend(several.into_iter().filter(|target| seen.insert(target.clone())));
            if targets.len() > MAX_TARGETS {
                return Err(entry.fault(format!("it leads to more than {MAX_TARGETS} addresses")));
            }
            if self.work > MAX_WORK {
                return Err(entry.fault("the aliases up to here lead to too many addresses".into()));
            }
        }
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        path.pop();
        self.resolved[index] = Some(Resolved { targets, depth });
        Ok(depth)
    }

    /// What a target of the alias at `index` is; one that would lead back to that alias is an address.
    fn look_up(&self, index: usize, reference: &Reference) -> Found {
        let alias = |found: Option<usize>| found.filter(|found| *found != index).map(Found::Alias);
        match reference {
            Reference::Address(mailbox) => {
                alias(find(self.names, self.local, mailbox)).unwrap_or_else(|| Found::Mailbox(mailbox.clone()))
            }
            Reference::Local(mailbox) | Reference::Final(mailbox)
                if Name::local(mailbox.local()) == self.entries[index].name =>
            {
                Found::Itself
            }
            Reference::Final(mailbox) => Found::Mailbox(mailbox.clone()),
            Reference::Local(mailbox) => {
                let named = |part| self.names.get(&Name::local(part)).copied();
                let by_name = with_and_without_detail(mailbox.local()).find_map(named);
                alias(by_name.or_else(|| find(self.names, self.local, mailbox)))
                    .unwrap_or_else(|| Found::Mailbox(mailbox.clone()))
            }
        }
    }

    /// What the alias at `index` leads to, for another that leads to it.
    fn through(&self, index: usize) -> Vec<Option<Mailbox>> {
        let itself = || self.entries[index].itself.clone();
        let targets = self.resolved[index].iter().flat_map(|resolved| &resolved.targets);
        targets.map(|target| target.clone().or_else(itself)).collect()
    }
}

enum Found {
    Itself,
    Mailbox(Mailbox),
    Alias(usize),
}

#[cfg(test)]
mod tests;
