//! Faults of filters, clients and origins in Traffic Server with the plugin: the server lives, whoever is concerned gets
//! the fail policy, all others go on, and nothing is left behind.
#![allow(clippy::unwrap_used)]

mod ats_kit;

#[path = "ats_faults/aborts.rs"]
mod aborts;
#[path = "ats_faults/deadline.rs"]
mod deadline;
#[path = "ats_faults/fatal.rs"]
mod fatal;
#[path = "ats_faults/logs.rs"]
mod logs;
#[path = "ats_faults/threads.rs"]
mod threads;

use ats_kit::*;
