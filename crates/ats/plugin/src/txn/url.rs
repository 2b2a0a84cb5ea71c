//! The URL of a request in the server's own memory.

use std::ffi::c_int;

use weir_ats_sys::{
    TS_SUCCESS, TSHandleMLocRelease, TSMBuffer, TSMLoc, TSUrlHostGet, TSUrlHostSet, TSUrlHttpParamsGet,
    TSUrlHttpParamsSet, TSUrlHttpQueryGet, TSUrlHttpQuerySet, TSUrlPathGet, TSUrlPathSet, TSUrlPortSet,
    TSUrlRawPortGet, TSUrlSchemeGet, TSUrlSchemeSet,
};

use super::mime::bytes;

/// The URL of a request, released when dropped.
pub(crate) struct Url {
    buffer: TSMBuffer,
    parent: TSMLoc,
    loc: TSMLoc,
}

impl Drop for Url {
    fn drop(&mut self) {
        // SAFETY: the location was given out for this buffer and is released once.
        unsafe { TSHandleMLocRelease(self.buffer, self.parent, self.loc) };
    }
}

impl Url {
    /// `loc` has been given out by a getter for this buffer.
    pub fn new(buffer: TSMBuffer, parent: TSMLoc, loc: TSMLoc) -> Self {
        Self { buffer, parent, loc }
    }

    /// Appends path and query as they stand in a request line.
    pub fn path(&self, out: &mut Vec<u8>) {
        let path = self.text(|len| {
            // SAFETY: the URL is valid while `self` is.
            unsafe { TSUrlPathGet(self.buffer, self.loc, len) }
        });
        if path != b"*" {
            out.push(b'/');
        }
        out.extend_from_slice(path);
        if let Some(params) = TSUrlHttpParamsGet.get() {
            // SAFETY: the URL is valid while `self` is.
            let params = self.text(|len| unsafe { params(self.buffer, self.loc, len) });
            if !params.is_empty() {
                out.push(b';');
                out.extend_from_slice(params);
            }
        }
        let query = self.text(|len| {
            // SAFETY: the URL is valid while `self` is.
            unsafe { TSUrlHttpQueryGet(self.buffer, self.loc, len) }
        });
        if !query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(query);
        }
    }

    /// Sets path and query from what stands in a request line: `*`, or what begins with a slash.
    pub fn set_path(&self, target: &[u8]) -> bool {
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &b""[..]),
        };
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let pointer = |text: &[u8]| text.as_ptr().cast();
        // SAFETY: the URL is valid while `self` is; texts are copied.
        unsafe {
            if let Some(set) = TSUrlHttpParamsSet.get() {
                // The text behind a semicolon is part of the path that is set next.
                set(self.buffer, self.loc, pointer(b""), 0);
            }
            TSUrlPathSet(self.buffer, self.loc, pointer(path), path.len() as c_int) == TS_SUCCESS
                && TSUrlHttpQuerySet(self.buffer, self.loc, pointer(query), query.len() as c_int)
                    == TS_SUCCESS
        }
    }

    /// The host; empty where the request line had none.
    pub fn host(&self) -> &[u8] {
        self.text(|len| {
            // SAFETY: the URL is valid while `self` is.
            unsafe { TSUrlHostGet(self.buffer, self.loc, len) }
        })
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        // SAFETY: the URL is valid while `self` is.
        let port = unsafe { TSUrlRawPortGet(self.buffer, self.loc) };
        u16::try_from(port).ok().filter(|port| *port != 0)
    }

    /// Sets host and port from an authority.
    pub fn set_authority(&self, authority: &[u8]) {
        let (host, port) = split_authority(authority);
        // SAFETY: the URL is valid while `self` is; the text is copied.
        unsafe {
            TSUrlHostSet(self.buffer, self.loc, host.as_ptr().cast(), host.len() as c_int);
            TSUrlPortSet(self.buffer, self.loc, c_int::from(port.unwrap_or(0)));
        }
    }

    /// The scheme; empty where the request line had none.
    pub fn scheme(&self) -> &[u8] {
        self.text(|len| {
            // SAFETY: the URL is valid while `self` is.
            unsafe { TSUrlSchemeGet(self.buffer, self.loc, len) }
        })
    }

    /// Sets the scheme.
    pub fn set_scheme(&self, scheme: &[u8]) -> bool {
        let (text, len) = (scheme.as_ptr().cast(), scheme.len() as c_int);
        // SAFETY: the URL is valid while `self` is; the text is copied.
        unsafe { TSUrlSchemeSet(self.buffer, self.loc, text, len) == TS_SUCCESS }
    }

    fn text(&self, get: impl FnOnce(*mut c_int) -> *const std::ffi::c_char) -> &[u8] {
        let mut len: c_int = 0;
        let text = get(&mut len);
        bytes(text, len)
    }
}

/// Host and port of an authority; brackets of an IPv6 address go.
fn split_authority(authority: &[u8]) -> (&[u8], Option<u16>) {
    let port_of = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    if let Some(rest) = authority.strip_prefix(b"[")
        && let Some(end) = rest.iter().position(|byte| *byte == b']')
    {
        return (&rest[..end], rest[end + 1..].strip_prefix(b":").and_then(port_of));
    }
    match authority.iter().rposition(|byte| *byte == b':') {
        Some(at) => (&authority[..at], port_of(&authority[at + 1..])),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::split_authority;

    #[test]
    fn authorities_are_split() {
        assert_eq!(split_authority(b"a.example"), (&b"a.example"[..], None));
        assert_eq!(split_authority(b"a.example:81"), (&b"a.example"[..], Some(81)));
        assert_eq!(split_authority(b"[::1]:81"), (&b"::1"[..], Some(81)));
        assert_eq!(split_authority(b"[::1]"), (&b"::1"[..], None));
    }
}
