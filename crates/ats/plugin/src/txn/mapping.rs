//! The request of a remap rule as its filters see it: the client's, although the server has mapped the URL by then.
//!
//! The server maps before it calls the plugins of a rule. Until the request's head has come through the rule's filters they
//! are shown what the client asked for; a path that they set is mapped as the server maps, and the origin stays the rule's.

use weir_ats_sys::{
    TS_SUCCESS, TSHttpTxn, TSHttpTxnConfigIntGet, TSHttpTxnPristineUrlGet, TSMBuffer, TSMLoc, TSUrlPathGet,
};
use weir_host::{Edit, HeaderEdit};
use weir_http_rules::pseudo;

use super::edits::edit_request;
use super::mime::{Head, bytes};
use super::url::Url;
use crate::property;

/// The rule that has matched. Its URLs are the server's, which keeps a rule for as long as a transaction that uses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    buffer: TSMBuffer,
    from: TSMLoc,
    to: TSMLoc,
}

impl Mapping {
    /// The rule with these URLs.
    ///
    /// # Safety
    ///
    /// The server gave them with a request that matches the rule; the value is not used after the transaction.
    pub unsafe fn new(buffer: TSMBuffer, from: TSMLoc, to: TSMLoc) -> Option<Self> {
        let known = !(buffer.is_null() || from.is_null() || to.is_null());
        known.then_some(Self { buffer, from, to })
    }

    /// Appends the path of the client's request: the one that the client sent, or the one that maps to where the request goes
    /// after filters before. Where another plugin of the rule has rewritten the URL, that is its path.
    pub fn path(self, http: TSHttpTxn, head: Head, out: &mut Vec<u8>) {
        let mut now = Vec::new();
        if let Some(url) = head.url() {
            url.path(&mut now);
        }
        if let Some(url) = pristine(http) {
            let begin = out.len();
            url.path(out);
            if self.map(&out[begin..]).is_some_and(|mapped| mapped == now) {
                return;
            }
            out.truncate(begin);
        }
        out.extend_from_slice(&self.unmap(&now).unwrap_or(now));
    }

    /// Appends the authority of the client's request.
    pub fn authority(http: TSHttpTxn, out: &mut Vec<u8>) {
        let Some(url) = pristine(http) else { return };
        out.extend_from_slice(url.host());
        if let Some(port) = url.port() {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
    }

    /// The scheme of the client's request.
    pub fn scheme(http: TSHttpTxn) -> Option<Vec<u8>> {
        pristine(http)
            .map(|url| url.scheme().to_vec())
            .filter(|scheme| !scheme.is_empty())
    }

    /// Changes the request. A path is mapped; scheme and origin stay the rule's, and an authority becomes the `Host` that the
    /// origin gets where the server leaves the client's to it (`proxy.config.url_remap.pristine_host_hdr`).
    pub fn edit(self, http: TSHttpTxn, head: Head, edit: HeaderEdit<'_>) -> Edit {
        match edit {
            HeaderEdit::Add(name, value) | HeaderEdit::Replace(name, value) if is_target(name) => {
                if self.check(name, value) {
                    self.set(http, head, name, value);
                    Edit::Done
                } else {
                    Edit::Invalid
                }
            }
            HeaderEdit::SetAll(lines) => {
                if !lines
                    .iter()
                    .all(|(name, value)| !is_target(name) || self.check(name, value))
                {
                    return Edit::Invalid;
                }
                let others: Vec<_> = lines
                    .iter()
                    .filter(|(name, _)| !is_target(name))
                    .copied()
                    .collect();
                let outcome = edit_request(head, HeaderEdit::SetAll(&others));
                if outcome == Edit::Done {
                    for (name, value) in lines.iter().filter(|(name, _)| is_target(name)) {
                        self.set(http, head, name, value);
                    }
                }
                outcome
            }
            edit => edit_request(head, edit),
        }
    }

    fn check(self, name: &[u8], value: &[u8]) -> bool {
        match name {
            b":path" => pseudo::path(value).is_some() && self.map(value).is_some(),
            b":scheme" => pseudo::scheme(value).is_some(),
            _ => pseudo::authority(value).is_some(),
        }
    }

    fn set(self, http: TSHttpTxn, head: Head, name: &[u8], value: &[u8]) {
        match name {
            b":path" => {
                if let (Some(url), Some(mapped)) = (head.url(), self.map(value)) {
                    url.set_path(&mapped);
                }
            }
            b":scheme" => {}
            _ if leaves_host(http) => {
                head.replace(b"Host", value);
            }
            _ => {}
        }
    }

    /// The path that a path of the client's maps to, both as they stand in a request line; `None` for one that is not the
    /// rule's.
    fn map(self, path: &[u8]) -> Option<Vec<u8>> {
        map(self.text(self.from), self.text(self.to), path)
    }

    /// A path of the client's that maps to this one.
    fn unmap(self, path: &[u8]) -> Option<Vec<u8>> {
        let unmapped = map(self.text(self.to), self.text(self.from), path)?;
        self.map(&unmapped)
            .is_some_and(|mapped| mapped == path)
            .then_some(unmapped)
    }

    /// The path of a URL of the rule, without its first slash.
    fn text(&self, url: TSMLoc) -> &[u8] {
        let mut len = 0;
        // SAFETY: the URLs are valid for as long as the transaction uses its rule (`new`).
        let text = unsafe { TSUrlPathGet(self.buffer, url, &mut len) };
        bytes(text, len)
    }
}

/// True for the fields that say where a request goes.
pub(super) fn is_target(name: &[u8]) -> bool {
    matches!(name, b":path" | b":authority" | b":scheme" | b"host")
}

/// The URL of the client's request.
fn pristine(http: TSHttpTxn) -> Option<Url> {
    let (mut buffer, mut loc) = (TSMBuffer::NULL, TSMLoc::NULL);
    // SAFETY: the transaction exists; the getter writes to the places it is given.
    let known = unsafe { TSHttpTxnPristineUrlGet(http, &mut buffer, &mut loc) } == TS_SUCCESS;
    let url = known.then(|| Url::new(buffer, TSMLoc::NULL, loc));
    url.filter(|url| !url.host().is_empty())
}

/// True if the origin gets the client's `Host`.
fn leaves_host(http: TSHttpTxn) -> bool {
    let mut value = 0;
    property::find_record(b"proxy.config.url_remap.pristine_host_hdr").is_some_and(|(key, _)| {
        // SAFETY: the transaction exists, and the record is an integer.
        unsafe { TSHttpTxnConfigIntGet(http, key, &mut value) == TS_SUCCESS && value != 0 }
    })
}

/// Maps a path as the server does: `from` and `to` are the paths of the rule, without their first slash.
fn map(from: &[u8], to: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    let (path, query) = path.split_at(end);
    let plain = path.strip_prefix(b"/")?;
    // A rule with a slash at its end is also that of the path without it.
    let mut rest = match plain.strip_prefix(from) {
        Some(rest) => rest,
        None if from.strip_suffix(b"/") == Some(plain) => b"",
        None => return None,
    };
    let mut mapped = to.to_vec();
    if from.is_empty() && !rest.is_empty() && !to.is_empty() && !to.ends_with(b"/") {
        mapped.push(b'/');
    }
    if !to.is_empty() && to.ends_with(b"/") {
        rest = rest.strip_prefix(b"/").unwrap_or(rest);
    }
    mapped.extend_from_slice(rest);
    let mut line = b"/".to_vec();
    line.extend_from_slice(mapped.strip_prefix(b"/").unwrap_or(&mapped));
    line.extend_from_slice(query);
    Some(line)
}

#[cfg(test)]
mod tests {
    fn map(from: &str, to: &str, path: &str) -> Option<String> {
        let mapped = super::map(from.as_bytes(), to.as_bytes(), path.as_bytes())?;
        Some(String::from_utf8(mapped).expect("text"))
    }

    #[test]
    fn paths_are_mapped_as_the_server_does() {
        for (from, to, path, mapped) in [
            ("", "", "/a/b?c=/d", "/a/b?c=/d"),
            ("", "root", "/a", "/root/a"),
            ("", "root/", "/a", "/root/a"),
            ("", "root", "/", "/root"),
            ("api/", "v2/", "/api/a?b", "/v2/a?b"),
            ("api", "v2/", "/api/a", "/v2/a"),
            ("api/", "", "/api/a/b", "/a/b"),
            ("api/", "v2/", "/api", "/v2/"),
            ("a/", "b", "/a/c", "/bc"),
        ] {
            assert_eq!(map(from, to, path).as_deref(), Some(mapped), "{from} {to} {path}");
        }
        for path in ["/other", "/ap", "*"] {
            assert_eq!(map("api/", "v2/", path), None, "{path}");
        }
    }
}
