//! The key of compiled code.

use weir_engine::{AheadOfTime, ModuleDigest};

use crate::CodeError;

/// The module that code was made from, and the engine that it was made for. Code of equal keys can take each other's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeKey<'a> {
    /// [`AheadOfTime::code_engine`] of the engine.
    pub engine: &'a str,
    /// [`AheadOfTime::code_key`] of the engine: its version, its settings, the kind of processor.
    pub target: &'a str,
    /// Digest of the module.
    pub module: ModuleDigest,
}

impl CodeKey<'_> {
    /// Checks that an engine with this code can load it as the code of a module.
    ///
    /// # Errors
    ///
    /// The part of the key that differs.
    pub fn check(&self, ahead: &dyn AheadOfTime, module: &ModuleDigest) -> Result<(), CodeError> {
        if self.module != *module {
            return Err(CodeError::OtherModule);
        }
        if self.engine != ahead.code_engine() {
            return Err(CodeError::OtherEngine(self.engine.to_owned()));
        }
        let here = ahead.code_key();
        if self.target != here {
            return Err(CodeError::OtherKey {
                made: self.target.to_owned(),
                here,
            });
        }
        Ok(())
    }

    /// The name of the code's file in a code cache, without extension: a hash of the key.
    pub(super) fn file_stem(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [
            self.engine.as_bytes(),
            self.target.as_bytes(),
            self.module.as_bytes(),
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        hasher.finalize().to_hex().to_string()
    }
}
