//! AssemblyScript's failed assertion: logged with what it says, and the VM ends.
//!
//! covers: abort
//!
//! request: GET /
//! status: 503
//! log: error: the assertion failed

use conformance::*;

/// A string of AssemblyScript: its length in bytes, then UTF-16.
fn text(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [&(units.len() as u32).to_le_bytes(), units.as_slice()].concat()
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let (message, file) = (text("the assertion failed"), text("index.ts"));
        raw::abort(message.as_ptr() as u32 + 4, file.as_ptr() as u32 + 4, 12, 34);
        CONTINUE
    }
}
