//! What the conformance guests share: the raw hostcalls, an allocator, and a report of what they saw.
//!
//! An SDK would hide what these guests are for: the exact status of a call, a pointer outside of memory, a length that
//! lies. So they call the imports themselves, through thin functions that turn the answer into text.

mod answer;
mod calls;
mod kinds;
mod memory;
mod pairs;
pub mod raw;
mod report;
mod wasi;

pub use answer::{Answer, status_name};
pub use calls::*;
pub use kinds::*;
pub use memory::{Hook, on_allocate};
pub use pairs::{decode_pairs, encode_pairs, show_pairs};
pub use report::{log_report, reply, reply_with, say_line, take_report};

/// Exports the callbacks in it, and the marker of the ABI version (0.2.1 unless `abi` names another).
#[macro_export]
macro_rules! guest {
    (abi $marker:ident; $(fn $name:ident($($arg:tt: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {
        /// The version of the ABI.
        #[unsafe(no_mangle)]
        pub extern "C" fn $marker() {}
        $(
            #[allow(missing_docs)]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name($($arg: $ty),*) $(-> $ret)? $body
        )*
    };
    ($($rest:tt)*) => { $crate::guest!(abi proxy_abi_version_0_2_1; $($rest)*); };
}

/// Adds a line to the report.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::say_line(&format!($($arg)*)) };
}

/// Writes a line to the host's log at level info.
#[macro_export]
macro_rules! note {
    ($($arg:tt)*) => { $crate::log($crate::INFO, format!($($arg)*)) };
}
