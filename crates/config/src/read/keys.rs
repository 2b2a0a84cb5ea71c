//! The keys of a map that has a schema.

use std::cell::RefCell;

use super::field::Field;
use super::suggest::unknown_key;
use crate::yaml::Entry;

/// The entries of a map, taken one by one; what nobody took is an unknown key.
///
/// Keys are named in snake_case; the camelCase spelling is accepted for each.
pub(crate) struct Keys<'d> {
    field: Field<'d>,
    entries: &'d [Entry],
    known: RefCell<Vec<String>>,
    /// Keys that have been reported.
    refused: RefCell<Vec<String>>,
}

impl<'d> Keys<'d> {
    pub(crate) fn new(field: Field<'d>, entries: &'d [Entry]) -> Self {
        Self {
            field,
            entries,
            known: RefCell::default(),
            refused: RefCell::default(),
        }
    }

    /// The map itself.
    pub(crate) fn field(&self) -> &Field<'d> {
        &self.field
    }

    /// The value of `name`, if it is there.
    pub(crate) fn take(&self, name: &str) -> Option<Field<'d>> {
        self.take_any(&[name])
    }

    /// The value under any of these names, which mean the same; more than one is a problem.
    pub(crate) fn take_any(&self, names: &[&str]) -> Option<Field<'d>> {
        let mut found: Option<&Entry> = None;
        for name in names {
            let spellings = [(*name).to_owned(), camel_case(name)];
            for entry in self.entries.iter().filter(|entry| spellings.contains(&entry.key)) {
                match found {
                    None => found = Some(entry),
                    Some(first) => self.field.child(&entry.key, &entry.value).report_at(
                        entry.at,
                        format!(
                            "means the same as \"{}\" in line {}; expected one of them",
                            first.key, first.at.line
                        ),
                    ),
                }
            }
            self.known.borrow_mut().extend(spellings);
        }
        found.map(|entry| self.field.child(&entry.key, &entry.value))
    }

    /// Notes `message` if `name` stands here: a key that other documents have.
    pub(crate) fn refuse(&self, name: &str, message: &str) {
        let spellings = [name.to_owned(), camel_case(name)];
        for entry in self.entries.iter().filter(|entry| spellings.contains(&entry.key)) {
            self.field
                .child(&entry.key, &entry.value)
                .report_at(entry.at, message);
        }
        self.refused.borrow_mut().extend(spellings);
    }

    /// The value of `name`; its absence is a problem.
    pub(crate) fn require(&self, name: &str) -> Option<Field<'d>> {
        let field = self.take(name);
        if field.is_none() {
            self.field
                .report(format!("expected the key \"{name}\", found none"));
        }
        field
    }

    /// Returns true if the map is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns true if `name` stands here, without taking it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == name)
    }

    /// The names that have been asked for, whether or not they stand here.
    #[cfg(test)]
    pub(crate) fn names(&self) -> std::collections::BTreeSet<String> {
        let known = self.known.borrow();
        known.chunks(2).map(|spellings| spellings[0].clone()).collect()
    }

    /// Notes every entry that was not taken.
    pub(crate) fn finish(&self) {
        let known = self.known.borrow();
        let refused = self.refused.borrow();
        let is_unknown = |entry: &&Entry| !(known.contains(&entry.key) || refused.contains(&entry.key));
        for entry in self.entries.iter().filter(is_unknown) {
            // Suggest in the spelling that the user uses.
            let camel = entry.key.contains(|letter: char| letter.is_ascii_uppercase());
            let names: Vec<&str> = known
                .chunks(2)
                .filter_map(|pair| pair.get(usize::from(camel)))
                .map(String::as_str)
                .collect();
            self.field
                .child(&entry.key, &entry.value)
                .report_at(entry.at, unknown_key(&entry.key, &names));
        }
    }
}

fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            camel.push(letter.to_ascii_uppercase());
        } else {
            camel.push(letter);
        }
    }
    camel
}
