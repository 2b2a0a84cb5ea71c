//! Our own properties: what only Traffic Server knows about a transaction, under `ats.`.
//!
//! Encodings are those of the host's other properties: text and bytes as they are, integers as 8 bytes little-endian,
//! truth as one byte, a moment as an integer of nanoseconds since 1970. A property that has no value (yet) is not found.
//!
//! | property | type | value |
//! |---|---|---|
//! | `ats.cache.hit_kind` | text | where a hit comes from: `ram`, `disk`, `rww` (the object is still being written) |
//! | `ats.cache.compressed_in_ram` | int | how it is compressed there, 0 not at all |
//! | `ats.cache.key` | bytes | the digest that the object lies under; from 10.2 on |
//! | `ats.cache.lookup_count` | int | how often the cache was asked |
//! | `ats.cache.lookup_status` | text | `miss`, `hit_stale`, `hit_fresh`, `skipped` |
//! | `ats.cache.lookup_url` | text | the URL that the digest is made of |
//! | `ats.cache.open_read_tries`, `ats.cache.open_write_tries` | int | attempts |
//! | `ats.cache.volume` | int | number of the volume that the object is on |
//! | `ats.client.protocol_stack`, `ats.server.protocol_stack` | text | such as `h2,tls/1.3,tcp,ipv4` |
//! | `ats.{client,server}.{req,resp}_{header,body}_bytes` | int | bytes so far |
//! | `ats.client.pushed_{header,body}_bytes` | int | bytes so far |
//! | `ats.client.stream_id` | int | number of the HTTP/2 stream |
//! | `ats.config.NAME` | int, float (8 bytes) or text | an overridable record, as this transaction has it |
//! | `ats.milestone.NAME` | moment | `NAME` as in `TS_MILESTONE_NAME`, any case; not found while it is not reached |
//! | `ats.next_hop.address`, `.name`, `.port` | text, text, int | where the request goes, once that is decided |
//! | `ats.parent.host`, `.port` | text, int | the parent proxy that a plugin has set |
//! | `ats.remap.from_url`, `ats.remap.to_url` | text | of the rule that matched |
//! | `ats.server_state` | text | how the connection to the origin fares, such as `connection_alive` |
//! | `ats.session.server_transaction_count` | int | requests so far on the connection to the origin |
//! | `ats.session.transaction_count` | int | requests so far on the client's connection |
//! | `ats.txn.aborted` | bool | one side broke off |
//! | `ats.txn.id` | int | number of the transaction |
//! | `ats.txn.is_internal` | bool | the server itself or a plugin has made the request |
//! | `ats.txn.is_websocket` | bool | the request asks for a WebSocket |
//! | `ats.txn.plugin_tag` | text | who has made an internal request |
//! | `ats.txn.redirect_retries` | int | redirects that the server has followed |
//! | `ats.txn.uuid` | text | of the server and the transaction |
//! | `ats.url.effective` | text | the request's URL as it is now |
//! | `ats.url.pristine` | text | as it was before the remap rules |
//! | `ats.version` | text | of the server |
//!
//! There is no property for the tag of a remap rule: the plugin interface does not give it out.

mod config;
mod readers;
mod table;
mod url;

use std::borrow::Cow;

use weir_ats_sys::TSHttpTxn;

pub(crate) use config::{config_text, find_record};
pub(crate) use readers::lookup_status;

/// Appends the encoded value of a property; whether there is one. `path` has its segments joined by NUL, and may end with
/// one.
pub(crate) fn read(txn: TSHttpTxn, path: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(name) = name_of(path) else {
        return false;
    };
    let value = if let Some(record) = name.strip_prefix("config.") {
        config::config(txn, record)
    } else if let Some(moment) = name.strip_prefix("milestone.") {
        readers::milestone(txn, moment)
    } else {
        table::find(&name).and_then(|property| (property.read)(txn))
    };
    value.is_some_and(|value| {
        value.encode(out);
        true
    })
}

/// The name after `ats.`, in one piece.
fn name_of(path: &[u8]) -> Option<Cow<'_, str>> {
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    let name = path
        .strip_prefix(b"ats\0")
        .or_else(|| path.strip_prefix(b"ats."))?;
    let name = std::str::from_utf8(name).ok()?;
    Some(if name.contains('\0') {
        Cow::Owned(name.replace('\0', "."))
    } else {
        Cow::Borrowed(name)
    })
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(Vec<u8>),
}

impl Value {
    fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(value)),
            Self::Text(value) => out.extend_from_slice(&value),
        }
    }

    fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::table::{Property, TABLE, find};
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(TABLE.is_sorted_by(|first, second| first.name < second.name));
        assert!(find("txn.id").is_some() && find("txn.i").is_none() && find("").is_none());
    }

    #[test]
    fn every_name_is_documented() {
        let page: String = include_str!("mod.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! |"))
            .flat_map(expand)
            .collect();
        for Property { name, .. } in TABLE {
            assert!(page.contains(&format!("`ats.{name}`")), "ats.{name}");
        }
    }

    /// A line of the page for each of the alternatives in braces; `.name` after a comma stands for the whole.
    fn expand(line: &str) -> Vec<String> {
        if let Some((before, rest)) = line.split_once('{')
            && let Some((inside, after)) = rest.split_once('}')
        {
            return inside
                .split(',')
                .flat_map(|alternative| expand(&format!("{before}{alternative}{after}")))
                .collect();
        }
        let group = line.split('`').nth(1).and_then(|first| first.rsplit_once('.'));
        let short = group.map(|(group, _)| line.replace("`.", &format!("`{group}.")));
        std::iter::once(line.to_owned()).chain(short).collect()
    }

    #[test]
    fn paths_of_every_form() {
        let name = |path: &[u8]| name_of(path).map(Cow::into_owned);
        assert_eq!(name(b"ats\0txn\0id").as_deref(), Some("txn.id"));
        assert_eq!(name(b"ats\0txn\0id\0").as_deref(), Some("txn.id"));
        assert_eq!(name(b"ats.txn.id").as_deref(), Some("txn.id"));
        assert_eq!(
            name(b"ats\0config\0proxy.config.http.cache.http").as_deref(),
            Some("config.proxy.config.http.cache.http")
        );
        assert_eq!(name(b"request\0id"), None);
        assert_eq!(name(b"ats"), None);
        assert_eq!(name(b"ats\0\xff"), None);
    }

    #[test]
    fn values_have_the_encoding_of_their_type() {
        let encoded = |value: Value| {
            let mut out = Vec::new();
            value.encode(&mut out);
            out
        };
        assert_eq!(encoded(Value::Int(-2)), (-2_i64).to_le_bytes());
        assert_eq!(encoded(Value::Float(0.5)), 0.5_f64.to_le_bytes());
        assert_eq!(encoded(Value::Bool(true)), [1]);
        assert_eq!(encoded(Value::text("miss")), b"miss");
    }
}
