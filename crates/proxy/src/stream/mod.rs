//! One HTTP exchange: its state, and the handles through which the VMs of its filters reach it.

pub(crate) mod body;
pub(crate) mod facts;
pub(crate) mod fields;
pub(crate) mod handle;
pub(crate) mod head;
pub(crate) mod notes;
pub(crate) mod state;
