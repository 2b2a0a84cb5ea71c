//! WASI preview 1, as far as a filter may have it: standard output goes to the log, clocks, randomness and environment
//! variables work, files and sockets do not exist.
//!
//! The same functions answer under `wasi_snapshot_preview1` and `wasi_unstable`. The two differ in the layout of
//! `filestat` and in the order of `whence`, which does not matter here: both calls fail.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use weir_abi::{Errno, Status, limits};
use weir_engine::{Trap, TrapKind};

use super::call::{slice, slice_mut};
use super::output::StandardStream;
use super::{Import, ImportSet, Phases, SetCall};
use crate::clock::unix_nanoseconds;
use crate::{VmSpec, import};

/// WASI preview 1.
pub(crate) struct Wasi;

/// WASI's state in a VM: the environment variables of its specification.
#[derive(Clone)]
pub(crate) struct WasiVm(Arc<VmSpec>);

impl ImportSet for Wasi {
    type Vm = WasiVm;
    type Stream = ();

    const NAME: &'static str = "WASI preview 1";
    const GROUP: &'static str = "WASI";
    const IMPORTS: &'static [Import] = IMPORTS;

    fn vm(&self, spec: &Arc<VmSpec>) -> WasiVm {
        WasiVm(Arc::clone(spec))
    }

    fn stream(&self, _: &mut WasiVm) {}

    fn vm_from_snapshot(&self, vm: &WasiVm) -> Option<WasiVm> {
        Some(vm.clone())
    }
}

type Call<'a> = SetCall<'a, Wasi>;
type Answer = Result<Errno, Trap>;

/// The module names under which toolchains import WASI.
const MODULES: &[&str] = &["wasi_snapshot_preview1", "wasi_unstable"];

/// A function of WASI. Start functions of language runtimes use all of them.
macro_rules! wasi {
    ($name:literal, $function:expr) => {
        import!(Wasi, MODULES, $name, $function).also_in(Phases::START)
    };
}

/// All 46 functions, in the order of the specification. Go links most of them into every module.
const IMPORTS: &[Import] = &[
    wasi!("args_get", args_get),
    wasi!("args_sizes_get", args_sizes_get),
    wasi!("environ_get", environ_get),
    wasi!("environ_sizes_get", environ_sizes_get),
    wasi!("clock_res_get", clock_res_get),
    wasi!("clock_time_get", clock_time_get).also_in(Phases::ALLOCATION),
    wasi!("fd_advise", fd_advise),
    wasi!("fd_allocate", fd_allocate),
    wasi!("fd_close", fd_close),
    wasi!("fd_datasync", fd_sync),
    wasi!("fd_fdstat_get", fd_fdstat_get),
    wasi!("fd_fdstat_set_flags", fd_fdstat_set_flags),
    wasi!("fd_fdstat_set_rights", fd_fdstat_set_rights),
    wasi!("fd_filestat_get", fd_filestat_get),
    wasi!("fd_filestat_set_size", fd_filestat_set_size),
    wasi!("fd_filestat_set_times", fd_filestat_set_times),
    wasi!("fd_pread", fd_pread),
    wasi!("fd_prestat_get", fd_prestat_get),
    wasi!("fd_prestat_dir_name", fd_prestat_dir_name),
    wasi!("fd_pwrite", fd_pwrite),
    wasi!("fd_read", fd_read),
    wasi!("fd_readdir", fd_readdir),
    wasi!("fd_renumber", fd_renumber),
    wasi!("fd_seek", fd_seek),
    wasi!("fd_sync", fd_sync),
    wasi!("fd_tell", fd_tell),
    wasi!("fd_write", fd_write).also_in(Phases::ALLOCATION),
    wasi!("path_create_directory", path_3),
    wasi!("path_filestat_get", path_5),
    wasi!("path_filestat_set_times", path_filestat_set_times),
    wasi!("path_link", path_7),
    wasi!("path_open", path_open),
    wasi!("path_readlink", path_6),
    wasi!("path_remove_directory", path_3),
    wasi!("path_rename", path_6),
    wasi!("path_symlink", path_5),
    wasi!("path_unlink_file", path_3),
    wasi!("poll_oneoff", poll_oneoff).also_in(Phases::ALLOCATION),
    // A guest that may not end would run on where it expects not to.
    wasi!("proc_exit", proc_exit).always(),
    wasi!("proc_raise", proc_raise),
    wasi!("sched_yield", sched_yield),
    wasi!("random_get", random_get),
    wasi!("sock_accept", sock_3),
    wasi!("sock_recv", sock_6),
    wasi!("sock_send", sock_5),
    wasi!("sock_shutdown", sock_2),
];

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

fn args_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Answer {
    write_both(call, count, 0, size, 0)
}

fn args_get(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::Success)
}

fn environ_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Answer {
    let environment = &call.vm().0.environment;
    let bytes: usize = environment
        .iter()
        .map(|(key, value)| key.len() + value.len() + 2)
        .sum();
    let variables = environment.len();
    write_both(call, count, variables, size, bytes)
}

/// Writes `KEY=value\0` one after the other, and a pointer to each.
fn environ_get(call: &mut Call<'_>, pointers: u32, bytes: u32) -> Answer {
    let (memory, vm) = call.memory_and_vm();
    let (mut pointer, mut at) = (pointers, bytes);
    for (key, value) in &vm.0.environment {
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

fn clock_res_get(call: &mut Call<'_>, clock: u32, out: u32) -> Answer {
    match clock {
        0 | 1 => write(call, out, &1_u64.to_le_bytes()),
        _ => Ok(Errno::NotSup),
    }
}

/// Clock 0 is wall-clock time, 1 monotonic time.
fn clock_time_get(call: &mut Call<'_>, clock: u32, _precision: u64, out: u32) -> Answer {
    match time_of(clock) {
        Some(nanoseconds) => write(call, out, &nanoseconds.to_le_bytes()),
        None => Ok(Errno::NotSup),
    }
}

fn time_of(clock: u32) -> Option<u64> {
    static START: OnceLock<Instant> = OnceLock::new();
    match clock {
        0 => Some(unix_nanoseconds()),
        1 => {
            let elapsed = START.get_or_init(Instant::now).elapsed().as_nanos();
            // Never 0, which Go's runtime takes for a clock that does not work.
            Some(u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_add(1))
        }
        _ => None,
    }
}

/// Cryptographically secure random bytes.
fn random_get(call: &mut Call<'_>, out: u32, len: u32) -> Answer {
    if len as usize > limits::MAX_RANDOM_BYTES {
        return Ok(Errno::Inval);
    }
    let Ok(out) = call.read_mut(out, len) else {
        return Ok(Errno::Fault);
    };
    getrandom::fill(out).map_err(|error| Trap::host(format!("no randomness: {error}")))?;
    Ok(Errno::Success)
}

/// Goes to the log by lines; what is too long for a line of the log ends there.
fn fd_write(call: &mut Call<'_>, fd: u32, vectors: u32, count: u32, out: u32) -> Answer {
    let stream = match fd {
        STDOUT => StandardStream::Output,
        STDERR => StandardStream::Error,
        _ => return Ok(Errno::BadF),
    };
    if count as usize > limits::MAX_IO_SLICES {
        return Ok(Errno::Inval);
    }
    let memory = call.memory();
    let Ok((mut text, total)) = gather(memory, vectors, count) else {
        return Ok(Errno::Fault);
    };
    if text.len() < total as usize && text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    call.write_standard(stream, &text);
    write(call, out, &total.to_le_bytes())
}

fn fd_pwrite(call: &mut Call<'_>, fd: u32, vectors: u32, count: u32, _: u64, out: u32) -> Answer {
    fd_write(call, fd, vectors, count, out)
}

/// Standard input is at its end; nothing else can be read.
fn fd_read(call: &mut Call<'_>, fd: u32, _: u32, _: u32, out: u32) -> Answer {
    match fd {
        STDIN => write(call, out, &0_u32.to_le_bytes()),
        _ => Ok(Errno::NoSys),
    }
}

fn fd_pread(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u64, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

fn fd_seek(_: &mut Call<'_>, fd: u32, _: u64, _: u32, _: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::SPipe } else { Errno::BadF })
}

fn fd_tell(_: &mut Call<'_>, fd: u32, _: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::SPipe } else { Errno::BadF })
}

fn fd_close(_: &mut Call<'_>, fd: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::Success } else { Errno::BadF })
}

/// Type, flags and rights of a descriptor, 24 bytes.
fn fd_fdstat_get(call: &mut Call<'_>, fd: u32, out: u32) -> Answer {
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

fn fd_fdstat_set_flags(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

fn fd_fdstat_set_rights(_: &mut Call<'_>, fd: u32, _: u64, _: u64) -> Answer {
    Ok(if fd == STDOUT || fd == STDERR {
        Errno::Success
    } else {
        Errno::BadF
    })
}

fn fd_filestat_get(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::BadF)
}

fn fd_filestat_set_size(_: &mut Call<'_>, fd: u32, _: u64) -> Answer {
    Ok(standard_output(fd))
}

fn fd_filestat_set_times(_: &mut Call<'_>, fd: u32, _: u64, _: u64, _: u32) -> Answer {
    Ok(standard_output(fd))
}

fn fd_advise(_: &mut Call<'_>, fd: u32, _: u64, _: u64, _: u32) -> Answer {
    Ok(standard_output(fd))
}

fn fd_allocate(_: &mut Call<'_>, fd: u32, _: u64, _: u64) -> Answer {
    Ok(standard_output(fd))
}

fn fd_sync(_: &mut Call<'_>, fd: u32) -> Answer {
    Ok(standard_output(fd))
}

/// There are no preopened folders. Libraries scan descriptors until they get exactly this errno.
fn fd_prestat_get(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::BadF)
}

fn fd_prestat_dir_name(_: &mut Call<'_>, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

fn fd_readdir(_: &mut Call<'_>, fd: u32, _: u32, _: u32, _: u64, _: u32) -> Answer {
    Ok(if fd <= STDERR { Errno::NotDir } else { Errno::BadF })
}

fn fd_renumber(_: &mut Call<'_>, from: u32, to: u32) -> Answer {
    Ok(if from <= STDERR && to <= STDERR {
        Errno::NotSup
    } else {
        Errno::BadF
    })
}

#[allow(clippy::too_many_arguments)] // WASI's signature
fn path_open(
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
fn path_filestat_set_times(
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

fn path_3(_: &mut Call<'_>, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

fn path_5(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

fn path_6(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

#[allow(clippy::too_many_arguments)] // WASI's signature
fn path_7(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

fn sock_2(_: &mut Call<'_>, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

fn sock_3(_: &mut Call<'_>, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

fn sock_5(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

fn sock_6(_: &mut Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Ok(Errno::NotSup)
}

/// Reports an event for each clock that has come due and for each file descriptor. Where nothing has happened yet, the clocks
/// that come due first are reported at once: a guest that waits would hold up its thread, and there is always an event.
fn poll_oneoff(call: &mut Call<'_>, subscriptions: u32, events: u32, count: u32, out: u32) -> Answer {
    if count == 0 {
        return Ok(Errno::Inval);
    }
    let (Some(len), Some(room)) = (count.checked_mul(SUBSCRIPTION), count.checked_mul(EVENT)) else {
        return Ok(Errno::Fault);
    };
    let Ok(asked) = call.read(subscriptions, len) else {
        return Ok(Errno::Fault);
    };
    let first = asked
        .chunks_exact(SUBSCRIPTION as usize)
        .map(|one| Happening::of(one).after);
    let first = first.min().unwrap_or_default();
    let happened: Vec<u8> = asked
        .chunks_exact(SUBSCRIPTION as usize)
        .map(Happening::of)
        .filter(|happening| happening.after <= first)
        .flat_map(|happening| happening.event)
        .collect();
    let number = u32::try_from(happened.len()).unwrap_or(u32::MAX) / EVENT;
    if call.read(events, room).is_err() || call.read(out, 4).is_err() {
        return Ok(Errno::Fault);
    }
    match write(call, events, &happened)? {
        Errno::Success => write(call, out, &number.to_le_bytes()),
        fault => Ok(fault),
    }
}

/// Bytes of a subscription to an event.
const SUBSCRIPTION: u32 = 48;
/// Bytes of an event.
const EVENT: u32 = 32;

/// What becomes of a subscription.
struct Happening {
    /// Nanoseconds until then; 0 where it is due.
    after: u64,
    event: [u8; EVENT as usize],
}

impl Happening {
    fn of(subscription: &[u8]) -> Self {
        let number = |at: usize| {
            let bytes = subscription
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        // The number of a clock or of a file descriptor.
        let of = number(16) as u32;
        let tag = number(8) as u8;
        let (errno, after) = match tag {
            0 => match time_of(of) {
                Some(now) if number(40) & 1 != 0 => (Errno::Success, number(24).saturating_sub(now)),
                Some(_) => (Errno::Success, number(24)),
                None => (Errno::NotSup, 0),
            },
            2 => (standard_output(of), 0),
            _ => (Errno::BadF, 0),
        };
        let mut event = [0; EVENT as usize];
        event[..8].copy_from_slice(&number(0).to_le_bytes());
        event[8..10].copy_from_slice(&(errno as u16).to_le_bytes());
        event[10] = tag;
        Self { after, event }
    }
}

fn sched_yield(_: &mut Call<'_>) -> Answer {
    Ok(Errno::Success)
}

fn proc_raise(_: &mut Call<'_>, _: u32) -> Answer {
    Ok(Errno::NoSys)
}

/// Ends the guest. Code 0 inside of `_start` is an ordinary end, which [`Vm::start`](crate::Vm::start) knows.
fn proc_exit(_: &mut Call<'_>, code: u32) -> Result<(), Trap> {
    Err(Trap::new(TrapKind::Exit(code)))
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
    let both = call.read(first, 4).is_ok() && call.read(second, 4).is_ok();
    let written =
        both && call.write(first, &a.to_le_bytes()).is_ok() && call.write(second, &b.to_le_bytes()).is_ok();
    Ok(if written { Errno::Success } else { Errno::Fault })
}

fn put(memory: &mut [u8], pointer: u32, bytes: &[u8]) -> Result<(), Status> {
    slice_mut(memory, pointer, bytes.len() as u32)?.copy_from_slice(bytes);
    Ok(())
}
