//! The VMs of a worker: starting them, keeping them, bringing them back.

pub(crate) mod events;
pub(crate) mod services;
pub(crate) mod slot;
pub(crate) mod start;
