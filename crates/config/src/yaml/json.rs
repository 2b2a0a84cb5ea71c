//! A part of a document as JSON, the form in which a guest gets a configuration that is a map or a list.

use serde_json::{Map, Number, Value as Json};

use super::{Node, Position, Scalar, Value};

/// A value that JSON cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) at: Position,
    /// Below the node that was converted, such as `.a[0]`.
    pub(crate) path: String,
    pub(crate) message: String,
}

/// Converts by the core schema, keeping the order of keys.
///
/// Recursion is bounded by [`parse`](super::parse), which bounds the depth of a tree.
pub(crate) fn to_json(node: &Node) -> Result<Json, JsonError> {
    convert(node, "")
}

fn convert(node: &Node, path: &str) -> Result<Json, JsonError> {
    match &node.value {
        Value::List(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| convert(item, &format!("{path}[{index}]")))
                .collect()
        }
        Value::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                map.insert(
                    entry.key.clone(),
                    convert(&entry.value, &format!("{path}.{}", entry.key))?,
                );
            }
            Ok(Json::Object(map))
        }
        Value::Scalar { text, plain: false } => Ok(Json::String(text.clone())),
        Value::Scalar { text, plain: true } => scalar(text).map_err(|message| JsonError {
            at: node.at,
            path: path.to_owned(),
            message,
        }),
    }
}

fn scalar(text: &str) -> Result<Json, String> {
    let scalar = Scalar::of_plain(text);
    match scalar {
        Scalar::Null => Ok(Json::Null),
        Scalar::Bool(value) => Ok(Json::Bool(value)),
        Scalar::Unsigned(value) => Ok(Json::Number(value.into())),
        Scalar::Signed(value) => Ok(Json::Number(value.into())),
        Scalar::String(value) => Ok(Json::String(value.to_owned())),
        Scalar::Huge(_) => Err(format!(
            "expected a number of at most 64 bits, found {}; quote it to hand over a string",
            scalar.describe()
        )),
        Scalar::Float(value) => Number::from_f64(value).map(Json::Number).ok_or_else(|| {
            format!(
                "{} has no JSON form; quote it to hand over a string",
                scalar.describe()
            )
        }),
    }
}
