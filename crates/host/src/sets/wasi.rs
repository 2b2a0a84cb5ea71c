//! WASI preview 1, as far as a filter may have it: standard output goes to the log, clocks, randomness and environment
//! variables work, files and sockets do not exist.
//!
//! The same functions answer under `wasi_snapshot_preview1` and `wasi_unstable`. The two differ in the layout of
//! `filestat` and in the order of `whence`, which does not matter here: both calls fail.

use std::sync::OnceLock;
use std::time::Instant;

use weir_abi::{Errno, LogLevel, Signature, Status, ValType, limits};
use weir_engine::{HostFunc, Trap, TrapKind};

use super::log::unix_nanoseconds;
use crate::call::{Call, slice, slice_mut};

type Answer = Result<Errno, Trap>;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

pub(super) fn args_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Answer {
    write_both(call, count, 0, size, 0)
}

pub(super) fn args_get(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::Success)
}

pub(super) fn environ_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Answer {
    let environment = &call.state().spec.environment;
    let bytes: usize = environment
        .iter()
        .map(|(key, value)| key.len() + value.len() + 2)
        .sum();
    let variables = environment.len();
    write_both(call, count, variables, size, bytes)
}

/// Writes `KEY=value\0` one after the other, and a pointer to each.
pub(super) fn environ_get(call: &mut Call<'_>, pointers: u32, bytes: u32) -> Answer {
    let (memory, state) = call.parts();
    let (mut pointer, mut at) = (pointers, bytes);
    for (key, value) in &state.spec.environment {
        let line = [key.as_bytes(), b"=", value.as_bytes(), b"\0"].concat();
        let written = put(memory, pointer, &at.to_le_bytes()).and_then(|()| put(memory, at, &line));
        if written.is_err() {
            return Ok(Errno::Fault);
        }
        // Both stay in range: what was just written ends inside a 32-bit memory.
        pointer = pointer.wrapping_add(4);
        at = at.wrapping_add(line.len() as u32);
    }
    Ok(Errno::Success)
}

pub(super) fn clock_res_get(call: &mut Call<'_>, clock: u32, out: u32) -> Answer {
    match clock {
        0 | 1 => write(call, out, &1_u64.to_le_bytes()),
        _ => Ok(Errno::NotSup),
    }
}

/// Clock 0 is wall-clock time, 1 monotonic time.
pub(super) fn clock_time_get(call: &mut Call<'_>, clock: u32, _precision: u64, out: u32) -> Answer {
    static START: OnceLock<Instant> = OnceLock::new();
    let nanoseconds = match clock {
        0 => unix_nanoseconds(),
        1 => u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX),
        _ => return Ok(Errno::NotSup),
    };
    write(call, out, &nanoseconds.to_le_bytes())
}

/// Cryptographically secure random bytes.
pub(super) fn random_get(call: &mut Call<'_>, out: u32, len: u32) -> Answer {
    if len as usize > limits::MAX_RANDOM_BYTES {
        return Ok(Errno::Inval);
    }
    let (memory, _) = call.parts();
    let Ok(out) = slice_mut(memory, out, len) else {
        return Ok(Errno::Fault);
    };
    getrandom::fill(out).map_err(|error| Trap::host(format!("no randomness: {error}")))?;
    Ok(Errno::Success)
}

/// Standard output is logged at level info, standard error at level error; one trailing newline is cut.
pub(super) fn fd_write(call: &mut Call<'_>, fd: u32, vectors: u32, count: u32, out: u32) -> Answer {
    let level = match fd {
        STDOUT => LogLevel::Info,
        STDERR => LogLevel::Error,
        _ => return Ok(Errno::BadF),
    };
    if count as usize > limits::MAX_IO_SLICES {
        return Ok(Errno::Inval);
    }
    let (memory, state) = call.parts();
    let Ok((mut text, total)) = gather(memory, vectors, count) else {
        return Ok(Errno::Fault);
    };
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    if total > 0 {
        state.log(level, &text);
    }
    write(call, out, &total.to_le_bytes())
}

pub(super) fn fd_pwrite(call: &mut Call<'_>, fd: u32, vectors: u32, count: u32, _: u64, out: u32) -> Answer {
    fd_write(call, fd, vectors, count, out)
}

/// Standard input is at its end; nothing else can be read.
pub(super) fn fd_read(call: &mut Call<'_>, fd: u32, _: u32, _: u32, out: u32) -> Answer {
    match fd {
        STDIN => write(call, out, &0_u32.to_le_bytes()),
        _ => Ok(Errno::NoSys),
    }
}

pub(super) fn fd_pread(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u64, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

pub(super) fn fd_seek(_: &mut Call<'_>, fd: u32, _: u64, _: u32, _: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::SPipe } else { Errno::BadF })
}

pub(super) fn fd_tell(_: &mut Call<'_>, fd: u32, _: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::SPipe } else { Errno::BadF })
}

pub(super) fn fd_close(_: &mut Call<'_>, fd: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::Success } else { Errno::BadF })
}

/// Type, flags and rights of a descriptor, 24 bytes.
pub(super) fn fd_fdstat_get(call: &mut Call<'_>, fd: u32, out: u32) -> Answer {
    const CHARACTER_DEVICE: u8 = 2;
    const RIGHT_READ: u64 = 1 << 1;
    const RIGHT_WRITE: u64 = 1 << 6;
    let rights = match fd {
        STDIN => RIGHT_READ,
        STDOUT | STDERR => RIGHT_WRITE,
        _ => return Ok(Errno::BadF),
    };
    let mut stat = [0; 24];
    stat[0] = CHARACTER_DEVICE;
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    write(call, out, &stat)
}

pub(super) fn fd_fdstat_set_flags(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

pub(super) fn fd_fdstat_set_rights(_: &mut Call<'_>, fd: u32, _: u64, _: u64) -> Answer {
    Ok(if fd == STDOUT || fd == STDERR {
        Errno::Success
    } else {
        Errno::BadF
    })
}

pub(super) fn fd_filestat_get(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::BadF)
}

pub(super) fn fd_filestat_set_size(_: &mut Call<'_>, fd: u32, _: u64) -> Answer {
    Ok(standard_output(fd))
}

pub(super) fn fd_filestat_set_times(_: &mut Call<'_>, fd: u32, _: u64, _: u64, _: u32) -> Answer {
    Ok(standard_output(fd))
}

pub(super) fn fd_advise(_: &mut Call<'_>, fd: u32, _: u64, _: u64, _: u32) -> Answer {
    Ok(standard_output(fd))
}

pub(super) fn fd_allocate(_: &mut Call<'_>, fd: u32, _: u64, _: u64) -> Answer {
    Ok(standard_output(fd))
}

pub(super) fn fd_sync(_: &mut Call<'_>, fd: u32) -> Answer {
    Ok(standard_output(fd))
}

/// There are no preopened folders. Libraries scan descriptors until they get exactly this errno.
pub(super) fn fd_prestat_get(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::BadF)
}

pub(super) fn fd_prestat_dir_name(_: &mut Call<'_>, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

pub(super) fn fd_readdir(_: &mut Call<'_>, fd: u32, _: u32, _: u32, _: u64, _: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::NotDir } else { Errno::BadF })
}

pub(super) fn fd_renumber(_: &mut Call<'_>, from: u32, to: u32) -> Answer {
    Ok(if from <= STDERR && to <= STDERR {
        Errno::NotSup
    } else {
        Errno::BadF
    })
}

#[allow(clippy::too_many_arguments)] // WASI's signature
pub(super) fn path_open(
    _: &mut Call<'_>,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u64,
    _: u64,
    _: u32,
    _: u32,
) -> Answer {
    Ok(Errno::NoEnt)
}

#[allow(clippy::too_many_arguments)] // WASI's signature
pub(super) fn path_filestat_set_times(
    _: &mut Call<'_>,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u64,
    _: u64,
    _: u32,
) -> Answer {
    Ok(Errno::NotSup)
}

pub(super) fn path_3(_: &mut Call<'_>, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

pub(super) fn path_5(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

pub(super) fn path_6(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

#[allow(clippy::too_many_arguments)] // WASI's signature
pub(super) fn path_7(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

pub(super) fn sock_2(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

pub(super) fn sock_3(_: &mut Call<'_>, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

pub(super) fn sock_5(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

pub(super) fn sock_6(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

/// No event happens. It must succeed all the same: Go's runtime idles through it.
pub(super) fn poll_oneoff(call: &mut Call<'_>, _: u32, _: u32, _: u32, out: u32) -> Answer {
    write(call, out, &0_u32.to_le_bytes())
}

pub(super) fn sched_yield(_: &mut Call<'_>) -> Answer {
    Ok(Errno::Success)
}

pub(super) fn proc_raise(_: &mut Call<'_>, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

/// Ends the guest. Code 0 inside of `_start` is an ordinary end, which [`Vm::start`](crate::Vm::start) knows.
pub(super) const fn proc_exit(module: &'static str) -> HostFunc {
    HostFunc {
        module,
        name: "proc_exit",
        signature: Signature {
            params: &[ValType::I32],
            result: None,
        },
        id: 0,
        call: |_, _, slots| Err(Trap::new(TrapKind::Exit(slots[0] as u32))),
    }
}

/// The bytes of the io vectors at `vectors` as far as a log line takes them, and their whole length.
fn gather(memory: &[u8], vectors: u32, count: u32) -> Result<(Vec<u8>, u32), Status> {
    let bytes = count.checked_mul(8).ok_or(Status::InvalidMemoryAccess)?;
    let (mut text, mut total) = (Vec::new(), 0_u32);
    for vector in slice(memory, vectors, bytes)?.chunks_exact(8) {
        let (pointer, len) = vector.split_at(4);
        let [pointer, len] = [pointer, len].map(|half| half.try_into().map_or(0, u32::from_le_bytes));
        let part = slice(memory, pointer, len)?;
        let room = limits::MAX_LOG_MESSAGE.saturating_sub(text.len());
        text.extend_from_slice(&part[..part.len().min(room)]);
        total = total.saturating_add(len);
    }
    Ok((text, total))
}

fn standard_output(fd: u32) -> Errno {
    if fd == STDOUT || fd == STDERR {
        Errno::Success
    } else {
        Errno::BadF
    }
}

fn write(call: &mut Call<'_>, out: u32, bytes: &[u8]) -> Answer {
    Ok(match call.write(out, bytes) {
        Ok(()) => Errno::Success,
        Err(_) => Errno::Fault,
    })
}

fn write_both(call: &mut Call<'_>, first: u32, a: usize, second: u32, b: usize) -> Answer {
    let [a, b] = [a, b].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let written = call.check_outputs(&[first, second]).and_then(|()| {
        call.write_u32(first, a)?;
        call.write_u32(second, b)
    });
    Ok(if written.is_ok() {
        Errno::Success
    } else {
        Errno::Fault
    })
}

fn put(memory: &mut [u8], pointer: u32, bytes: &[u8]) -> Result<(), Status> {
    slice_mut(memory, pointer, bytes.len() as u32)?.copy_from_slice(bytes);
    Ok(())
}
