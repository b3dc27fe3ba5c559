//! The sections of a parsed file, and all slips in it at once.
//!
//! serde ends at the first slip. So the value that it names is noted and taken out of the table, and the rest is read again,
//! until nothing is wrong or as much was found as is said. Each round takes something out, so that it ends.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::error::MAX_SAID;
use super::keys::{self, Shape};
use super::words;
use crate::config::Config;

/// A slip in a file.
pub(super) struct Slip {
    /// Where, in octets; none if nobody knows.
    pub(super) span: Option<Range<usize>>,
    pub(super) reason: String,
    /// The sections that are not as they were meant, by their first names.
    pub(super) sections: Vec<String>,
}

/// What could be read, and what could not.
pub(super) fn gather(mut table: Spanned<DeTable<'_>>) -> (Option<Config>, Vec<Slip>) {
    let mut slips = Vec::new();
    shapes(table.get_mut(), &mut Vec::new(), &mut slips);
    loop {
        let error = match Config::deserialize(Deserializer::from(table.clone())) {
            Ok(config) => return (Some(config), slips),
            Err(error) => error,
        };
        let place = error.span().and_then(|span| find(table.get_ref(), &span));
        slips.push(slip(&error, table.get_ref(), place.as_deref()));
        let was_taken_out = place.is_some_and(|place| take_out(table.get_mut(), &place));
        if !was_taken_out || slips.len() > MAX_SAID {
            return (None, slips);
        }
    }
}

/// A step from a value to one within.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The names on the way, without numbers: `route`, `fallback`, `url`.
fn names(place: &[Step]) -> Vec<&str> {
    let mut names = Vec::new();
    for step in place {
        if let Step::Key(key) = step {
            names.push(key.as_str());
        }
    }
    names
}

/// A value in the place of a section is recorded and taken out: serde would take a list for one.
fn shapes(table: &mut DeTable<'_>, names: &mut Vec<String>, slips: &mut Vec<Slip>) {
    let mut wrong = Vec::new();
    for (key, value) in table.iter_mut() {
        names.push(key.get_ref().to_string());
        let place: Vec<&str> = names.iter().map(String::as_str).collect();
        let span = value.span();
        let expected = match (keys::shape(&place), value.get_mut()) {
            (Shape::Section, DeValue::Table(inner)) => {
                shapes(inner, names, slips);
                None
            }
            (Shape::Sections, DeValue::Array(elements)) if elements.iter().all(|one| one.get_ref().is_table()) => {
                for element in elements.iter_mut() {
                    if let DeValue::Table(inner) = element.get_mut() {
                        shapes(inner, names, slips);
                    }
                }
                None
            }
            (Shape::Table, DeValue::Table(_)) | (Shape::Value, _) => None,
            (Shape::Section, DeValue::Array(_)) => {
                Some(format!("a heading in one bracket, {}, as there is one such section", keys::heading(&place)))
            }
            (Shape::Section, _) => Some(format!("a section, {}", keys::heading(&place))),
            (Shape::Sections, _) => {
                Some(format!("a heading in two brackets, {}, as there may be several", keys::heading(&place)))
            }
            (Shape::Table, _) => {
                Some("a table of names and what they mean, such as { \"NAME\" = [\"ADDRESS\"] }".to_owned())
            }
        };
        if let Some(expected) = expected {
            let reason = format!("expected {expected}, but found {}", words::describe(value.get_ref()));
            slips.push(Slip { span: Some(span), reason, sections: names.first().cloned().into_iter().collect() });
            wrong.push(key.get_ref().to_string());
        }
        names.pop();
    }
    for key in wrong {
        table.remove(key.as_str());
    }
}

/// The key or value that a span is about: it itself, else the innermost around it.
fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<Step>> {
    let mut found = None;
    let mut place = Vec::new();
    find_in_table(table, span, &mut place, &mut found);
    found.map(|(_, place)| place)
}

/// The narrowest so far, by its length.
type Found = Option<(usize, Vec<Step>)>;

fn find_in_table(table: &DeTable<'_>, span: &Range<usize>, place: &mut Vec<Step>, found: &mut Found) {
    for (key, value) in table {
        place.push(Step::Key(key.get_ref().to_string()));
        note(&key.span(), span, place, found);
        find_in_value(value, span, place, found);
        place.pop();
    }
}

fn find_in_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>, place: &mut Vec<Step>, found: &mut Found) {
    note(&value.span(), span, place, found);
    match value.get_ref() {
        // A table goes on under other headings, so that its span says nothing of what is in it.
        DeValue::Table(table) => find_in_table(table, span, place, found),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                place.push(Step::Index(index));
                find_in_value(element, span, place, found);
                place.pop();
            }
        }
        _ => {}
    }
}

fn note(here: &Range<usize>, span: &Range<usize>, place: &[Step], found: &mut Found) {
    let is_around = here.start <= span.start && span.end <= here.end;
    let is_narrower = found.as_ref().is_none_or(|(length, _)| here.len() <= *length);
    if is_around && is_narrower {
        *found = Some((here.len(), place.to_vec()));
    }
}

fn value_at<'a, 'i>(table: &'a DeTable<'i>, place: &[Step]) -> Option<&'a DeValue<'i>> {
    let (Step::Key(key), rest) = place.split_first()? else { return None };
    rest.iter().try_fold(table.get(key.as_str())?.get_ref(), |value, step| match (value, step) {
        (DeValue::Table(table), Step::Key(key)) => table.get(key.as_str()).map(Spanned::get_ref),
        (DeValue::Array(elements), Step::Index(index)) => elements.get(*index).map(Spanned::get_ref),
        _ => None,
    })
}

fn slip(error: &toml::de::Error, table: &DeTable<'_>, place: Option<&[Step]>) -> Slip {
    let span = error.span();
    let value = place.and_then(|place| value_at(table, place));
    let names = place.map(names).unwrap_or_default();
    if error.message().starts_with("unknown field `")
        && let Some((key, section)) = names.split_last()
    {
        let is_section = value.is_some_and(is_section);
        let unknown = keys::unknown(section, key, is_section);
        return Slip { span, reason: unknown.reason, sections: unknown.meant_for };
    }
    let sections = names.first().map(|name| (*name).to_owned()).into_iter().collect();
    Slip { span, reason: words::reworded(error.message(), value), sections }
}

/// Whether it was written under a heading of its own, or could have been.
fn is_section(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(elements) => !elements.is_empty() && elements.iter().all(|element| element.get_ref().is_table()),
        _ => false,
    }
}

/// Takes a value out; of a list the entry, unless it is the only one. Whether it was there.
fn take_out(table: &mut DeTable<'_>, place: &[Step]) -> bool {
    match place {
        [Step::Key(key)] => table.remove(key.as_str()).is_some(),
        [Step::Key(key), rest @ ..] => match table.get_mut(key.as_str()).map(Spanned::get_mut) {
            Some(DeValue::Array(elements)) if matches!(rest, [Step::Index(_)]) && elements.len() <= 1 => {
                table.remove(key.as_str()).is_some()
            }
            Some(value) => take_out_of_value(value, rest),
            None => false,
        },
        _ => false,
    }
}

fn take_out_of_value(value: &mut DeValue<'_>, place: &[Step]) -> bool {
    match (value, place) {
        (DeValue::Table(table), _) => take_out(table, place),
        (DeValue::Array(elements), [Step::Index(index)]) => {
            let mut kept = DeArray::new();
            let others = elements.iter().enumerate().filter(|(at, _)| at != index);
            others.for_each(|(_, element)| kept.push(element.clone()));
            let was_there = kept.len() < elements.len();
            *elements = kept;
            was_there
        }
        (DeValue::Array(elements), [Step::Index(index), rest @ ..]) => {
            elements.get_mut(*index).is_some_and(|element| take_out_of_value(element.get_mut(), rest))
        }
        _ => false,
    }
}
