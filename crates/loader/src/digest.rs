//! The digest by which files of modules are known.

use std::fmt;

use weir_engine::ModuleDigest;

/// SHA-256 of a module's file: of the module and of the code that may stand beside it. It is the module's own
/// ([`ModuleDigest`]) where no code stands there. Displayed in hexadecimal digits, as `sha256sum` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileDigest(ModuleDigest);

impl FileDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(ModuleDigest::of(bytes))
    }

    /// The digest that somebody else computed.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(ModuleDigest::from_bytes(digest))
    }

    /// The digest of the module in a file that holds nothing beside it.
    pub(crate) const fn of_module(self) -> ModuleDigest {
        self.0
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
