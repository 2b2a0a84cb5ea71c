//! What to do, and where.

use crate::behaviour::Behaviour;

/// `behaviour@callback`.
#[derive(Clone)]
pub struct Rule {
    pub behaviour: Behaviour,
    pub callback: String,
}

/// What a configuration or header says.
#[derive(Default)]
pub struct Rules {
    pub list: Vec<Rule>,
    /// From `upstream=NAME`.
    pub upstream: Option<String>,
    /// Words that mean nothing.
    pub unknown: Vec<String>,
}

impl Rules {
    pub fn parse(text: &[u8]) -> Self {
        let mut rules = Self::default();
        for word in String::from_utf8_lossy(text).split_whitespace() {
            if let Some(name) = word.strip_prefix("upstream=") {
                rules.upstream = Some(name.to_owned());
                continue;
            }
            let rule = word.split_once('@').and_then(|(behaviour, callback)| {
                Some(Rule {
                    behaviour: Behaviour::named(behaviour)?,
                    callback: callback.to_owned(),
                })
            });
            match rule {
                Some(rule) => rules.list.push(rule),
                None => rules.unknown.push(word.to_owned()),
            }
        }
        rules
    }
}

/// Callbacks of the plugin: rules for them are not a single stream's.
pub fn is_plugin_callback(name: &str) -> bool {
    name.starts_with("root_")
        || matches!(
            name,
            "start" | "vm_start" | "configure" | "tick" | "queue_ready" | "foreign_function"
        )
}
