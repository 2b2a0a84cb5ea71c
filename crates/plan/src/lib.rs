//! From filter configurations to VMs that can be started: modules compiled once, VMs described, each tried in a
//! throw-away VM.
//!
//! A proxy gives its [`Planner`] the filters of a configuration and gets a [`VmPlan`] for each VM, which it starts as often
//! as it wants to (for each worker, say). [`Reach`] is what such a VM's [`Services`](weir_host::Services) need to know.
#![forbid(unsafe_code)]

mod error;
mod import_sets;
mod known;
mod modules;
mod parallel;
mod planner;
mod reach;
mod runtimes;
mod sources;
mod trial;
mod vm;
mod watch;

pub use error::{PlanError, Refusal};
pub use import_sets::{capability_names, import_sets};
pub use parallel::in_parallel;
pub use planner::{Planned, Planner};
pub use reach::Reach;
pub use runtimes::{RuntimeSource, Runtimes};
pub use sources::{LocalSources, Sources};
pub use vm::{Identity, VmPlan};
pub use watch::{Cause, FileWatch, Loaded};
pub use weir_engine::ModuleDigest;
pub use weir_loader::FileStamp;
