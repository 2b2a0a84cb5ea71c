//! VMs: where they are, how they are started and brought back, and what they ask of the server.

pub(crate) mod place;
pub(crate) mod services;
pub(crate) mod start;
