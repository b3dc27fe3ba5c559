//! No two types that other modules can see have one name: a reader of `Entry` must not have to ask which.

use std::collections::BTreeMap;

use crate::tokens::{Token, tokens};
use crate::{Source, files};

/// Names that several types may have, each with the reason.
const SHARED: &[(&str, &str)] = &[];

/// The types of a file that are visible in the whole crate, outside of it, or in a folder that is named (`pub(in`).
fn visible_types(source: &Source) -> Vec<String> {
    let tokens = tokens(&source.text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !token.is("pub") {
            continue;
        }
        let mut rest = &tokens[at + 1..];
        if let [Token::Sign('('), scope, ..] = rest {
            let is_wide = scope.is("crate") || scope.is("in");
            let end = rest.iter().position(|token| *token == Token::Sign(')'));
            let (true, Some(end)) = (is_wide, end) else { continue };
            rest = &rest[end + 1..];
        }
        if let [keyword, Token::Word(name), ..] = rest
            && ["struct", "enum", "trait", "type", "union"].iter().any(|kind| keyword.is(kind))
        {
            found.push(name.clone());
        }
    }
    found
}

/// The names that several types have, each with the files.
fn shared(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        for name in visible_types(source) {
            places.entry(name).or_default().push(source.path.clone());
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

#[test]
fn no_two_visible_types_have_one_name() {
    let shared = shared(&files());
    for (name, reason) in SHARED {
        assert!(shared.contains_key(*name), "{name} is no longer shared ({reason}): take it out of the table");
    }
    let unexplained: Vec<_> =
        shared.into_iter().filter(|(name, _)| !SHARED.iter().any(|(known, _)| known == name)).collect();
    assert!(unexplained.is_empty(), "these names mean several types: {unexplained:#?}");
}

#[test]
fn every_form_of_a_visible_type_is_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        source("a.rs", "pub struct One; pub(crate) enum Two {} pub(in crate::a) trait Three {} pub type Four = ();"),
        source("b.rs", "pub(super) struct One; struct Two; pub fn three() {} pub(in crate::b) struct Four;"),
        source("c.rs", "pub(crate) struct Three; #[cfg(test)] mod tests { pub struct One; }"),
    ];
    let expected = [("Four", ["a.rs", "b.rs"]), ("Three", ["a.rs", "c.rs"])];
    let expected = expected.map(|(name, places)| (name.to_owned(), places.map(str::to_owned).to_vec()));
    assert_eq!(shared(&sources), BTreeMap::from(expected));
}
