//! Logging and time.

use weir_abi::{LogLevel, Status, limits};

use super::Call;
use crate::clock::unix_nanoseconds;
use crate::sets::Fault;

/// Writes a line to the log. A level below the log's own is dropped quietly; a line over the limit is cut.
pub(super) fn proxy_log(call: &mut Call<'_>, level: u32, message: u32, len: u32) -> Result<(), Fault> {
    let level = LogLevel::from_wire(level).ok_or(Status::BadArgument)?;
    call.guest().log_written();
    let (message, state) = call.read(message, len)?;
    let message = &message[..message.len().min(limits::MAX_LOG_MESSAGE)];
    state.log(level, message);
    Ok(())
}

pub(super) fn proxy_get_log_level(call: &mut Call<'_>, out: u32) -> Result<(), Fault> {
    let level = call.state().services.log_level();
    Ok(call.write_u32(out, level.wire())?)
}

/// Wall-clock time, 8 bytes.
pub(super) fn proxy_get_current_time_nanoseconds(call: &mut Call<'_>, out: u32) -> Result<(), Fault> {
    Ok(call.write(out, &unix_nanoseconds().to_le_bytes())?)
}
