//! Facts about a module that are known without running it.

mod error;
mod imports;
mod module;
mod not_wasm;
#[cfg(test)]
mod tests;
mod toolchain;

pub use error::LoadError;
use weir_abi::AbiVersion;
use weir_abi::limits::MAX_MODULE_BYTES;

use crate::ImportSets;

/// Reads a module's imports, exports and custom sections, and holds the imports against what the import sets offer. Nothing
/// is compiled and no function body is looked at. [`ModuleInfo::check`] tells whether a host with these sets can run the
/// module.
///
/// # Errors
///
/// [`LoadError::NotWasm`], [`LoadError::Precompiled`], [`LoadError::TooLarge`] or [`LoadError::Malformed`].
pub fn inspect(sets: &ImportSets, wasm: &[u8]) -> Result<ModuleInfo, LoadError> {
    if wasm.len() > MAX_MODULE_BYTES {
        return Err(LoadError::TooLarge(wasm.len()));
    }
    not_wasm::refuse(wasm)?;
    module::read(sets, wasm)
}

/// Facts about a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// Version of the ABI: that of the first marker exported.
    pub abi: Option<AbiVersion>,
    /// Every `proxy_abi_version_*` exported, known or not, in the order of export.
    pub markers: Vec<String>,
    /// The SDK or compiler that made the module, as far as it can be told.
    pub sdk: Option<String>,
    /// Callbacks exported with the right type, in the order of the ABI's table.
    pub callbacks: Vec<String>,
    /// Functions imported, under the headings of their sets: one entry for each heading of the composition, in order.
    pub imports: Vec<ImportGroup>,
    /// Names of the sets from which the module imports.
    pub sets: Vec<&'static str>,
    /// Imports that the host does not have, each with its type and what is wrong.
    pub unknown_imports: Vec<String>,
    /// The linear memory exported as `memory`.
    pub memory: Option<MemoryInfo>,
    /// Bytes of the module.
    pub size: usize,
    /// True if the module has a start section.
    pub start_section: bool,
    /// Start functions exported: `_initialize`, `_start`, `main`, `__main_void`.
    pub start_functions: Vec<String>,
    /// Name of the guest's allocator.
    pub allocator: Option<&'static str>,
    /// True if functions have names, which backtraces show.
    pub has_names: bool,
    /// Exports that look like callbacks and are not: unknown names and wrong types. They will not be called.
    pub warnings: Vec<String>,
}

/// Imports under one heading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportGroup {
    /// The heading, such as `hostcalls` or `WASI`.
    pub name: &'static str,
    /// Names of the functions, in the order of the module's imports.
    pub functions: Vec<String>,
}

/// A linear memory, in pages of 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Pages at start.
    pub min_pages: u64,
    /// Pages at most, where the module says so.
    pub max_pages: Option<u64>,
    /// Why a host cannot use this memory: it has 64-bit addresses, is shared between threads, ...
    pub unsupported: Option<&'static str>,
}

impl ModuleInfo {
    /// True if the module imports a function of this name from an import set.
    pub fn has_import(&self, name: &str) -> bool {
        let mut functions = self.imports.iter().flat_map(|group| &group.functions);
        functions.any(|function| function == name)
    }

    /// Returns the version of the ABI in which the host runs the module.
    ///
    /// # Errors
    ///
    /// The host cannot run the module: it exports no marker of an ABI that the host has, imports functions that no import set
    /// has, has no memory or one of an unsupported kind, or no allocator. The first of these is returned.
    pub fn check(&self) -> Result<AbiVersion, LoadError> {
        let Some(abi) = self.abi else {
            return Err(match self.markers.first() {
                Some(marker) => LoadError::UnsupportedAbi {
                    marker: marker.clone(),
                },
                None => LoadError::NoAbiMarker,
            });
        };
        self.check_other()?;
        if self.memory.is_none() {
            return Err(LoadError::NoMemory);
        }
        if self.allocator.is_none() {
            return Err(LoadError::NoAllocator);
        }
        Ok(abi)
    }

    /// Checks what holds for guests of every kind; a module without memory is well.
    ///
    /// # Errors
    ///
    /// The module imports functions that no import set has, or its memory is of an unsupported kind.
    pub fn check_other(&self) -> Result<(), LoadError> {
        if !self.unknown_imports.is_empty() {
            return Err(LoadError::UnknownImports(self.unknown_imports.clone()));
        }
        match self.memory.and_then(|memory| memory.unsupported) {
            Some(reason) => Err(LoadError::UnsupportedMemory(reason)),
            None => Ok(()),
        }
    }
}
