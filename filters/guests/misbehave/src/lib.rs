//! A guest that does what no guest should: it panics, loops for ever, eats memory, overflows its stack, passes pointers
//! that lie, tries to be entered twice. A host must survive each of these in each callback.
//!
//! What it does is a list of `behaviour@callback`, separated by white space, such as `panic@tick wild@request_body`. It
//! is taken from, whichever applies:
//!
//! - the plugin configuration, for all callbacks from `configure` on,
//! - the VM configuration, for `root_create` and `vm_start` too,
//! - the environment variable `MISBEHAVE`, for `start`,
//! - the request header `x-misbehave`, for the callbacks of that stream, and those of the plugin from then on.
//!
//! The word `upstream=NAME` in a configuration says where the call goes whose answer is `http_call_response`. Behaviours:
//! see [`behaviour::Behaviour`]; callbacks: see [`callbacks`].
//!
//! What the guest survives (`wild`, `grow`, `reenter*`) is reported in the log, in shared data under the key
//! `misbehave`, and in the response header `x-misbehave-report`.

mod allocator;
mod behaviour;
mod callbacks;
mod guest;
mod memory;
mod raw;
mod reenter;
mod rules;
mod wild;
