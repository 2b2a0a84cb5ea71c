//! A module: WasmEdge's, and the host functions that it imports.

use std::ptr;
use std::sync::Arc;

use weir_engine::{CompileError, HostFunc, HostFuncs, HostState, Instance, InstantiateError, Limits, Module};
use weir_engine_support::{ExportedFunctions, MemoryGuard};

use crate::instance::WasmEdgeInstance;
use crate::library::{Ast, Bytes, Configure, Library, SUCCESS, TAIL_CALL};
use crate::prepare;

pub(crate) struct WasmEdgeModule(Arc<Loaded>);

/// The parts that instances share, and keep alive.
pub(crate) struct Loaded {
    pub library: &'static Library,
    pub ast: *mut Ast,
    /// In the order of the imports.
    pub funcs: Vec<&'static HostFunc>,
    pub exports: ExportedFunctions,
    /// Bytes of memory at start.
    pub memory: usize,
    pub has_start: bool,
    pub shows_memory: bool,
}

// SAFETY: a module is not changed once it has been validated; any thread may instantiate it.
unsafe impl Send for Loaded {}
// SAFETY: through a shared reference nothing is changed; any thread may instantiate the module.
unsafe impl Sync for Loaded {}

/// A configuration of WasmEdge.
pub(crate) struct Settings(&'static Library, pub *mut Configure);

impl Settings {
    pub fn new(library: &'static Library) -> Self {
        // SAFETY: nothing is passed; what is made is deleted with the value. Null is one that the library takes for the
        // default.
        unsafe {
            let settings = (library.configure_create)();
            (library.configure_add_proposal)(settings, TAIL_CALL);
            Self(library, settings)
        }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        unsafe { (self.0.configure_delete)(self.1) };
    }
}

impl WasmEdgeModule {
    /// Validates a module and binds its imports.
    pub fn compile(library: &'static Library, wasm: &[u8], funcs: HostFuncs) -> Result<Self, CompileError> {
        let parts = prepare::read(wasm)?;
        let funcs = parts.resolve_imports(funcs)?;
        let prepared = prepare::prepare(&parts)?;
        let length = u32::try_from(prepared.len())
            .map_err(|_| CompileError::Invalid("the module is larger than 4 GiB".to_owned()))?;
        let settings = Settings::new(library);
        let mut ast = ptr::null_mut();
        // SAFETY: the bytes live until the call is over; the loader is deleted when it has done its work.
        let parsed = unsafe {
            let loader = (library.loader_create)(settings.1);
            let bytes = Bytes {
                length,
                bytes: prepared.as_ptr(),
            };
            let parsed = (library.loader_parse)(loader, &mut ast, bytes);
            (library.loader_delete)(loader);
            parsed
        };
        if parsed != SUCCESS || ast.is_null() {
            return Err(CompileError::Invalid(library.text_of(parsed)));
        }
        // From here on the value deletes it.
        let loaded = Loaded {
            library,
            ast,
            funcs,
            exports: parts.exported_functions(),
            memory: parts.memory_at_start(),
            has_start: parts.start.is_some(),
            shows_memory: parts.shows_memory(),
        };
        // SAFETY: the module has just been parsed; the validator is deleted when it has done its work.
        let valid = unsafe {
            let validator = (library.validator_create)(settings.1);
            let valid = (library.validator_validate)(validator, ast);
            (library.validator_delete)(validator);
            valid
        };
        if valid == SUCCESS {
            Ok(Self(Arc::new(loaded)))
        } else {
            Err(CompileError::Invalid(library.text_of(valid)))
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: instances hold the value, so there is none any more.
        unsafe { (self.library.ast_delete)(self.ast) };
    }
}

impl Module for WasmEdgeModule {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let guard = MemoryGuard::of_module(limits.memory, self.0.memory)?;
        Ok(Box::new(WasmEdgeInstance::new(&self.0, state, guard, limits)?))
    }
}
