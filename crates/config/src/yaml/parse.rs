//! From text to tree, with anchors, aliases and merge keys resolved and everything bounded.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Entry, Node, Position, Value};
use crate::read::quoted;

/// Bytes of memory that the values of one document take, aliases expanded. Stops the "billion laughs" of nested aliases.
/// Enough for the filters of a hundred thousand rules.
const MAX_BYTES: usize = 128 << 20;

/// Nesting, aliases expanded. Bounds the recursion of everything that walks a tree.
const MAX_DEPTH: usize = 64;

/// A document that is not what we take for YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) at: Position,
    pub(crate) message: String,
}

/// Reads the one document in `text`. `None` for a text without any.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let options = granit_parser::options! { emit_comments: false };
    let mut builder = Builder::default();
    for item in Parser::new_from_str_with_options(text, options) {
        let (event, span) = item.map_err(|error| YamlError {
            at: position(*error.marker()),
            message: format!(
                "not valid YAML: {}",
                error.info().lines().next().unwrap_or_default()
            ),
        })?;
        builder.event(event, span)?;
    }
    Ok(builder.document)
}

/// Collections that are open, and what has been finished.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    document: Option<Node>,
    /// Bytes of all values so far.
    bytes: usize,
}

struct Open {
    node: Node,
    anchor: usize,
    /// In a map, the key whose value comes next.
    key: Option<(String, Position)>,
    /// In a map, the line of every key.
    keys: HashMap<String, usize>,
    /// In a map, what `<<` names, until the map ends: its own keys go first, wherever they stand.
    merged: Vec<Node>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let at = position(span.tag_start().unwrap_or(span.start));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && plain_with_tag(tag.as_deref(), at)?;
                self.finished(
                    Node {
                        at,
                        value: Value::Scalar {
                            text: text.into_owned(),
                            plain,
                        },
                    },
                    anchor,
                )
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(Value::List(Vec::new()), at, anchor, tag.as_deref())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.start(Value::Map(Vec::new()), at, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::DocumentStart(..) if self.document.is_some() => fail(
                at,
                "a second document begins here; expected one document in the file",
            ),
            _ => Ok(()),
        }
    }

    fn start(
        &mut self,
        value: Value,
        at: Position,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), YamlError> {
        plain_with_tag(tag, at)?;
        if self.open.len() >= MAX_DEPTH {
            return too_deep(at);
        }
        let node = Node { at, value };
        self.open.push(Open {
            node,
            anchor,
            key: None,
            keys: HashMap::new(),
            merged: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let Some(Open {
            mut node,
            anchor,
            mut keys,
            merged,
            ..
        }) = self.open.pop()
        else {
            return Ok(());
        };
        if let Value::Map(entries) = &mut node.value {
            for source in merged {
                merge(entries, &mut keys, source)?;
            }
        }
        self.finished(node, anchor)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), YamlError> {
        // An anchor that is still open is an alias to a collection from within itself.
        let Some(target) = self.anchors.get(&anchor) else {
            return fail(at, "an alias cannot stand inside what it names");
        };
        let (bytes, depth) = measure(target);
        if self.open.len() + depth > MAX_DEPTH {
            return too_deep(at);
        }
        count(&mut self.bytes, bytes, at)?;
        let copy = target.clone();
        self.finished(copy, 0)
    }

    /// Puts a finished node where it belongs: into the innermost open collection, or on top.
    fn finished(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        count(&mut self.bytes, own_bytes(&node), node.at)?;
        if anchor != 0 {
            count(&mut self.bytes, measure(&node).0, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        match (&mut parent.node.value, parent.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(_), Some((key, _))) if key == "<<" => parent.merged.push(node),
            (Value::Map(entries), Some((key, at))) => {
                if let Some(first) = parent.keys.insert(key.clone(), at.line) {
                    return fail(
                        at,
                        &format!("the key {} is given twice, first in line {first}", quoted(&key)),
                    );
                }
                // A value that is missing is reported at its key.
                let place = if node.is_null() { at } else { node.at };
                entries.push(Entry {
                    key,
                    at,
                    value: Node { at: place, ..node },
                });
            }
            (Value::Map(_), None) => parent.key = Some(key_of(node)?),
            (Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<(String, Position), YamlError> {
    match node.value {
        Value::Scalar { text, .. } => Ok((text, node.at)),
        _ => fail(
            node.at,
            &format!("expected a plain word as key, found {}", node.describe()),
        ),
    }
}

/// Adds the entries that are not there yet (YAML 1.1, "merge key").
fn merge(entries: &mut Vec<Entry>, keys: &mut HashMap<String, usize>, source: Node) -> Result<(), YamlError> {
    match source.value {
        Value::Map(more) => {
            for entry in more {
                if keys.insert(entry.key.clone(), entry.at.line).is_none() {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        Value::List(sources) if sources.iter().all(|source| matches!(source.value, Value::Map(_))) => sources
            .into_iter()
            .try_for_each(|source| merge(entries, keys, source)),
        _ => fail(
            source.at,
            &format!(
                "expected a map or a list of maps after <<, found {}",
                source.describe()
            ),
        ),
    }
}

/// Returns true if an unquoted scalar keeps its meaning with this tag: `!!str 5` is a string.
fn plain_with_tag(tag: Option<&Tag>, at: Position) -> Result<bool, YamlError> {
    match tag {
        None => Ok(true),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.core_suffix() != Some("str")),
        // The non-specific tag.
        Some(tag) if tag.handle().is_empty() && tag.suffix() == "!" => Ok(false),
        Some(tag) => fail(
            at,
            &format!(
                "the tag {}{} is not known; expected none",
                tag.original_handle(),
                tag.suffix()
            ),
        ),
    }
}

/// Bytes and nesting of a tree. Its depth is bounded already.
fn measure(node: &Node) -> (usize, usize) {
    let own = own_bytes(node);
    let children: Vec<(usize, usize)> = match &node.value {
        Value::Scalar { .. } => return (own, 0),
        Value::List(items) => items.iter().map(measure).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| {
                let (bytes, depth) = measure(&entry.value);
                (bytes + entry.key.len(), depth)
            })
            .collect(),
    };
    let bytes = children.iter().map(|(bytes, _)| bytes).sum::<usize>();
    let depth = children.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    (bytes + own, depth + 1)
}

/// Bytes of a node without the nodes in it.
fn own_bytes(node: &Node) -> usize {
    let text = match &node.value {
        Value::Scalar { text, .. } => text.len(),
        Value::List(_) | Value::Map(_) => 0,
    };
    size_of::<Entry>() + text
}

fn position(marker: granit_parser::Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn count(total: &mut usize, more: usize, at: Position) -> Result<(), YamlError> {
    *total += more;
    if *total > MAX_BYTES {
        return fail(
            at,
            &format!(
                "the document's values take more than {} MiB, aliases counted as often as they are used",
                MAX_BYTES >> 20
            ),
        );
    }
    Ok(())
}

fn too_deep<T>(at: Position) -> Result<T, YamlError> {
    fail(at, &format!("nested more than {MAX_DEPTH} levels deep"))
}

fn fail<T>(at: Position, message: &str) -> Result<T, YamlError> {
    Err(YamlError {
        at,
        message: message.to_owned(),
    })
}
