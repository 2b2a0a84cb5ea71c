//! A module: WAMR's, and the host functions that it imports.

use std::ffi::c_char;
use std::sync::Arc;

use wamrx_sys::{
    LoadArgs, wasm_module_t, wasm_runtime_is_underlying_binary_freeable, wasm_runtime_load_ex,
    wasm_runtime_unload,
};
use weir_engine::{CompileError, HostFuncs, HostState, Instance, InstantiateError, Limits, Module};
use weir_engine_support::{ExportedFunctions, MemoryGuard, ModuleParts};

use crate::code;

use crate::instance::WamrInstance;
use crate::natives::Table;
use crate::prepare;
use crate::runtime::Runtime;

/// Room for WAMR's messages.
pub(crate) type Message = [c_char; 256];

pub(crate) struct WamrModule(Arc<Loaded>);

/// The parts that instances share, and keep alive.
pub(crate) struct Loaded {
    pub raw: wasm_module_t,
    pub table: Table,
    /// Bytes of memory at start.
    pub memory: usize,
    /// Pages of memory at most, where the module says so.
    pub max_pages: Option<u64>,
    pub exports: ExportedFunctions,
    pub has_start: bool,
    pub shows_memory: bool,
    /// The code was compiled ahead of time.
    pub is_compiled: bool,
    /// The bytes that WAMR reads the module from, if it still does.
    _wasm: Option<Box<[u8]>>,
}

// SAFETY: WAMR changes a module while it loads it and not afterwards; any thread may instantiate it.
unsafe impl Send for Loaded {}
// SAFETY: through a shared reference nothing is changed; any thread may instantiate the module.
unsafe impl Sync for Loaded {}

impl WamrModule {
    /// Validates a module, translates it and binds its imports.
    pub fn compile(runtime: &Runtime, wasm: &[u8], funcs: HostFuncs) -> Result<Self, CompileError> {
        let parts = prepare::read(wasm)?;
        let code = prepare::prepare(&parts)?;
        Self::load(runtime, &parts, code, false, funcs)
    }

    /// Loads what the compiler made ([`code`]).
    pub fn load_compiled(runtime: &Runtime, bytes: &[u8], funcs: HostFuncs) -> Result<Self, CompileError> {
        let (wasm, code) = code::split(bytes)?;
        let parts = prepare::read(wasm)?;
        Self::load(runtime, &parts, code.to_vec(), true, funcs)
    }

    /// Loads a module from what WAMR is to read.
    fn load(
        runtime: &Runtime,
        parts: &ModuleParts<'_>,
        code: Vec<u8>,
        is_compiled: bool,
        funcs: HostFuncs,
    ) -> Result<Self, CompileError> {
        let found = parts.resolve_imports(funcs)?;
        let mut wasm = code.into_boxed_slice();
        let size = u32::try_from(wasm.len())
            .map_err(|_| CompileError::Invalid("the module is larger than 4 GiB".to_owned()))?;
        let mut natives = runtime.natives();
        let table = natives.table(&found)?;
        let arguments = LoadArgs {
            // WAMR takes the text as writable, and does not write to it.
            name: c"".as_ptr().cast_mut(),
            // Compiled code would take its data from the bytes all the same, and free it as if it had its own.
            wasm_binary_freeable: !is_compiled,
            ..LoadArgs::default()
        };
        let mut message: Message = [0; 256];
        // SAFETY: the bytes may be written to, and live as long as the module where WAMR still needs them; the message has
        // room for what is said. WAMR's list of functions is locked.
        let raw = unsafe {
            wasm_runtime_load_ex(
                wasm.as_mut_ptr(),
                size,
                &arguments,
                message.as_mut_ptr(),
                message.len() as u32,
            )
        };
        drop(natives);
        if raw.is_null() {
            return Err(CompileError::Invalid(text(&message)));
        }
        // SAFETY: the module that has just been loaded.
        let is_read = unsafe { wasm_runtime_is_underlying_binary_freeable(raw) };
        Ok(Self(Arc::new(Loaded {
            raw,
            table,
            memory: parts.memory_at_start(),
            max_pages: parts.memory.and_then(|(_, max)| max),
            exports: parts.exported_functions(),
            has_start: parts.start.is_some(),
            shows_memory: parts.shows_memory(),
            is_compiled,
            _wasm: (!is_read).then_some(wasm),
        })))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: instances hold the value, so there is none any more.
        unsafe { wasm_runtime_unload(self.raw) };
    }
}

impl Module for WamrModule {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let guard = MemoryGuard::of_module(limits.memory, self.0.memory)?;
        Ok(Box::new(WamrInstance::new(
            Arc::clone(&self.0),
            state,
            guard,
            limits,
        )?))
    }
}

/// WAMR's message.
pub(crate) fn text(message: &Message) -> String {
    let bytes: Vec<u8> = message
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
