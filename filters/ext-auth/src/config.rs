//! The configuration.

use std::time::Duration;

use serde::Deserialize;

/// Whom to ask, what to tell, and what to do with the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the upstream that is asked.
    pub upstream: String,
    /// Path of the question.
    pub path: String,
    /// `Host` of the question.
    #[serde(default = "default_authority")]
    pub authority: String,
    /// How long to wait for the answer.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Whether a request passes when there is no answer.
    #[serde(default)]
    pub fail_open: bool,
    /// Headers of the request that the service gets to see.
    #[serde(default = "default_request_headers")]
    pub request_headers: Vec<String>,
    /// Headers of a permission that the request takes along upstream.
    #[serde(default)]
    pub identity_headers: Vec<String>,
    /// Headers of a refusal that the client gets.
    #[serde(default = "default_denial_headers")]
    pub denial_headers: Vec<String>,
}

fn default_authority() -> String {
    "auth".to_owned()
}

fn default_timeout_ms() -> u64 {
    1000
}

fn default_request_headers() -> Vec<String> {
    ["authorization", "cookie"].map(str::to_owned).to_vec()
}

fn default_denial_headers() -> Vec<String> {
    ["content-type", "location", "set-cookie", "www-authenticate"]
        .map(str::to_owned)
        .to_vec()
}

impl Config {
    /// Reads the plugin configuration. The error says what is wrong, for the log.
    pub fn parse(configuration: &[u8]) -> Result<Self, String> {
        if configuration.trim_ascii().is_empty() {
            return Err("it is empty; expected a JSON object with \"upstream\" and \"path\"".to_owned());
        }
        let config: Self = serde_json::from_slice(configuration).map_err(|error| error.to_string())?;
        if !config.path.starts_with('/') {
            return Err(format!("path: {:?} does not begin with \"/\"", config.path));
        }
        // The hostcall counts in 32 bits, and 0 would mean no limit.
        if config.timeout_ms == 0 || i32::try_from(config.timeout_ms).is_err() {
            return Err(format!(
                "timeout_ms: {} is not between 1 and {}",
                config.timeout_ms,
                i32::MAX
            ));
        }
        let lists = [
            &config.request_headers,
            &config.identity_headers,
            &config.denial_headers,
        ];
        if let Some(name) = lists
            .into_iter()
            .flatten()
            .find(|name| name.is_empty() || name.starts_with(':'))
        {
            return Err(format!("{name:?} is not a header that can be copied"));
        }
        Ok(config)
    }

    /// How long to wait for the answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn defaults() {
        let config = Config::parse(br#"{"upstream": "auth", "path": "/check"}"#).expect("legal");
        assert_eq!(config.timeout().as_secs(), 1);
        assert!(!config.fail_open);
        assert_eq!(config.request_headers, ["authorization", "cookie"]);
        assert!(config.identity_headers.is_empty());
    }

    #[test]
    fn refusals_say_why() {
        let refusal = |text: &str| Config::parse(text.as_bytes()).expect_err("refused");
        assert!(refusal("").contains("empty"));
        assert!(refusal(r#"{"path": "/"}"#).contains("upstream"));
        assert!(refusal(r#"{"upstream": "a", "path": "check"}"#).starts_with("path"));
        assert!(refusal(r#"{"upstream": "a", "path": "/", "timeout_ms": 0}"#).starts_with("timeout_ms"));
        assert!(
            refusal(r#"{"upstream": "a", "path": "/", "identity_headers": [":path"]}"#).contains(":path")
        );
        assert!(refusal(r#"{"upstream": "a", "path": "/", "failopen": true}"#).contains("failopen"));
    }
}
