//! Properties.

use weir_abi::{Status, limits, property_path};

use weir_account::line_cost;

use super::Call;
use crate::property::{self, PluginIdentity};
use crate::proxy_wasm::ProxyWasmState;
use crate::sets::{Fault, slice};

pub(super) fn proxy_get_property(
    call: &mut Call<'_>,
    path: u32,
    path_len: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out, out_len])?;
    let (path, state) = call.read(path, path_len)?;
    let path = property_path::strip(path);
    if path.len() > limits::MAX_PROPERTY_PATH {
        return Err(Status::NotFound.into());
    }
    let mut value = std::mem::take(&mut state.scratch);
    value.clear();
    let found = read(state, path, &mut value);
    state.scratch = value;
    found?;
    call.give_scratch(out, out_len)
}

/// Stores a note on the stream, which later filters of its chain read back by the same path. Outside of a stream the
/// note belongs to the plugin context.
pub(super) fn proxy_set_property(
    call: &mut Call<'_>,
    path: u32,
    path_len: u32,
    value: u32,
    value_len: u32,
) -> Result<(), Fault> {
    let (memory, state) = call.parts();
    let path = property_path::strip(slice(memory, path, path_len)?);
    let value = slice(memory, value, value_len)?;
    if path.is_empty() {
        return call.lenient("the path is empty");
    }
    let stored = path.len() <= limits::MAX_PROPERTY_PATH
        && match state.stream() {
            Some(stream) => stream.set_filter_state(path, value),
            None => set_note(state, path, value),
        };
    if stored {
        return Ok(());
    }
    call.dropped("the path is too long, the properties of the stream or plugin have 1 MiB, or limits.host_memory is reached; the property was not stored")
}

fn read(state: &ProxyWasmState, path: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
    let Some(plugin) = state.plugin() else {
        return Err(Status::NotFound);
    };
    let identity = PluginIdentity {
        name: &plugin.spec.name,
        root_id: &plugin.spec.root_id,
        vm_id: &state.spec.vm_id,
    };
    let stream = state
        .effective
        .and_then(|id| state.streams.get(&id))
        .map(|context| context.stream.as_ref());
    let result = property::read(path, stream, &identity, out);
    if result == Err(Status::NotFound)
        && stream.is_none()
        && let Some((_, value)) = plugin.notes.iter().find(|(note, _)| note == path)
    {
        out.extend_from_slice(value);
        return Ok(());
    }
    result
}

fn set_note(state: &mut ProxyWasmState, path: &[u8], value: &[u8]) -> bool {
    let Some(id) = state.plugin_id() else {
        return false;
    };
    let Some(plugin) = state.plugins.get_mut(&id) else {
        return false;
    };
    let others = plugin.notes.iter().filter(|(note, _)| note != path);
    let held: usize = others.map(|(note, value)| note.len() + value.len()).sum();
    if held + path.len() + value.len() > limits::MAX_STREAM_STATE_BYTES {
        return false;
    }
    let cost = |notes: &[(Vec<u8>, Vec<u8>)]| -> usize {
        let notes = notes.iter();
        notes
            .map(|(path, value)| line_cost(path.len(), value.len()))
            .sum()
    };
    // The old value counts until the value that replaces it has been stored.
    if state.notes.grow(line_cost(path.len(), value.len())).is_err() {
        return false;
    }
    match plugin.notes.iter_mut().find(|(note, _)| note == path) {
        Some((_, old)) => *old = value.to_vec(),
        None => plugin.notes.push((path.to_vec(), value.to_vec())),
    }
    let all = state.plugins.values().map(|plugin| cost(&plugin.notes)).sum();
    state.notes.shrink_to(all);
    true
}
