//! A module's bytes and the digest by which they are known.

use std::fmt;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// A module: its bytes, and their digest, which is computed once. Whoever has fetched the module and knows the digest passes
/// it on; the keys of VMs and of compiled code are made of it.
#[derive(Clone, Debug)]
pub struct Wasm<'a> {
    bytes: &'a [u8],
    digest: OnceLock<ModuleDigest>,
}

impl<'a> Wasm<'a> {
    /// A module whose digest is known.
    pub fn known(bytes: &'a [u8], digest: ModuleDigest) -> Self {
        Self {
            bytes,
            digest: OnceLock::from(digest),
        }
    }

    /// The module's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The digest of the bytes, computed when it is first asked for.
    pub fn digest(&self) -> ModuleDigest {
        *self.digest.get_or_init(|| ModuleDigest::of(self.bytes))
    }
}

impl<'a> From<&'a [u8]> for Wasm<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            digest: OnceLock::new(),
        }
    }
}

impl<'a> From<&'a Vec<u8>> for Wasm<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

/// SHA-256 of a module's bytes, without code that its file may hold beside the module. Displayed in hexadecimal digits, as
/// `sha256sum` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleDigest([u8; 32]);

impl ModuleDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that somebody else computed.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
