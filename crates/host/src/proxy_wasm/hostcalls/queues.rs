//! Queues shared by all VMs of the process.

use weir_abi::Status;

use super::Call;
use crate::sets::{Fault, slice};

/// The number of a queue that could not be made. It is always empty, and full: SDKs take no status from
/// `proxy_register_shared_queue` but Ok.
const NO_QUEUE: u32 = u32::MAX - 1;

/// Opens a queue under a name; the plugin context becomes one of its consumers.
pub(super) fn proxy_register_shared_queue(
    call: &mut Call<'_>,
    name: u32,
    name_len: u32,
    out: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out])?;
    let (name, state) = call.read(name, name_len)?;
    let plugin = state.plugin_id().ok_or(Status::InternalFailure)?;
    let queue = match state.store.register(name, plugin) {
        Ok(queue) => queue,
        Err(_) => {
            call.dropped("the name is too long, or the vm_id has no room for another queue (limits.host_memory); the queue holds nothing")?;
            NO_QUEUE
        }
    };
    Ok(call.write_u32(out, queue)?)
}

/// Finds a queue by the vm_id of its consumer (empty: our own) and its name.
pub(super) fn proxy_resolve_shared_queue(
    call: &mut Call<'_>,
    vm_id: u32,
    vm_id_len: u32,
    name: u32,
    name_len: u32,
    out: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out])?;
    let (memory, state) = call.parts();
    let vm_id = slice(memory, vm_id, vm_id_len)?;
    let name = slice(memory, name, name_len)?;
    let queue = std::str::from_utf8(vm_id)
        .ok()
        .and_then(|vm_id| state.store.resolve(vm_id, name));
    Ok(call.write_u32(out, queue.ok_or(Status::NotFound)?)?)
}

pub(super) fn proxy_enqueue_shared_queue(
    call: &mut Call<'_>,
    queue: u32,
    value: u32,
    value_len: u32,
) -> Result<(), Fault> {
    let (value, state) = call.read(value, value_len)?;
    Ok(state.store.enqueue(queue, value)?)
}

/// Takes the oldest entry; `Empty` where there is none.
pub(super) fn proxy_dequeue_shared_queue(
    call: &mut Call<'_>,
    queue: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out, out_len])?;
    if queue == NO_QUEUE {
        return Err(Status::Empty.into());
    }
    let state = call.state();
    state.scratch = state.store.dequeue(queue)?;
    call.give_scratch(out, out_len)
}
