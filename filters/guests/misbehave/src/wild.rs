//! Pointers that lie, at every place of every hostcall that takes pointers.

use crate::{guest, memory, raw};

/// The status that each of them must give.
const INVALID_MEMORY_ACCESS: u32 = 6;
/// The same from WASI.
const EFAULT: u32 = 21;

/// An argument as it would be right.
enum Arg {
    /// Address and length of these bytes.
    Bytes(&'static [u8]),
    /// Address of four bytes for an answer.
    Out,
    /// Address of eight bytes for an answer.
    WideOut,
    /// Just a number.
    Number(u32),
}

use Arg::{Bytes, Number, Out, WideOut};

/// A hostcall with arguments that are right.
struct Probe {
    name: &'static str,
    args: &'static [Arg],
    call: fn(&[u32]) -> u32,
    refusal: u32,
}

macro_rules! probes {
    ($($refusal:ident $name:ident($($arg:expr),+) |$slots:ident| ($($slot:expr),+);)+) => {
        &[$(Probe {
            name: stringify!($name),
            args: &[$($arg),+],
            call: |$slots| raw::$name($($slot),+),
            refusal: $refusal,
        }),+]
    };
}

const KEY: Arg = Bytes(b"misbehave/wild");
const VALUE: Arg = Bytes(b"value");
const NAME: Arg = Bytes(b"x-wild");
const NO_PAIRS: Arg = Bytes(&[0; 4]);
const CALL_HEADERS: Arg = Bytes(
    b"\x03\0\0\0\x07\0\0\0\x03\0\0\0\x05\0\0\0\x01\0\0\0\x0a\0\0\0\x01\0\0\0:method\0GET\0:path\0/\0:authority\0a\0",
);
const VM_CONFIGURATION: Arg = Number(6);
const REQUEST_HEADERS: Arg = Number(0);
const REQUEST_BODY: Arg = Number(0);

const PROBES: &[Probe] = probes! {
    INVALID_MEMORY_ACCESS proxy_log(Number(2), VALUE) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_get_log_level(Out) |a| (a[0]);
    INVALID_MEMORY_ACCESS proxy_get_current_time_nanoseconds(WideOut) |a| (a[0]);
    INVALID_MEMORY_ACCESS proxy_get_configuration(Out, Out) |a| (a[0], a[1]);
    INVALID_MEMORY_ACCESS proxy_get_buffer_bytes(VM_CONFIGURATION, Number(0), Number(u32::MAX), Out, Out)
        |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_get_buffer_status(VM_CONFIGURATION, Out, Out) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_set_buffer_bytes(REQUEST_BODY, Number(0), Number(0), VALUE)
        |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_get_header_map_pairs(REQUEST_HEADERS, Out, Out) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_set_header_map_pairs(REQUEST_HEADERS, NO_PAIRS) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_get_header_map_size(REQUEST_HEADERS, Out) |a| (a[0], a[1]);
    INVALID_MEMORY_ACCESS proxy_get_header_map_value(REQUEST_HEADERS, Bytes(b":path"), Out, Out)
        |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_add_header_map_value(REQUEST_HEADERS, NAME, VALUE) |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_replace_header_map_value(REQUEST_HEADERS, NAME, VALUE)
        |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_remove_header_map_value(REQUEST_HEADERS, NAME) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_get_property(Bytes(b"plugin_name"), Out, Out) |a| (a[0], a[1], a[2], a[3]);
    INVALID_MEMORY_ACCESS proxy_set_property(Bytes(b"wild"), VALUE) |a| (a[0], a[1], a[2], a[3]);
    INVALID_MEMORY_ACCESS proxy_get_shared_data(KEY, Out, Out, Out) |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_set_shared_data(KEY, VALUE, Number(0)) |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_register_shared_queue(Bytes(b"wild"), Out) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_resolve_shared_queue(Bytes(b""), Bytes(b"wild"), Out) |a| (a[0], a[1], a[2], a[3], a[4]);
    INVALID_MEMORY_ACCESS proxy_enqueue_shared_queue(Number(1), VALUE) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_dequeue_shared_queue(Number(1), Out, Out) |a| (a[0], a[1], a[2]);
    INVALID_MEMORY_ACCESS proxy_define_metric(Number(1), Bytes(b"misbehave.wild"), Out) |a| (a[0], a[1], a[2], a[3]);
    INVALID_MEMORY_ACCESS proxy_call_foreign_function(Bytes(b"compress"), VALUE, Out, Out)
        |a| (a[0], a[1], a[2], a[3], a[4], a[5]);
    INVALID_MEMORY_ACCESS proxy_send_local_response(Number(418), VALUE, VALUE, NO_PAIRS, Number(u32::MAX))
        |a| (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    INVALID_MEMORY_ACCESS proxy_http_call(Bytes(b"wild"), CALL_HEADERS, VALUE, NO_PAIRS, Number(1000), Out)
        |a| (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
    INVALID_MEMORY_ACCESS proxy_grpc_call(Bytes(b"wild"), NAME, NAME, NO_PAIRS, VALUE, Number(1000), Out)
        |a| (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
    INVALID_MEMORY_ACCESS proxy_grpc_stream(Bytes(b"wild"), NAME, NAME, NO_PAIRS, Out)
        |a| (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
    INVALID_MEMORY_ACCESS proxy_grpc_send(Number(1), VALUE, Number(0)) |a| (a[0], a[1], a[2], a[3]);
    INVALID_MEMORY_ACCESS proxy_get_status(Out, Out, Out) |a| (a[0], a[1], a[2]);
    EFAULT args_sizes_get(Out, Out) |a| (a[0], a[1]);
    EFAULT environ_sizes_get(Out, Out) |a| (a[0], a[1]);
    EFAULT clock_time_get(Number(0), WideOut) |a| (a[0], 1, a[1]);
    EFAULT poll_oneoff(Number(0), Number(0), Number(0), Out) |a| (a[0], a[1], a[2], a[3]);
    EFAULT fd_write(Number(1), Number(0), Number(0), Out) |a| (a[0], a[1], a[2], a[3]);
};

/// Tries them all and reports how many were refused as they must be.
pub fn probe_all(callback: &str) {
    let mut tally = Tally::default();
    for probe in PROBES {
        probe.run(&mut tally);
    }
    metric(&mut tally);
    vectors(&mut tally);
    random(&mut tally);
    let Tally { tried, wrong } = tally;
    for wrong in &wrong {
        guest::report(&format!("wild@{callback}: {wrong}"));
    }
    guest::report(&format!(
        "wild@{callback}: {} of {tried} refused",
        tried - wrong.len()
    ));
}

#[derive(Default)]
struct Tally {
    tried: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, name: &str, args: &[u32], answer: u32, refusal: u32) {
        self.tried += 1;
        if answer != refusal {
            self.wrong
                .push(format!("{name}{args:x?} answered {answer}, not {refusal}"));
        }
    }
}

impl Probe {
    fn run(&self, tally: &mut Tally) {
        let mut answers = [0_u64; 8];
        let mut right = Vec::new();
        for (index, arg) in self.args.iter().enumerate() {
            match arg {
                Bytes(bytes) => right.extend(<[u32; 2]>::from(memory::slice(bytes))),
                Out | WideOut => right.push(memory::address(&raw mut answers[index % 8])),
                Number(number) => right.push(*number),
            }
        }
        let mut slot = 0;
        for arg in self.args {
            let (width, lies) = match arg {
                Bytes(_) => (2, ranges()),
                Out => (1, outputs(4)),
                WideOut => (1, outputs(8)),
                Number(_) => (1, Vec::new()),
            };
            for lie in lies {
                let mut args = right.clone();
                args[slot..slot + width].copy_from_slice(&lie[..width]);
                tally.count(self.name, &args, (self.call)(&args), self.refusal);
            }
            slot += width;
        }
    }
}

/// Addresses and lengths that do not lie within memory, some of which overflow when added.
fn ranges() -> Vec<[u32; 2]> {
    let end = memory::size();
    vec![
        [end, 1],
        [end - 1, 2],
        [0, end + 1],
        [u32::MAX, 1],
        [0xffff_fff0, 0x20],
        [16, u32::MAX],
        [0x8000_0000, 0x8000_0000],
        [u32::MAX, u32::MAX],
    ]
}

/// Addresses at which `len` bytes do not lie within memory.
fn outputs(len: u32) -> Vec<[u32; 2]> {
    let end = memory::size();
    [
        end,
        end - len + 1,
        end - 1,
        0x8000_0000,
        u32::MAX,
        u32::MAX - len + 1,
    ]
    .map(|address| [address, 0])
    .to_vec()
}

/// A metric must exist before its value can be asked for.
fn metric(tally: &mut Tally) {
    let mut id = 0_u32;
    let (name, len) = memory::slice(b"misbehave.wild");
    raw::proxy_define_metric(1, name, len, memory::address(&raw mut id));
    for [out, _] in outputs(8) {
        tally.count(
            "proxy_get_metric",
            &[id, out],
            raw::proxy_get_metric(id, out),
            INVALID_MEMORY_ACCESS,
        );
    }
}

/// The list of vectors may lie outside of memory, and so may what the vectors name.
fn vectors(tally: &mut Tally) {
    let mut written = 0_u32;
    let out = memory::address(&raw mut written);
    for [list, _] in outputs(8) {
        tally.count("fd_write list", &[list], raw::fd_write(1, list, 1, out), EFAULT);
    }
    for vector in ranges() {
        let list = memory::address(&raw const vector);
        tally.count("fd_write vector", &vector, raw::fd_write(1, list, 1, out), EFAULT);
    }
}

fn random(tally: &mut Tally) {
    let end = memory::size();
    for [out, len] in [[end, 1], [end - 1, 2], [u32::MAX, 1], [0xffff_fff0, 0x20]] {
        tally.count("random_get", &[out, len], raw::random_get(out, len), EFAULT);
    }
}
