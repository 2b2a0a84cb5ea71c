//! Metrics, whose names the whole process shares.

use weir_abi::{MetricType, Status};

use super::Call;
use crate::sets::Fault;
use crate::shared::NO_METRIC;

/// Defines a metric, or finds the one of this name and type.
pub(super) fn proxy_define_metric(
    call: &mut Call<'_>,
    kind: u32,
    name: u32,
    name_len: u32,
    out: u32,
) -> Result<(), Fault> {
    let kind = MetricType::from_wire(kind).ok_or(Status::BadArgument)?;
    call.check_outputs(&[out])?;
    let (name, state) = call.read(name, name_len)?;
    let id = match state.metrics.define(kind, name) {
        Ok(id) => id,
        Err(status) if state.spec.strict => return Err(status.into()),
        Err(status) => {
            call.dropped(match status {
                Status::BadArgument => "the name is too long, or the name of a metric of another type; the metric counts nothing",
                _ => "the vm_id has defined as many metrics as it may (10000), or host_memory of the process is reached; the metric counts nothing",
            })?;
            NO_METRIC
        }
    };
    Ok(call.write_u32(out, id)?)
}

/// Adds to a counter (more than 0) or a gauge (either way).
pub(super) fn proxy_increment_metric(call: &mut Call<'_>, id: u32, delta: u64) -> Result<(), Fault> {
    let state = call.state();
    if state.metrics_still {
        return Ok(());
    }
    Ok(state.metrics.increment(id, delta.cast_signed())?)
}

/// Sets a gauge, samples a histogram, adds to a counter.
pub(super) fn proxy_record_metric(call: &mut Call<'_>, id: u32, value: u64) -> Result<(), Fault> {
    let state = call.state();
    if state.metrics_still {
        return Ok(());
    }
    Ok(state.metrics.record(id, value)?)
}

/// Value of a counter or gauge, 8 bytes.
pub(super) fn proxy_get_metric(call: &mut Call<'_>, id: u32, out: u32) -> Result<(), Fault> {
    let value = call.state().metrics.value(id)?;
    Ok(call.write(out, &value.to_le_bytes())?)
}
