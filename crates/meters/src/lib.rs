//! Numbers by which the process counts about itself: VMs, callbacks, streams, upstreams, reloads.
//!
//! [`Meters`] is one value per process, handed to whoever has something to count. Counting is cheap enough for the request
//! path: a [`Counter`] is spread over cache lines, so that threads which count at the same time do not wait for each other,
//! and what belongs to a VM is written by the VM's thread alone. Reading adds everything up; only the admin pages and
//! statistics read.
#![forbid(unsafe_code)]

mod counter;
mod meters;
mod plugin;
mod times;
mod upstream;
mod vm;

pub use counter::Counter;
pub use meters::{CounterReading, Death, Meters, Restarting};
pub use plugin::{CallbackTimes, HostcallErrors, PluginMeter, PluginReading};
pub use times::{Bound, CALLBACK_BOUNDS, COMPILE_BOUNDS, TimesReading};
pub use upstream::{UpstreamMeter, UpstreamReading};
pub use vm::{VmMeter, VmReading, VmState, plugin_names};
