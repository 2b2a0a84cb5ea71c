//! Data shared by all VMs of a vm_id.

use weir_abi::Status;

use super::Call;
use crate::sets::{Fault, slice};

/// The value of a key and its compare-and-swap number.
pub(super) fn proxy_get_shared_data(
    call: &mut Call<'_>,
    key: u32,
    key_len: u32,
    out: u32,
    out_len: u32,
    out_cas: u32,
) -> Result<(), Fault> {
    call.check_outputs(&[out, out_len, out_cas])?;
    let (key, state) = call.read(key, key_len)?;
    state.scratch.clear();
    let cas = state
        .store
        .store()
        .get(key, &mut state.scratch)
        .ok_or(Status::NotFound)?;
    call.give_scratch(out, out_len)?;
    Ok(call.write_u32(out_cas, cas)?)
}

/// Sets the value of a key: always if `cas` is 0, else only if `cas` is the current number.
pub(super) fn proxy_set_shared_data(
    call: &mut Call<'_>,
    key: u32,
    key_len: u32,
    value: u32,
    value_len: u32,
    cas: u32,
) -> Result<(), Fault> {
    let (memory, state) = call.parts();
    let key = slice(memory, key, key_len)?;
    let value = slice(memory, value, value_len)?;
    Ok(state.store.store().set(key, value, cas)?)
}
