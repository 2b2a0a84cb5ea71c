//! Code that was compiled ahead of time: the module, of which the host must know imports and memory, and WAMR's file.

use std::sync::Arc;

use weir_engine::{AheadOfTime, CodeCompiler, CompileError, HostFuncs, Module, Unavailable, Wasm};
use weir_engine_support::CompilerBounds;

use crate::compiler::{Compiler, PROCESSOR};
use crate::module::WamrModule;
use crate::prepare;
use crate::runtime::Runtime;

/// Code for the runtime.
pub(crate) struct WamrCode {
    pub runtime: &'static Runtime,
    /// The engine does not interpret.
    pub compiles_at_load: bool,
    /// Of the compiler.
    pub bounds: CompilerBounds,
}

impl AheadOfTime for WamrCode {
    fn code_engine(&self) -> &'static str {
        "wamr"
    }

    fn code_key(&self) -> String {
        let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        format!(
            "weir {version}, wamr {}, {arch}, {PROCESSOR}",
            self.runtime.version()
        )
    }

    fn compiles_at_load(&self) -> bool {
        self.compiles_at_load
    }

    fn load_code(&self, code: &[u8], funcs: HostFuncs) -> Result<Arc<dyn Module>, CompileError> {
        Ok(Arc::new(WamrModule::load_compiled(self.runtime, code, funcs)?))
    }

    fn compiler(&self) -> Result<Arc<dyn CodeCompiler>, Unavailable> {
        Ok(Arc::new(Compiler::find(&self.runtime.version(), self.bounds)?))
    }
}

impl CodeCompiler for Compiler {
    fn compile_code(&self, wasm: &Wasm<'_>) -> Result<Vec<u8>, CompileError> {
        let wasm = wasm.bytes();
        let parts = prepare::read(wasm)?;
        let code = self.compile(&prepare::prepare_metered(&parts)?)?;
        let length = u32::try_from(wasm.len())
            .map_err(|_| CompileError::Invalid("the module is larger than 4 GiB".to_owned()))?;
        Ok([MAGIC, &length.to_le_bytes(), wasm, &code].concat())
    }
}

/// The first bytes of such code.
const MAGIC: &[u8] = b"weir wamr code 1";

/// Bytes of the module's length, little-endian.
const LENGTH: usize = 4;

/// The module and WAMR's file.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), CompileError> {
    let refused = |why: &str| CompileError::Invalid(format!("cannot load the code: {why}"));
    if !runs_here() {
        return Err(refused(
            "it was compiled for processors that have more than this one",
        ));
    }
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| refused("it is not WAMR's, or of another version of Weir"))?;
    let (length, rest) = rest
        .split_first_chunk::<LENGTH>()
        .ok_or_else(|| refused("it is cut"))?;
    let length = u32::from_le_bytes(*length) as usize;
    rest.split_at_checked(length).ok_or_else(|| refused("it is cut"))
}

/// Returns true if this processor has what code is compiled for ([`PROCESSOR`]).
fn runs_here() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_code_is_refused() {
        let whole = [MAGIC, &3_u32.to_le_bytes(), b"abc", b"code"].concat();
        assert_eq!(split(&whole).unwrap(), (&b"abc"[..], &b"code"[..]));
        for length in 0..whole.len() - 4 {
            assert!(split(&whole[..length]).is_err(), "{length}");
        }
        let error = split(b"something else").unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot load the code: it is not WAMR's, or of another version of Weir"
        );
    }

    /// Weir's cache and files have checksums; this is what WAMR makes of bytes that nothing has checked.
    #[test]
    fn damaged_code_is_refused_by_wamr() {
        let wasm = wat::parse_str(
            r#"(module (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) $f) (data (i32.const 9) "data")
            (func $f (export "f") (param i32) (result i32) (i32.div_u (i32.const 9) (local.get 0))))"#,
        );
        let wamr = WamrCode {
            runtime: Runtime::start().unwrap(),
            compiles_at_load: false,
            bounds: CompilerBounds::default(),
        };
        let compiler = match wamr.compiler() {
            Ok(compiler) => compiler,
            Err(error) => {
                eprintln!("not tested: {error}");
                return;
            }
        };
        let code = compiler.compile_code(&(&wasm.unwrap()).into()).unwrap();
        assert!(wamr.load_code(&code, &[]).is_ok());
        let start = code.len() - split(&code).unwrap().1.len();
        for length in start..code.len() - 1 {
            let cut = wamr.load_code(&code[..length], &[]);
            assert!(cut.is_err(), "cut at {length} of {}", code.len());
        }
        // The version of the format, and what the code was made for.
        for at in [4, 16, 24] {
            let mut other = code.clone();
            other[start + at] ^= 0x55;
            assert!(wamr.load_code(&other, &[]).is_err(), "changed at {at}");
        }
    }
}
