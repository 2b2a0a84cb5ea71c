//! Functions that toolchains import beside those of a specification.

use std::sync::Arc;

use weir_abi::LogLevel;
use weir_engine::{Trap, ValType};

use super::call::slice;
use super::{Code, Import, ImportSet, SetCall};
use crate::{VmSpec, import};

/// The imports of AssemblyScript and Emscripten. A guest gains nothing by these functions, so no restriction forbids them.
pub(crate) struct Toolchains;

const ENV: &[&str] = &["env"];

impl ImportSet for Toolchains {
    type Vm = ();
    type Stream = ();

    const NAME: &'static str = "toolchains";
    const GROUP: &'static str = "hostcalls";
    const IMPORTS: &'static [Import] = &[
        import!(Self, ENV, "emscripten_notify_memory_growth", memory_has_grown).always(),
        import!(Self, ENV, "pthread_equal", pthread_equal).always(),
        import!(Self, ENV, "abort", abort).always(),
    ];

    fn vm(&self, _: &Arc<VmSpec>) {}

    fn stream(&self, (): &mut ()) {}

    fn vm_from_snapshot(&self, (): &()) -> Option<()> {
        Some(())
    }
}

/// A C truth value.
struct Truth(bool);

impl Code for Truth {
    const TYPE: Option<ValType> = Some(ValType::I32);
    const REFUSED: u64 = 0;

    fn slot(self) -> u64 {
        self.0.into()
    }
}

/// Emscripten tells that memory has grown; the host looks anew each time anyway.
fn memory_has_grown(_: &mut SetCall<'_, Toolchains>, _memory: u32) -> Result<(), Trap> {
    Ok(())
}

/// There is one thread, but the C++ library compares its ids all the same.
fn pthread_equal(_: &mut SetCall<'_, Toolchains>, a: u32, b: u32) -> Result<Truth, Trap> {
    Ok(Truth(a == b))
}

/// AssemblyScript's failed assertion: logged with its text and place, then a trap.
fn abort(
    call: &mut SetCall<'_, Toolchains>,
    message: u32,
    file: u32,
    line: u32,
    column: u32,
) -> Result<(), Trap> {
    let (memory, ()) = call.memory_and_vm();
    let text = format!(
        "abort: {} at {}:{line}:{column}",
        assembly_script_string(memory, message),
        assembly_script_string(memory, file)
    );
    call.log(LogLevel::Critical, text.as_bytes());
    Err(Trap::host(text))
}
/// A string of AssemblyScript: UTF-16, its length in bytes in the four bytes before.
fn assembly_script_string(memory: &[u8], pointer: u32) -> String {
    /// Longer texts are no message any more.
    const MAX_BYTES: u32 = 4096;
    let read = || {
        let len = slice(memory, pointer.checked_sub(4)?, 4).ok()?;
        let len = u32::from_le_bytes(len.try_into().ok()?).min(MAX_BYTES);
        let units = slice(memory, pointer, len)
            .ok()?
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        Some(
            char::decode_utf16(units)
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        )
    };
    if pointer == 0 {
        "?".into()
    } else {
        read().unwrap_or_else(|| "?".into())
    }
}
