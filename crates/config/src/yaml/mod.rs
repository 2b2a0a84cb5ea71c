//! A YAML document as a tree in which every node knows where it stands.

mod core_schema;
mod json;
mod parse;

pub(crate) use json::to_json;
pub(crate) use parse::parse;

pub(crate) use core_schema::Scalar;

/// Line and column in a document, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// A value as it stands: which type a scalar has is for its reader to say.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value. No two entries of a map have the same key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

impl Node {
    /// Returns true if nothing stands here (`key:` without a value, `~`, `null`).
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.scalar(), Some(Scalar::Null))
    }

    /// The meaning of a scalar by YAML's core schema; `None` for lists and maps.
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(Scalar::of_plain(text)),
            Value::Scalar { text, plain: false } => Some(Scalar::String(text)),
            _ => None,
        }
    }

    /// Describes the value, for messages: `the number 5`, `a map`.
    pub(crate) fn describe(&self) -> String {
        match (&self.value, self.scalar()) {
            (Value::List(items), _) if items.is_empty() => "an empty list".to_owned(),
            (Value::List(_), _) => "a list".to_owned(),
            (Value::Map(_), _) => "a map".to_owned(),
            (_, Some(scalar)) => scalar.describe(),
            (Value::Scalar { text, .. }, None) => crate::read::quoted(text),
        }
    }
}
