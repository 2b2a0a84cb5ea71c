//! The configuration.

use serde::Deserialize;

/// What is replaced, and in which responses.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Carried out one after the other, each on the result of the one before.
    pub replacements: Vec<Replacement>,
    /// Media types whose bodies are rewritten; `text/*` stands for all that begin so.
    #[serde(default = "text_types")]
    pub content_types: Vec<String>,
}

/// One text and what stands in its place afterwards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The text to look for, exactly.
    pub find: String,
    /// What takes its place; may be empty.
    pub replace: String,
}

fn text_types() -> Vec<String> {
    let types = [
        "text/*",
        "application/json",
        "application/javascript",
        "application/xml",
        "application/xhtml+xml",
    ];
    types.map(str::to_owned).to_vec()
}

impl Config {
    /// Reads the plugin configuration. The error says what is wrong, for the log.
    pub fn parse(configuration: &[u8]) -> Result<Self, String> {
        if configuration.trim_ascii().is_empty() {
            return Err("it is empty; expected a JSON object with \"replacements\"".to_owned());
        }
        let config: Self = serde_json::from_slice(configuration).map_err(|error| error.to_string())?;
        match config
            .replacements
            .iter()
            .position(|replacement| replacement.find.is_empty())
        {
            Some(index) => Err(format!(
                "replacements[{index}].find is empty: it would match everywhere"
            )),
            None => Ok(config),
        }
    }

    /// Whether a `content-type` is one to rewrite.
    pub fn takes(&self, content_type: &[u8]) -> bool {
        let media_type = content_type
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        self.content_types
            .iter()
            .any(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => media_type
                    .get(..prefix.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
                None => media_type.eq_ignore_ascii_case(wanted.as_bytes()),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let config = Config::parse(br#"{"replacements": []}"#).expect("legal");
        for taken in ["text/html", "TEXT/plain; charset=utf-8", "application/json ;x=y"] {
            assert!(config.takes(taken.as_bytes()), "{taken}");
        }
        for left in [
            "",
            "image/png",
            "application/octet-stream",
            "application/jsonp",
            "tex",
        ] {
            assert!(!config.takes(left.as_bytes()), "{left}");
        }
        let config =
            Config::parse(br#"{"replacements": [], "content_types": ["image/svg+xml"]}"#).expect("legal");
        assert!(config.takes(b"image/svg+xml"));
        assert!(!config.takes(b"text/html"));
    }

    #[test]
    fn refusals_say_why() {
        let refusal = |text: &str| Config::parse(text.as_bytes()).expect_err("refused");
        assert!(refusal(" ").contains("empty"));
        assert!(refusal("[]").contains("invalid"));
        assert!(refusal(r#"{"replacements": [{"find": "a"}]}"#).contains("replace"));
        assert!(
            refusal(r#"{"replacements": [{"find": "", "replace": "b"}]}"#).contains("replacements[0].find")
        );
        assert!(refusal(r#"{"replacements": [], "contenttypes": []}"#).contains("contenttypes"));
    }
}
