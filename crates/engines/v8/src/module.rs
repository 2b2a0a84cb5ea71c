//! A module: compiled once, instantiated in many isolates.

use std::ffi::CString;
use std::sync::Arc;

use weir_engine::{
    CompileError, HostFunc, HostFuncs, HostState, Instance, InstantiateError, Limits, Module, ValType,
    WasmFeatures,
};
use weir_engine_support::{ExportedFunctions, MemoryGuard, ModuleParts, ModuleWriter};

use crate::instance::V8Instance;
use crate::library::{Import, Library, RawModule};
use crate::trap::Message;

/// The proposals of other engines that V8 has as well, as it is started here.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST);

/// The import that a module's memory becomes: a memory object has a maximum of its own, which is how an instance's memory
/// is limited.
pub(crate) const MEMORY: (&std::ffi::CStr, &std::ffi::CStr) = (c"weir:host", c"memory");

pub(crate) struct V8Module(Arc<Compiled>);

/// The parts that instances share, and keep alive.
pub(crate) struct Compiled {
    pub library: &'static Library,
    pub raw: *mut RawModule,
    pub funcs: Vec<&'static HostFunc>,
    pub imports: Vec<Import>,
    /// The targets of `imports`.
    _texts: Vec<CString>,
    /// Pages at start and at most.
    pub memory: Option<(u64, Option<u64>)>,
    pub memory_at_start: usize,
    pub shows_memory: bool,
    /// Types of the functions that are exported.
    pub exports: ExportedFunctions,
}

// SAFETY: a compiled module may be used by all threads; the texts do not change.
unsafe impl Send for Compiled {}
// SAFETY: through a shared reference nothing is changed; V8 lets all threads instantiate a compiled module at once.
unsafe impl Sync for Compiled {}

impl V8Module {
    /// Validates a module, compiles it and binds its imports.
    pub fn compile(library: &'static Library, wasm: &[u8], funcs: HostFuncs) -> Result<Self, CompileError> {
        let parts = ModuleParts::read(wasm, FEATURES)?;
        let found = parts.resolve_imports(funcs)?;
        let mut writer = ModuleWriter::new(&parts);
        writer.bound_tables()?;
        if let Some((pages, _)) = parts.memory {
            let (module, name) = MEMORY;
            writer.import_memory(&module.to_string_lossy(), &name.to_string_lossy(), pages)?;
        }
        let rewritten = writer.finish();
        let mut message = Message::new();
        // SAFETY: the bytes are read; the message has room for what is said.
        let raw = unsafe {
            (library.compile)(
                rewritten.as_ptr(),
                rewritten.len(),
                message.place(),
                message.room(),
            )
        };
        if raw.is_null() {
            return Err(CompileError::Invalid(message.text()));
        }
        let (texts, imports) = described(&found);
        Ok(Self(Arc::new(Compiled {
            library,
            raw,
            funcs: found,
            imports,
            _texts: texts,
            memory: parts.memory,
            memory_at_start: parts.memory_at_start(),
            shows_memory: parts.shows_memory(),
            exports: parts.exported_functions(),
        })))
    }
}

/// The imports as the library wants them, and the texts that they point to.
fn described(funcs: &[&'static HostFunc]) -> (Vec<CString>, Vec<Import>) {
    let mut texts = Vec::new();
    let mut imports = Vec::new();
    for func in funcs {
        let letter = |ty: &ValType| match ty {
            ValType::I32 => 'i',
            ValType::I64 => 'I',
        };
        let params: String = func.signature.params.iter().map(letter).collect();
        let result = func.signature.result.as_ref().map(letter);
        let signature = format!("{params}:{}", result.map(String::from).unwrap_or_default());
        let mut place = |text: &str| {
            // The host's names have no NUL in them.
            let text = CString::new(text).unwrap_or_default();
            let place = text.as_ptr();
            texts.push(text);
            place
        };
        imports.push(Import {
            module: place(func.module),
            name: place(func.name),
            signature: place(&signature),
        });
    }
    (texts, imports)
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // SAFETY: instances hold the value, so there is none any more.
        unsafe { (self.library.release)(self.raw) };
    }
}

impl Module for V8Module {
    fn instantiate(
        &self,
        state: Box<dyn HostState>,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, InstantiateError> {
        let guard = MemoryGuard::of_module(limits.memory, self.0.memory_at_start)?;
        Ok(Box::new(V8Instance::new(&self.0, state, guard, limits)?))
    }
}
