//! Header and trailer maps.

use weir_abi::{MapType, Status, pairs};

use super::Call;
use crate::proxy_wasm::names;
use crate::sets::{Fault, slice};
use crate::{Edit, HeaderEdit, Lookup};

/// The first field line of a name. Absent: `NotFound`, but in ABI 0.1.0 Ok and empty.
pub(super) fn proxy_get_header_map_value(
    call: &mut Call<'_>,
    map: u32,
    name: u32,
    name_len: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fault> {
    let map = map_type(map)?;
    let (memory, state) = call.parts();
    slice(memory, out, 4)?;
    slice(memory, out_len, 4)?;
    let name = slice(memory, name, name_len)?;
    names::set(&mut state.name, map, name);
    match state.header(map) {
        Lookup::Found => call.give_scratch(out, out_len),
        Lookup::Busy => Err(Status::InternalFailure.into()),
        _ if !state.abi.missing_header_is_not_found() => call.give(out, out_len, 0, |_, _| ()),
        _ => Err(Status::NotFound.into()),
    }
}

/// All field lines. A map that does not exist in this phase is empty and no error.
pub(super) fn proxy_get_header_map_pairs(
    call: &mut Call<'_>,
    map: u32,
    out: u32,
    out_len: u32,
) -> Result<(), Fault> {
    let map = map_type(map)?;
    call.check_outputs(&[out, out_len])?;
    let mut size = pairs::Size::default();
    match call
        .state()
        .headers(map, &mut |name, value| size.add(name, value))
    {
        Lookup::NoMap => return call.give(out, out_len, 0, |_, _| ()),
        // No answer at all: a check that saw no headers would let everything through.
        Lookup::Busy => return Err(Status::InternalFailure.into()),
        Lookup::Found | Lookup::Missing => {}
    }
    call.give(out, out_len, size.bytes(), |state, memory| {
        let Ok(mut writer) = pairs::Writer::new(memory, size) else {
            return;
        };
        state.headers(map, &mut |name, value| {
            // The map is the one that was measured: only the guest's allocator ran in between, and it cannot edit maps.
            let written = writer.add(name, value);
            debug_assert!(written.is_ok(), "a map changed while the guest's allocator ran");
        });
    })
}

/// Replaces the whole map. Malformed pairs change nothing, and neither do more than the limits allow.
pub(super) fn proxy_set_header_map_pairs(
    call: &mut Call<'_>,
    map: u32,
    data: u32,
    len: u32,
) -> Result<(), Fault> {
    let map = map_type(map)?;
    let (data, state) = call.read(data, len)?;
    let mut pairs = match pairs::decode(data) {
        Ok(pairs) => pairs,
        Err(error) if error.is_limit(data) && !state.spec.strict => {
            return call.dropped(format_args!("{error}; the map was not changed"));
        }
        Err(_) => return Err(Status::BadArgument.into()),
    };
    let mut lowered = std::mem::take(&mut state.scratch);
    names::set_all(&mut pairs, map, &mut lowered);
    let edit = state.stream().map_or(Edit::Absent, |stream| {
        stream.edit_headers(map, HeaderEdit::SetAll(&pairs))
    });
    state.scratch = lowered;
    outcome(call, edit)
}

/// Bytes of all names and values, as Envoy counts.
pub(super) fn proxy_get_header_map_size(call: &mut Call<'_>, map: u32, out: u32) -> Result<(), Fault> {
    let map = map_type(map)?;
    call.check_outputs(&[out])?;
    let mut size = 0;
    let lookup = call
        .state()
        .headers(map, &mut |name, value| size += name.len() + value.len());
    if lookup == Lookup::Busy {
        return Err(Status::InternalFailure.into());
    }
    Ok(call.write_u32(out, u32::try_from(size).unwrap_or(u32::MAX))?)
}

pub(super) fn proxy_add_header_map_value(
    call: &mut Call<'_>,
    map: u32,
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
) -> Result<(), Fault> {
    edit(call, map, (name, name_len), (value, value_len), |name, value| {
        HeaderEdit::Add(name, value)
    })
}

pub(super) fn proxy_replace_header_map_value(
    call: &mut Call<'_>,
    map: u32,
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
) -> Result<(), Fault> {
    edit(call, map, (name, name_len), (value, value_len), |name, value| {
        HeaderEdit::Replace(name, value)
    })
}

/// Removes all field lines of a name; none is fine too.
pub(super) fn proxy_remove_header_map_value(
    call: &mut Call<'_>,
    map: u32,
    name: u32,
    name_len: u32,
) -> Result<(), Fault> {
    edit(call, map, (name, name_len), (0, 0), |name, _| {
        HeaderEdit::Remove(name)
    })
}

fn edit(
    call: &mut Call<'_>,
    map: u32,
    name: (u32, u32),
    value: (u32, u32),
    make: for<'a> fn(&'a [u8], &'a [u8]) -> HeaderEdit<'a>,
) -> Result<(), Fault> {
    let map = map_type(map)?;
    let (memory, state) = call.parts();
    let name = slice(memory, name.0, name.1)?;
    let value = slice(memory, value.0, value.1)?;
    names::set(&mut state.name, map, name);
    let edit = match state.effective.and_then(|id| state.streams.get_mut(&id)) {
        Some(context) => context.stream.edit_headers(map, make(&state.name, value)),
        None => Edit::Absent,
    };
    outcome(call, edit)
}

fn map_type(map: u32) -> Result<MapType, Status> {
    MapType::from_wire(map).ok_or(Status::BadArgument)
}

pub(super) fn outcome(call: &mut Call<'_>, edit: Edit) -> Result<(), Fault> {
    match edit {
        Edit::Done => Ok(()),
        Edit::TooLate => call.lenient("the message has been sent on already"),
        Edit::Invalid => call.lenient("the name or the value cannot stand in a message"),
        Edit::Absent => call.lenient("there is no such message in this phase"),
        Edit::Full(full) => call.dropped(format_args!("{full}, so the stream was ended")),
        // Not in silence: the message would go on without what a filter has put into it.
        Edit::Busy => Err(Status::InternalFailure.into()),
    }
}
