//! Accounts of the memory that the host holds for guests.
//!
//! Each VM has an [`Account`], and so has each `vm_id` for the state that its VMs share. All accounts of a process stand
//! under one [`Ceiling`]. Whoever copies bytes for a guest charges the account first and keeps the [`Charge`] beside the
//! bytes; dropping the charge credits the account, on any thread. Nothing here locks or allocates: a charge costs one atomic
//! addition, and one more on the ceiling where the account crosses a border of [`HOST_MEMORY_BLOCK`] bytes.
#![forbid(unsafe_code)]

mod account;
mod ceiling;
mod charge;
mod charges;
mod ticket;

pub use account::{Account, Full};
pub use ceiling::Ceiling;
pub use charge::Charge;
pub use charges::Charges;
pub use ticket::{CallTicket, Calls};
pub use weir_abi::limits::{HOST_MEMORY_BLOCK, HOST_MEMORY_ITEM};

/// Returns the bytes that a header line costs: name, value, and what allocations cost beside.
#[inline]
pub const fn line_cost(name: usize, value: usize) -> usize {
    name.saturating_add(value).saturating_add(HOST_MEMORY_ITEM)
}
