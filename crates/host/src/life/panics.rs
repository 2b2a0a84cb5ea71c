//! Panics in the host's or the proxy's code, on behalf of a guest.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a step of a guest's end. A panic is logged and goes no further.
pub(super) fn drop_step(module: &str, step: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
        tracing::error!(
            module,
            "internal error while dropping a dead VM (please report): {}",
            panic_message(&*panic)
        );
    }
}

/// The text of a panic.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
