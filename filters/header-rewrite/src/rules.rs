//! The configuration: what is done to which headers.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Everything that the configuration says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What is done to requests on their way upstream.
    pub request: Side,
    /// What is done to responses on their way to the client.
    pub response: Side,
}

/// What is done to one direction.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Side {
    /// Names whose lines all go.
    pub remove: Vec<String>,
    /// Lines that replace all others of their name.
    pub set: Lines,
    /// Lines that join others of their name.
    pub add: Lines,
}

/// Header lines in the order of the configuration. A list of values makes several lines of one name.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Lines(Vec<(String, String)>);

impl Lines {
    /// Name and value of each line.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TryFrom<Map<String, Value>> for Lines {
    type Error = String;

    fn try_from(map: Map<String, Value>) -> Result<Self, String> {
        let mut lines = Vec::with_capacity(map.len());
        for (name, value) in map {
            let values = match value {
                Value::Array(values) => values,
                value => vec![value],
            };
            for value in values {
                lines.push((name.clone(), text(&name, value)?));
            }
        }
        Ok(Self(lines))
    }
}

/// YAML writes numbers and truth values without quotes; as header values they are meant as written.
fn text(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        other => Err(format!(
            "header {name:?}: expected text or a list of texts, got {other}"
        )),
    }
}

impl Rules {
    /// Reads the plugin configuration. The error says what is wrong, for the log.
    pub fn parse(configuration: &[u8]) -> Result<Self, String> {
        if configuration.trim_ascii().is_empty() {
            return Err("it is empty; expected a JSON object with \"request\" or \"response\"".to_owned());
        }
        let rules: Self = serde_json::from_slice(configuration).map_err(|error| error.to_string())?;
        rules.request.check("request")?;
        rules.response.check("response")?;
        Ok(rules)
    }
}

impl Side {
    fn check(&self, side: &str) -> Result<(), String> {
        for name in &self.remove {
            check_name(name).map_err(|reason| format!("{side}.remove: {reason}"))?;
            if name.starts_with(':') {
                return Err(format!(
                    "{side}.remove: {name:?} cannot be removed: no message is without it"
                ));
            }
        }
        for (key, lines) in [("set", &self.set), ("add", &self.add)] {
            for (name, value) in lines.lines() {
                check_name(name).map_err(|reason| format!("{side}.{key}: {reason}"))?;
                if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                    return Err(format!(
                        "{side}.{key}: the value of {name:?} has a line break or a NUL in it"
                    ));
                }
            }
        }
        match self.add.lines().find(|(name, _)| name.starts_with(':')) {
            Some((name, _)) => Err(format!(
                "{side}.add: {name:?} exists once in every message; use \"set\""
            )),
            None => Ok(()),
        }
    }
}

/// A field name (RFC 9110, 5.6.2), or a pseudo-header such as `:path`.
fn check_name(name: &str) -> Result<(), String> {
    let token = name.strip_prefix(':').unwrap_or(name);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if token.is_empty() || !token.bytes().all(legal) {
        return Err(format!("{name:?} is not a header name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(configuration: &str) -> String {
        match Rules::parse(configuration.as_bytes()) {
            Ok(rules) => panic!("{configuration} was taken: {rules:?}"),
            Err(reason) => reason,
        }
    }

    #[test]
    fn order_and_lists_are_kept() {
        let rules =
            Rules::parse(br#"{"response": {"add": {"z": "1", "a": ["2", 3, true]}, "remove": ["server"]}}"#);
        let rules = rules.expect("legal");
        let lines: Vec<_> = rules.response.add.lines().collect();
        assert_eq!(lines, [("z", "1"), ("a", "2"), ("a", "3"), ("a", "true")]);
        assert_eq!(rules.response.remove, ["server"]);
        assert_eq!(rules.request.set.lines().count(), 0);
    }

    #[test]
    fn refusals_say_where() {
        assert!(refusal("").contains("empty"));
        assert!(refusal("{").contains("line 1"));
        assert!(refusal(r#"{"requests": {}}"#).contains("requests"));
        assert!(refusal(r#"{"request": {"put": {}}}"#).contains("put"));
        assert!(refusal(r#"{"request": {"set": {"a b": "c"}}}"#).starts_with("request.set: \"a b\""));
        assert!(refusal(r#"{"request": {"set": {"a": null}}}"#).contains("\"a\""));
        assert!(refusal(r#"{"response": {"add": {"a": "b\r\nc: d"}}}"#).contains("line break"));
        assert!(refusal(r#"{"response": {"add": {":status": "200"}}}"#).contains("\"set\""));
        assert!(refusal(r#"{"request": {"remove": [":path"]}}"#).contains(":path"));
    }
}
