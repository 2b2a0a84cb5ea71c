//! Which hosts guests may call that no configuration names.

use crate::upstream::Endpoint;

/// The list of hosts that guests may name directly, as `host:port`. Empty by default: a guest reaches what the
/// configuration names, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: HostPattern,
    /// `None` is any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Exact(String),
    /// With its dot: `.example.com`.
    Suffix(String),
}

/// An entry that is none of the forms allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is not host:port, host:* or *.suffix:port")]
pub struct AllowListError {
    entry: String,
}

impl AllowList {
    /// Reads entries of the forms `host:port`, `host:*`, `*.suffix:port` and `*.suffix:*`. A suffix stands for the
    /// names below it, not for itself. Case does not count.
    pub fn new<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Self, AllowListError> {
        let entries = entries
            .into_iter()
            .map(|entry| read(entry.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Whether a guest may call this host and port.
    pub fn allows(&self, endpoint: &Endpoint) -> bool {
        let host = normal(endpoint.host());
        self.entries.iter().any(|entry| {
            let host = match &entry.host {
                HostPattern::Exact(name) => *name == host,
                HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            };
            host && entry.port.is_none_or(|port| port == endpoint.port())
        })
    }
}

fn read(entry: &str) -> Result<Entry, AllowListError> {
    let refuse = || AllowListError {
        entry: entry.to_owned(),
    };
    let (host, port) = entry.rsplit_once(':').ok_or_else(refuse)?;
    // The host and the port are read by the rules for endpoints, with something harmless for the asterisks.
    let (plain_host, suffix) = match host.strip_prefix("*.") {
        Some(suffix) => (suffix, true),
        None => (host, false),
    };
    let any_port = port == "*";
    let plain_port = if any_port { "1" } else { port };
    let endpoint = format!("{plain_host}:{plain_port}")
        .parse::<Endpoint>()
        .map_err(|_| refuse())?;
    let name = normal(endpoint.host());
    let host = if suffix {
        HostPattern::Suffix(format!(".{name}"))
    } else {
        HostPattern::Exact(name)
    };
    Ok(Entry {
        host,
        port: (!any_port).then(|| endpoint.port()),
    })
}

/// Lower case, and without the dot that ends a fully qualified name.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_allowed_and_nothing_else() {
        let list = AllowList::new([
            "API.example:443",
            "127.0.0.1:*",
            "*.svc.local:80",
            "*.any:*",
            "[::1]:8080",
        ])
        .unwrap();
        for (name, allowed) in [
            ("api.example:443", true),
            ("api.EXAMPLE.:443", true),
            ("api.example:80", false),
            ("x.api.example:443", false),
            ("127.0.0.1:1", true),
            ("127.0.0.2:1", false),
            ("a.svc.local:80", true),
            ("a.b.svc.local:80", true),
            ("svc.local:80", false),
            ("evilsvc.local:80", false),
            ("a.svc.local:81", false),
            ("a.any:81", true),
            ("[::1]:8080", true),
            ("[::1]:8081", false),
        ] {
            assert_eq!(list.allows(&name.parse().unwrap()), allowed, "{name}");
        }
        assert!(!AllowList::default().allows(&"127.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn other_entries_are_refused() {
        for entry in [
            "",
            "host",
            "*",
            "*:80",
            "*.:80",
            "a.*:80",
            "host:",
            "*.*.b:80",
            "http://host:80",
        ] {
            assert!(AllowList::new([entry]).is_err(), "{entry:?}");
        }
    }
}
