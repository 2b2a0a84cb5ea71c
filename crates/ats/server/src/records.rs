//! Records: `records.config` of 9.2, `records.yaml` of 10.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Version;

/// The value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordValue {
    /// `INT`
    Int(i64),
    /// `FLOAT`
    Float(f64),
    /// `STRING`
    Text(String),
}

/// Records by name; a later value takes the place of an earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    values: BTreeMap<String, RecordValue>,
}

/// Names of 9.2 that 10 has moved below themselves, since a YAML key is either a value or a map.
const MOVED: [(&str, &str); 8] = [
    ("proxy.config.exec_thread.autoconfig", "enabled"),
    ("proxy.config.hostdb", "enabled"),
    ("proxy.config.output.logfile", "name"),
    ("proxy.config.ssl.TLSv1_3", "enabled"),
    ("proxy.config.ssl.client.TLSv1_3", "enabled"),
    ("proxy.config.ssl.origin_session_cache", "enabled"),
    ("proxy.config.ssl.session_cache", "value"),
    ("proxy.config.tunnel.prewarm", "enabled"),
];

impl Records {
    pub(crate) fn set(&mut self, name: &str, value: impl Into<RecordValue>) {
        self.values.insert(name.to_owned(), value.into());
    }

    pub(crate) fn extend(&mut self, others: &Self) {
        self.values.extend(others.values.clone());
    }

    /// The name of the file and its text, for a release.
    pub(crate) fn file(&self, version: Version) -> (&'static str, String) {
        if version.is_10() {
            ("records.yaml", self.yaml())
        } else {
            ("records.config", self.config())
        }
    }

    fn config(&self) -> String {
        let lines = self.values.iter().map(|(name, value)| match value {
            RecordValue::Int(value) => format!("CONFIG {name} INT {value}\n"),
            RecordValue::Float(value) => format!("CONFIG {name} FLOAT {value:?}\n"),
            // The rest of the line, as it is.
            RecordValue::Text(value) => format!("CONFIG {name} STRING {value}\n"),
        });
        lines.collect()
    }

    fn yaml(&self) -> String {
        let mut root = Node::default();
        for (name, value) in &self.values {
            let moved = MOVED.iter().find(|(old, _)| old == name);
            let below = moved.map(|(_, below)| *below);
            // The root `records` stands for `proxy.config`.
            let path = name.strip_prefix("proxy.config.").unwrap_or(name).split('.');
            let mut node = &mut root;
            for key in path.chain(below) {
                node = node.children.entry(key.to_owned()).or_default();
            }
            node.value = Some(value.clone());
        }
        let mut text = "records:\n".to_owned();
        root.write(&mut text, 1);
        text
    }
}

#[derive(Default)]
struct Node {
    value: Option<RecordValue>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn write(&self, text: &mut String, depth: usize) {
        for (key, node) in &self.children {
            let indent = "  ".repeat(depth);
            // Writing to a string does not fail.
            let _ = match &node.value {
                None => writeln!(text, "{indent}{key}:"),
                Some(RecordValue::Int(value)) => writeln!(text, "{indent}{key}: {value}"),
                Some(RecordValue::Float(value)) => writeln!(text, "{indent}{key}: {value:?}"),
                // Single quotes: nothing is an escape in there but the quote itself.
                Some(RecordValue::Text(value)) => {
                    writeln!(text, "{indent}{key}: '{}'", value.replace('\'', "''"))
                }
            };
            node.write(text, depth + 1);
        }
    }
}

impl From<i64> for RecordValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for RecordValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for RecordValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for RecordValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Records {
        let mut records = Records::default();
        records.set("proxy.config.http.server_ports", "1:ipv4 2:ipv4:ssl");
        records.set("proxy.config.exec_thread.autoconfig", 0);
        records.set("proxy.config.exec_thread.autoconfig.scale", 1.5);
        records.set("proxy.config.exec_thread.limit", 7);
        records.set("proxy.config.exec_thread.limit", 2);
        records.set("proxy.config.diags.debug.tags", "it's");
        records
    }

    #[test]
    fn version_9_has_a_line_for_each() {
        let version = "9.2.9".parse().unwrap();
        let (name, text) = records().file(version);
        assert_eq!(name, "records.config");
        assert_eq!(
            text,
            "\
CONFIG proxy.config.diags.debug.tags STRING it's
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.autoconfig.scale FLOAT 1.5
CONFIG proxy.config.exec_thread.limit INT 2
CONFIG proxy.config.http.server_ports STRING 1:ipv4 2:ipv4:ssl
"
        );
    }

    #[test]
    fn version_10_nests_at_the_dots() {
        let version = "10.1.4".parse().unwrap();
        let (name, text) = records().file(version);
        assert_eq!(name, "records.yaml");
        assert_eq!(
            text,
            "\
records:
  diags:
    debug:
      tags: 'it''s'
  exec_thread:
    autoconfig:
      enabled: 0
      scale: 1.5
    limit: 2
  http:
    server_ports: '1:ipv4 2:ipv4:ssl'
"
        );
    }
}
