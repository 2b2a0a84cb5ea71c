//! HTTP's rules about messages, each stated once for both proxies and for the calls of guests.
//!
//! - [`names`]: classes of field names, and which bytes names and values may hold.
//! - [`fields`]: operations on header maps that keep the order of lines, among them the removal of a connection's fields.
//! - [`guest`]: fields that are never a guest's to set.
//! - [`method`]: methods whose requests have no body, or state a length in any case.
//! - [`content_type`]: gRPC, and bodies that are streams of events.
//! - [`pseudo`]: pseudo-headers and the values that they may have.
//! - [`request_path`]: the path of a request as it was written, and as it is sent.
//! - [`status`]: statuses that end an exchange, statuses without a body, reason phrases.
//! - [`target`]: host and path of a request in the one spelling that conditions are written for.
//! - [`flags`]: Envoy's response flags.
//!
//! The crate does no I/O and knows no proxy. A check compares bytes and allocates nothing, unless its
//! documentation says otherwise.
#![forbid(unsafe_code)]

pub mod content_type;
pub mod fields;
pub mod flags;
pub mod guest;
pub mod method;
pub mod names;
pub mod pseudo;
pub mod request_path;
pub mod status;
pub mod target;
