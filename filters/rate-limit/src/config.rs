//! The configuration.

use serde::Deserialize;

use crate::bucket::Limit;

/// How many requests each client may make.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Requests per `seconds` in the long run.
    pub requests: u64,
    /// The span that `requests` is meant for; 1 unless given.
    #[serde(default = "one")]
    pub seconds: u64,
    /// Requests that a client who has been silent may make at once; `requests` unless given.
    #[serde(default)]
    pub burst: u64,
    /// What makes a client.
    #[serde(default)]
    pub key: Key,
}

/// What makes a client.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The address it comes from.
    #[default]
    Address,
    /// The value of a header; its address where it does not send it.
    Header(String),
}

fn one() -> u64 {
    1
}

impl Config {
    /// Reads the plugin configuration. The error says what is wrong, for the log.
    pub fn parse(configuration: &[u8]) -> Result<Self, String> {
        if configuration.trim_ascii().is_empty() {
            return Err("it is empty; expected a JSON object with \"requests\"".to_owned());
        }
        let mut config: Self = serde_json::from_slice(configuration).map_err(|error| error.to_string())?;
        // The upper bounds keep nanoseconds within 64 bits.
        for (name, value, most) in [
            ("requests", config.requests, 1_000_000_000),
            ("seconds", config.seconds, 86_400),
        ] {
            if value == 0 || value > most {
                return Err(format!("{name}: {value} is not between 1 and {most}"));
            }
        }
        if config.burst == 0 {
            config.burst = config.requests;
        }
        match &config.key {
            Key::Header(name) if name.is_empty() => Err("key.header is empty".to_owned()),
            _ => Ok(config),
        }
    }

    /// The same as a bucket counts.
    pub fn limit(&self) -> Limit {
        let interval = self.seconds.saturating_mul(1_000_000_000) / self.requests.max(1);
        Limit {
            burst: self.burst,
            interval: interval.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_keys_get_their_defaults() {
        let config = Config::parse(br#"{"requests": 5}"#).expect("legal");
        assert_eq!(
            config.limit(),
            Limit {
                burst: 5,
                interval: 200_000_000
            }
        );
        assert!(matches!(config.key, Key::Address));
        let config =
            Config::parse(br#"{"requests": 30, "seconds": 60, "burst": 2, "key": {"header": "x-api-key"}}"#);
        let config = config.expect("legal");
        assert_eq!(
            config.limit(),
            Limit {
                burst: 2,
                interval: 2_000_000_000
            }
        );
        assert!(matches!(config.key, Key::Header(name) if name == "x-api-key"));
    }

    #[test]
    fn refusals_say_why() {
        let refusal = |text: &str| Config::parse(text.as_bytes()).expect_err("refused");
        assert!(refusal("").contains("empty"));
        assert!(refusal("{}").contains("requests"));
        assert!(refusal(r#"{"requests": 0}"#).starts_with("requests"));
        assert!(refusal(r#"{"requests": 1, "seconds": 100000}"#).starts_with("seconds"));
        assert!(refusal(r#"{"requests": 1, "key": {"header": ""}}"#).contains("key.header"));
        assert!(refusal(r#"{"requests": 1, "key": "cookie"}"#).contains("cookie"));
    }
}
