//! Functions that toolchains import beside the specification's.

use weir_abi::{LogLevel, Signature, ValType};
use weir_engine::{HostFunc, Trap};

use crate::call::{Call, slice};

/// Emscripten tells that memory has grown; the host looks anew each time anyway.
pub(super) const EMSCRIPTEN_NOTIFY_MEMORY_GROWTH: HostFunc = HostFunc {
    module: "env",
    name: "emscripten_notify_memory_growth",
    signature: Signature {
        params: &[ValType::I32],
        result: None,
    },
    id: 0,
    call: |_, _, _| Ok(0),
};

/// There is one thread, but the C++ library compares its ids all the same.
pub(super) const PTHREAD_EQUAL: HostFunc = HostFunc {
    module: "env",
    name: "pthread_equal",
    signature: Signature {
        params: &[ValType::I32, ValType::I32],
        result: Some(ValType::I32),
    },
    id: 0,
    call: |_, _, slots| Ok(u64::from(slots[0] as u32 == slots[1] as u32)),
};

/// AssemblyScript's failed assertion: logged with its text and place, then a trap.
pub(super) const ABORT: HostFunc = HostFunc {
    module: "env",
    name: "abort",
    signature: Signature {
        params: &[ValType::I32, ValType::I32, ValType::I32, ValType::I32],
        result: None,
    },
    id: 0,
    call: |caller, _, slots| {
        let [message, file, line, column] = [slots[0], slots[1], slots[2], slots[3]].map(|slot| slot as u32);
        let mut call = Call::new(caller, crate::gate::env_bit("abort"));
        let (memory, state) = call.parts();
        let text = format!(
            "abort: {} at {}:{line}:{column}",
            assembly_script_string(memory, message),
            assembly_script_string(memory, file)
        );
        state.log(LogLevel::Critical, text.as_bytes());
        Err(Trap::host(text))
    },
};

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
