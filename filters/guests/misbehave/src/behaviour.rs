//! The things that no guest should do.

use std::hint::black_box;

use crate::{allocator, guest, memory, raw, reenter, wild};

macro_rules! behaviours {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)+) => {
        /// One thing that no guest should do.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum Behaviour {
            $($(#[$meta])* $variant,)+
        }

        impl Behaviour {
            /// The behaviour of this name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

behaviours! {
    /// A Rust panic: a message on standard error, then `unreachable`.
    Panic = "panic",
    /// The instruction `unreachable`.
    Unreachable = "unreachable",
    /// An endless loop that never calls the host.
    Loop = "loop",
    /// An endless loop that does nothing but call the host.
    HostcallLoop = "hostcall_loop",
    /// Allocates and uses memory until there is none left.
    Memory = "memory",
    /// Asks for 4 GiB at once, which WebAssembly lets fail. The guest goes on.
    Grow = "grow",
    /// Recursion without end.
    Stack = "stack",
    /// Reads beyond the end of its memory.
    OutOfBounds = "out_of_bounds",
    /// Calls a function pointer that points nowhere.
    IndirectCall = "indirect_call",
    /// `proc_exit(1)`.
    Exit = "exit",
    /// `proc_exit(0)`, which is a good end for `_start` alone.
    ExitZero = "exit_zero",
    /// Passes pointers outside of its memory to every hostcall that takes some. All must be refused with
    /// InvalidMemoryAccess (WASI: EFAULT). The guest goes on.
    Wild = "wild",
    /// Asks for everything that a careless host would carry out on the spot, by entering the guest again. The guest
    /// goes on.
    Reenter = "reenter",
    /// As above, with two local responses.
    ReenterReply = "reenter_reply",
    /// As above, by closing the stream in both directions.
    ReenterClose = "reenter_close",
    /// Puts something into its own queue, so that in `queue_ready` it is woken again and again. The guest goes on.
    SelfWake = "self_wake",
    /// Its allocator returns 0.
    AllocatorZero = "allocator_zero",
    /// Its allocator returns an address outside of memory.
    AllocatorWild = "allocator_wild",
    /// Its allocator returns the last bytes of memory, fewer than asked for.
    AllocatorShort = "allocator_short",
    /// Its allocator never returns.
    AllocatorLoop = "allocator_loop",
    /// Its allocator panics.
    AllocatorPanic = "allocator_panic",
    /// Its allocator calls the host, which is in the middle of a hostcall.
    AllocatorReenter = "allocator_reenter",
    /// Returns Pause and never resumes. Only where a callback returns an action.
    Pause = "pause",
    /// Returns Pause, and lets the stream go on in both directions some ticks later, whether it is still there or not.
    Hold = "hold",
    /// Returns Pause, and lets the stream go on when the answer to an HTTP call has come.
    HoldCall = "hold_call",
    /// Means each of its streams in turn, reads its request's head and adds a field to it. Says whether it could.
    Look = "look",
    /// Logs the property `response.flags` as a warning.
    Flags = "flags",
    /// Answers with 418.
    Reply = "reply",
    /// Returns an action that does not exist.
    BadAction = "bad_action",
    /// Returns false from `done`, `vm_start` or `configure`; never calls `proxy_done`.
    False = "false",
}

impl Behaviour {
    /// Does it. Most do not return.
    pub fn act(self, callback: &str) {
        match self {
            Self::Panic => panic!("told to panic in {callback}"),
            Self::Unreachable => core::arch::wasm32::unreachable(),
            Self::Loop => loop_for_ever(),
            Self::HostcallLoop => hostcall_loop(),
            Self::Memory => eat_memory(),
            Self::Grow => grow(callback),
            Self::Stack => {
                black_box(recurse(black_box(1)));
            }
            Self::OutOfBounds => read_out_of_bounds(),
            Self::IndirectCall => call_nowhere(),
            Self::Exit => raw::proc_exit(1),
            Self::ExitZero => raw::proc_exit(0),
            Self::Wild => wild::probe_all(callback),
            Self::Reenter => reenter::everything(callback),
            Self::ReenterReply => reenter::reply(callback),
            Self::ReenterClose => reenter::close(callback),
            Self::SelfWake => guest::wake_itself(),
            Self::AllocatorZero => allocator::provoke(|_| Some(0)),
            Self::AllocatorWild => allocator::provoke(|_| Some(0xffff_fff0)),
            Self::AllocatorShort => allocator::provoke(|_| Some(memory::size() - 1)),
            Self::AllocatorLoop => allocator::provoke(|_| loop_for_ever()),
            Self::AllocatorPanic => {
                allocator::provoke(|size| panic!("told to panic while allocating {size} bytes"))
            }
            Self::AllocatorReenter => allocator::provoke(|_| {
                guest::shared_data_round_trip();
                None
            }),
            Self::Reply => guest::answer(),
            Self::Look => guest::look(callback),
            Self::Flags => guest::log_flags(callback),
            Self::Hold => guest::hold(),
            Self::HoldCall => {
                guest::http_call(&guest::upstream());
            }
            Self::Pause | Self::BadAction | Self::False => {}
        }
    }
}

fn loop_for_ever() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

fn hostcall_loop() -> ! {
    let mut now = 0_u64;
    loop {
        raw::proxy_get_current_time_nanoseconds(memory::address(&raw mut now));
        black_box(now);
    }
}

fn eat_memory() {
    loop {
        // Written to, so that the pages are real.
        black_box(vec![0xa5_u8; 1 << 20].leak());
    }
}

fn grow(callback: &str) {
    let before = core::arch::wasm32::memory_grow(0, 0xffff);
    guest::report(&format!(
        "grow@{callback}: {}",
        if before == usize::MAX {
            "refused"
        } else {
            "granted"
        }
    ));
}

#[allow(unconditional_recursion)]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    // Used after the call, so that this is no loop.
    recurse(black_box(depth + 1)).wrapping_add(depth)
}

fn read_out_of_bounds() {
    let beyond = core::ptr::with_exposed_provenance::<u32>(0xffff_fff0);
    // SAFETY: this is unsound on purpose. WebAssembly turns it into a trap, which is what is asked for.
    black_box(unsafe { beyond.read_volatile() });
}

fn call_nowhere() {
    let nowhere = black_box(0x7fff_ffff_usize);
    // SAFETY: this is unsound on purpose. The table has no such element, and WebAssembly traps.
    let function: extern "C" fn() = unsafe { core::mem::transmute(nowhere) };
    function();
}
