//! The life of VMs outside of streams, once for every proxy: starts, deaths, restarts, ticks, queues, results of calls.
//!
//! A proxy makes a [`Supervisor`] and runs its [`SupervisorTask`] on a thread with a tokio `LocalSet`: `weir serve` has one
//! for each worker, Traffic Server's plugin has one for all net threads. What differs between proxies is the small trait
//! [`VmThreads`]: how an event reaches the thread that may enter a VM.
//!
//! For each configuration the proxy makes a [`Fleet`]: a [`Slot`] for each VM of the plan on each thread. Chains of filters
//! hold the slots' [`VmSlot`](weir_host::VmSlot)s, and enter their VMs. All that a VM asks for or that happens to it passes
//! its mailbox, which is bounded because later requests replace earlier ones:
//!
//! ```text
//!  guest ──▶ Services ──▶ mailbox ──▶ SupervisorTask: timers, calls, restarts
//!                            ▲                │
//!                            └── Event ◀──────┘
//!                            │
//!                            └──▶ VmThreads::post(Mail) ──▶ the VM's own thread ──▶ Vm::on_…
//! ```
//!
//! To add a kind of event, add a variant to `Event` (event.rs) and its line to `Event::deliver`.
#![forbid(unsafe_code)]

mod background;
mod event;
mod farewell;
mod fleet;
mod mailbox;
#[cfg(test)]
mod models;
mod reserve;
mod services;
mod slot;
mod slot_state;
mod supervised_vm;
mod sync;
mod task;
#[cfg(test)]
mod tests;
mod timers;
mod wakeup;

pub use event::Mail;
pub use fleet::{Fleet, OnFailure, VmThread};
pub use slot::Slot;
pub use slot_state::Phase;
pub use task::{Supervisor, SupervisorTask, VmThreads};
pub use wakeup::{Target, Wakeup};
