//! Numbers of the C interface, under the names of its headers.

mod event;
mod hook;
mod io;
mod lifecycle;
mod message;
mod milestone;
mod process;
mod transaction;

pub use event::*;
pub use hook::*;
pub use io::*;
pub use lifecycle::*;
pub use message::*;
pub use milestone::*;
pub use process::*;
pub use transaction::*;

/// A configuration record that a transaction can override. The numbers are different in every release: they come from
/// `TSHttpTxnConfigFind`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TSOverridableConfigKey(pub std::ffi::c_int);

impl TSReturnCode {
    /// True if the function succeeded.
    #[inline]
    pub const fn is_success(self) -> bool {
        self.0 == TS_SUCCESS.0
    }
}
