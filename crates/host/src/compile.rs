//! A module that is ready to run.

use std::sync::Arc;

use weir_abi::AbiVersion;
use weir_engine::{AheadOfTime, CompileError, Engine, HostFuncs, Module, ModuleDigest, SnapshotModule, Wasm};

use crate::{ImportSets, LoadError, ModuleInfo, inspect};

/// A module that has passed all checks and is compiled. Shared by all threads.
pub struct HostModule {
    name: String,
    digest: ModuleDigest,
    info: ModuleInfo,
    abi: Option<AbiVersion>,
    compiled: Arc<dyn Module>,
    sets: &'static ImportSets,
    engine: &'static str,
    /// The same module where its VMs can be frozen, or why they cannot.
    snapshots: Result<Arc<dyn SnapshotModule>, String>,
}

impl HostModule {
    /// Checks a module and compiles it. Its guests may import what `sets` offers. `name`, the file's name, stands in all
    /// messages about the module.
    ///
    /// # Errors
    ///
    /// The bytes are no WebAssembly, the host cannot run the module, or the engine refuses it.
    pub fn compile(
        engine: &dyn Engine,
        sets: &'static ImportSets,
        name: &str,
        wasm: &Wasm<'_>,
    ) -> Result<Arc<Self>, LoadError> {
        let not_asked = Err("it was not compiled for that".to_owned());
        Self::make(engine, sets, name, wasm, speaks_proxy_wasm, not_asked, |funcs| {
            compile(engine, wasm, funcs)
        })
    }

    /// Compiles a module as [`HostModule::compile`] does, and so that its VMs can be frozen ([`HostModule::snapshots`]).
    /// A module or runtime without snapshots is no error: the module is compiled in the ordinary way.
    ///
    /// # Errors
    ///
    /// As [`HostModule::compile`].
    pub fn compile_for_snapshots(
        engine: &dyn Engine,
        sets: &'static ImportSets,
        name: &str,
        wasm: &Wasm<'_>,
    ) -> Result<Arc<Self>, LoadError> {
        Self::make_for_snapshots(engine, sets, name, wasm, speaks_proxy_wasm)
    }

    /// Compiles a module whose guests are of another kind than Proxy-Wasm: the module exports no marker of an ABI, and its
    /// owner knows its entry points. Snapshots are as for [`HostModule::compile_for_snapshots`].
    ///
    /// # Errors
    ///
    /// As [`HostModule::compile`], except that neither marker nor allocator nor memory has to be there.
    pub fn compile_other(
        engine: &dyn Engine,
        sets: &'static ImportSets,
        name: &str,
        wasm: &Wasm<'_>,
    ) -> Result<Arc<Self>, LoadError> {
        Self::make_for_snapshots(engine, sets, name, wasm, |info| info.check_other().map(|()| None))
    }

    fn make_for_snapshots(
        engine: &dyn Engine,
        sets: &'static ImportSets,
        name: &str,
        wasm: &Wasm<'_>,
        check: fn(&ModuleInfo) -> Result<Option<AbiVersion>, LoadError>,
    ) -> Result<Arc<Self>, LoadError> {
        let no_snapshots = match snapshot_module(engine, wasm, sets.funcs()) {
            Ok(module) => {
                let compiled = Arc::clone(&module) as Arc<dyn Module>;
                return Self::make(engine, sets, name, wasm, check, Ok(module), |_| Ok(compiled));
            }
            // To compile it in the ordinary way would take as much once more.
            Err(error @ (CompileError::Bound(_) | CompileError::Compiler(_))) => return Err(error.into()),
            Err(reason) => Err(reason.to_string()),
        };
        Self::make(engine, sets, name, wasm, check, no_snapshots, |funcs| {
            compile(engine, wasm, funcs)
        })
    }

    /// Loads a module from machine code. `ahead` is that of `engine`, and its compiler made `code` from `wasm`.
    ///
    /// Whoever wrote `code` controls this process: see [`AheadOfTime::load_code`].
    ///
    /// # Errors
    ///
    /// As [`HostModule::compile`], or the engine cannot use the code.
    pub fn load_code(
        engine: &dyn Engine,
        ahead: &dyn AheadOfTime,
        sets: &'static ImportSets,
        name: &str,
        wasm: &Wasm<'_>,
        code: &[u8],
    ) -> Result<Arc<Self>, LoadError> {
        let compiled_before = Err("its code was compiled before".to_owned());
        Self::make(
            engine,
            sets,
            name,
            wasm,
            speaks_proxy_wasm,
            compiled_before,
            |funcs| ahead.load_code(code, funcs),
        )
    }

    fn make(
        engine: &dyn Engine,
        sets: &'static ImportSets,
        name: &str,
        wasm: &Wasm<'_>,
        check: fn(&ModuleInfo) -> Result<Option<AbiVersion>, LoadError>,
        snapshots: Result<Arc<dyn SnapshotModule>, String>,
        compile: impl FnOnce(HostFuncs) -> Result<Arc<dyn Module>, CompileError>,
    ) -> Result<Arc<Self>, LoadError> {
        let info = inspect(sets, wasm.bytes())?;
        let abi = check(&info)?;
        Ok(Arc::new(Self {
            name: name.to_owned(),
            digest: wasm.digest(),
            info,
            abi,
            compiled: compile(sets.funcs())?,
            sets,
            engine: engine.name(),
            snapshots,
        }))
    }

    /// Returns the module as one whose VMs can be frozen.
    ///
    /// # Errors
    ///
    /// The reason why VMs of the module cannot be frozen, for the log: the engine takes no snapshots, or the module does what
    /// a snapshot cannot hold.
    pub fn snapshots(&self) -> Result<&dyn SnapshotModule, &str> {
        self.snapshots.as_deref().map_err(String::as_str)
    }

    /// File name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digest of the module's bytes.
    pub const fn digest(&self) -> ModuleDigest {
        self.digest
    }

    /// The facts about the module that are known without running it.
    pub const fn info(&self) -> &ModuleInfo {
        &self.info
    }

    /// Version of Proxy-Wasm that the module speaks; `None` for a guest of another kind
    /// ([`HostModule::compile_other`]).
    pub const fn abi(&self) -> Option<AbiVersion> {
        self.abi
    }

    /// Name of the runtime that it was compiled for.
    pub const fn engine(&self) -> &'static str {
        self.engine
    }

    /// The import sets that it was compiled with.
    pub const fn import_sets(&self) -> &'static ImportSets {
        self.sets
    }

    pub(crate) fn compiled(&self) -> &(dyn Module + 'static) {
        self.compiled.as_ref()
    }
}

fn speaks_proxy_wasm(info: &ModuleInfo) -> Result<Option<AbiVersion>, LoadError> {
    info.check().map(Some)
}

fn compile(engine: &dyn Engine, wasm: &Wasm<'_>, funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
    let compiled = engine.compile(wasm, funcs);
    compiled.map_err(|error| weir_engine::explain(engine, wasm.bytes(), error))
}

/// Compiles a module so that its instances can be frozen; the error says why they cannot.
fn snapshot_module(
    engine: &dyn Engine,
    wasm: &Wasm<'_>,
    funcs: HostFuncs,
) -> Result<Arc<dyn SnapshotModule>, CompileError> {
    let (Some(ahead), Some(snapshots)) = (engine.ahead_of_time(), engine.snapshots()) else {
        let reason = format!("the runtime {} takes no snapshots", engine.name());
        return Err(CompileError::Invalid(reason));
    };
    let prepared = snapshots.prepare(wasm.bytes())?;
    let code = ahead.compiler()?.compile_code(&(&prepared).into())?;
    snapshots.load(&code, funcs)
}
