//! Foreign functions: what an embedder offers beyond the specification.

use weir_abi::{Status, limits, property_path};

use super::Call;
use crate::foreign::ForeignCall;
use crate::sets::{Fault, slice};

/// Calls a function by name with opaque bytes; what it returns is opaque bytes too.
pub(super) fn proxy_call_foreign_function(
    call: &mut Call<'_>,
    name: u32,
    name_len: u32,
    arguments: u32,
    arguments_len: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fault> {
    // A guest that expects no result may pass null for both.
    let wants_result = out != 0 || out_len != 0;
    if wants_result {
        call.check_outputs(&[out, out_len])?;
    }
    let (memory, state) = call.parts();
    // The C++ SDK sometimes counts the terminating NUL.
    let name = property_path::strip(slice(memory, name, name_len)?);
    let arguments = slice(memory, arguments, arguments_len)?;
    if name.len() > limits::MAX_FOREIGN_NAME || arguments.len() > limits::MAX_FOREIGN_ARGUMENTS {
        return Err(Status::BadArgument.into());
    }
    let name = std::str::from_utf8(name).map_err(|_| Status::NotFound)?;
    let plugin = state.plugin_id();
    let snapshot_vm = if state.from_snapshot { state.store.vm() } else { 0 };
    let stream = state.effective.and_then(|id| state.streams.get_mut(&id));
    let stream = stream.map(|context| context.stream.as_mut());
    let function = state.shared.foreign_functions().find(name);
    let function = function.ok_or(Status::NotFound)?;
    let mut foreign =
        ForeignCall::new(stream, state.store.store(), &state.spec.vm_id).with_snapshot_vm(snapshot_vm);
    if let Some(plugin) = plugin {
        foreign = foreign.by(plugin, state.services.as_mut(), &state.account);
    }
    let result = function(&mut foreign, arguments)?;
    if !wants_result {
        return Ok(());
    }
    state.scratch = result;
    call.give_scratch(out, out_len)
}
