//! The gate in front of every hostcall: which of them answer now, and how a refusal looks.

use weir_abi::{IMPORTS, Status, WASI};
use weir_engine::{Caller, Trap};

use crate::Capabilities;
use crate::call::{Call, Fault};

/// First bit of the WASI functions; those of `env` come before.
const FIRST_WASI: u32 = 64;

/// Bit of a function of `env` in an [`Open`] set: its place in the table of imports.
pub(crate) const fn env_bit(name: &str) -> u32 {
    let mut i = 0;
    while i < IMPORTS.len() {
        if equal(IMPORTS[i].name, name) {
            return i as u32;
        }
        i += 1;
    }
    panic!("no such import");
}

/// Bit of a WASI function in an [`Open`] set.
pub(crate) const fn wasi_bit(name: &str) -> u32 {
    let mut i = 0;
    while i < WASI.len() {
        if equal(WASI[i].name, name) {
            return FIRST_WASI + i as u32;
        }
        i += 1;
    }
    panic!("no such WASI function");
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn env(name: &str) -> u128 {
    1 << env_bit(name)
}

const fn wasi(name: &str) -> u128 {
    1 << wasi_bit(name)
}

const ALL_WASI: u128 = ((1 << WASI.len()) - 1) << FIRST_WASI;

/// Functions of toolchains, which change nothing in the host.
const TOOLCHAIN: u128 = env("emscripten_notify_memory_growth") | env("pthread_equal") | env("abort");

/// While `_start`, `_initialize`, `main` and the start section run there is no context yet.
const WHILE_STARTING: u128 = ALL_WASI | TOOLCHAIN | env("proxy_log");

/// While the guest's allocator runs a hostcall is under way already.
const WHILE_ALLOCATING: u128 = TOOLCHAIN
    | env("proxy_log")
    | env("proxy_get_log_level")
    | env("proxy_get_current_time_nanoseconds")
    | wasi("fd_write")
    | wasi("clock_time_get")
    | wasi("poll_oneoff");

/// A set of hostcalls that answer now. The rest are either not allowed at all (a status says so) or not in this phase
/// (a trap: the guest breaks the life cycle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open(u128);

impl Open {
    /// During start functions.
    pub const fn starting(capabilities: &Capabilities) -> Self {
        Self(allowed(capabilities) & WHILE_STARTING)
    }

    /// During callbacks.
    pub const fn running(capabilities: &Capabilities) -> Self {
        Self(allowed(capabilities))
    }

    /// While the guest allocates for a hostcall.
    pub const fn allocating(self) -> Self {
        Self(self.0 & WHILE_ALLOCATING)
    }

    const fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

const fn allowed(capabilities: &Capabilities) -> u128 {
    let imports = capabilities.imports();
    imports | TOOLCHAIN
}

/// Runs a hostcall that answers with a status.
#[inline]
pub(crate) fn status(
    caller: &mut dyn Caller,
    bit: u32,
    body: impl FnOnce(&mut Call<'_>) -> Result<(), Fault>,
) -> Result<u64, Trap> {
    let mut call = Call::new(caller, bit);
    if !call.state().open.has(bit) {
        return refuse(&mut call, bit, u64::from(Status::InternalFailure.wire()));
    }
    match body(&mut call) {
        Ok(()) => Ok(u64::from(Status::Ok.wire())),
        Err(Fault::Status(status)) => {
            count_error(&mut call, bit, status);
            Ok(u64::from(status.wire()))
        }
        Err(Fault::Trap(trap)) => Err(trap),
    }
}

/// Runs a WASI function, which answers with an errno.
#[inline]
pub(crate) fn errno(
    caller: &mut dyn Caller,
    bit: u32,
    body: impl FnOnce(&mut Call<'_>) -> Result<weir_abi::Errno, Trap>,
) -> Result<u64, Trap> {
    let mut call = Call::new(caller, bit);
    if !call.state().open.has(bit) {
        return refuse(&mut call, bit, weir_abi::Errno::NotCapable as u64);
    }
    body(&mut call).map(|errno| errno as u64)
}

/// Counts a status for the plugin, unless the status is an ordinary answer.
#[inline]
fn count_error(call: &mut Call<'_>, bit: u32, status: Status) {
    if !matches!(status, Status::NotFound | Status::Empty | Status::CasMismatch)
        && let Some(plugin) = call.state().plugin()
    {
        plugin.meter.hostcall_failed(name(bit), status);
    }
}

#[cold]
fn refuse(call: &mut Call<'_>, bit: u32, refusal: u64) -> Result<u64, Trap> {
    let name = name(bit);
    let state = call.state();
    if allowed(&state.spec.capabilities) >> bit & 1 == 0 {
        count_error(call, bit, Status::InternalFailure);
        call.warn_once(|| format!("{name} is not among the allowed capabilities of this plugin"));
        return Ok(refusal);
    }
    Err(Trap::host(format!(
        "{name} may not be called in this phase ({})",
        call.state().callback
    )))
}

/// Name of the function with this bit.
pub(crate) fn name(bit: u32) -> &'static str {
    let import = IMPORTS.get(bit as usize).map(|import| import.name);
    let function = bit
        .checked_sub(FIRST_WASI)
        .and_then(|index| WASI.get(index as usize))
        .map(|wasi| wasi.name);
    function.or(import).unwrap_or("?")
}
