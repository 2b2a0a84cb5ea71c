//! Names of header fields as the server keeps them: looking a field up by one of these costs a bit test where it is
//! absent, by any other name a hash.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::OnceLock;

use weir_http_rules::names::CONNECTION_FIELDS;

/// A header field name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    text: *const c_char,
    len: i32,
}

// SAFETY: the text is either static or of the server's, which keeps its table of names until it ends.
unsafe impl Send for Name {}
// SAFETY: the text is static or the server's for as long as it runs, and nobody writes to it.
unsafe impl Sync for Name {}

impl Name {
    /// The text, for a function of the server.
    pub const fn as_ptr(self) -> *const c_char {
        self.text
    }

    /// Its length.
    pub const fn len(self) -> i32 {
        self.len
    }
}

/// The names that this plugin looks up by itself.
pub(crate) struct WellKnown {
    pub host: Name,
    pub connection: Name,
    pub transfer_encoding: Name,
    pub upgrade: Name,
    pub content_length: Name,
    pub content_range: Name,
    pub content_type: Name,
    pub range: Name,
    /// The fields of a connection but `connection` itself, each also in lower case.
    pub of_connections: Vec<(&'static str, Name)>,
}

/// The names of this server.
#[inline]
pub(crate) fn names() -> &'static WellKnown {
    static NAMES: OnceLock<WellKnown> = OnceLock::new();
    NAMES.get_or_init(|| WellKnown {
        host: find(c"TS_MIME_FIELD_HOST", c"Host"),
        connection: find(c"TS_MIME_FIELD_CONNECTION", c"Connection"),
        transfer_encoding: find(c"TS_MIME_FIELD_TRANSFER_ENCODING", c"Transfer-Encoding"),
        upgrade: find(c"TS_MIME_FIELD_UPGRADE", c"Upgrade"),
        content_length: find(c"TS_MIME_FIELD_CONTENT_LENGTH", c"Content-Length"),
        content_range: find(c"TS_MIME_FIELD_CONTENT_RANGE", c"Content-Range"),
        content_type: find(c"TS_MIME_FIELD_CONTENT_TYPE", c"Content-Type"),
        range: find(c"TS_MIME_FIELD_RANGE", c"Range"),
        of_connections: CONNECTION_FIELDS
            .iter()
            .filter(|name| **name != "connection")
            .map(|name| (*name, find_field(name)))
            .collect(),
    })
}

/// Finds the name of a field, given in lower case. Called once for each name.
fn find_field(name: &'static str) -> Name {
    let symbol = format!("TS_MIME_FIELD_{}", name.to_uppercase().replace('-', "_"));
    let own = Name {
        text: name.as_ptr().cast(),
        len: name.len() as i32,
    };
    CString::new(symbol).map_or(own, |symbol| interned(&symbol, own))
}

fn find(symbol: &CStr, text: &'static CStr) -> Name {
    let own = Name {
        text: text.as_ptr(),
        len: text.count_bytes() as i32,
    };
    interned(symbol, own)
}

/// Finds the server's own text of a name; `own` where the server has none.
fn interned(symbol: &CStr, own: Name) -> Name {
    // SAFETY: the symbol is a string; what is found is only looked at below.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) }.cast::<*const c_char>();
    if found.cast::<c_void>().is_null() {
        return own;
    }
    // SAFETY: the server exports these symbols as variables of type `const char *` (ts/ts.h), set before plugins start.
    let interned = unsafe { found.read() };
    if interned.is_null() {
        return own;
    }
    Name {
        text: interned,
        ..own
    }
}
