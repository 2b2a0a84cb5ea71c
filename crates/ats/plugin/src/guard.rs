//! Every way from the server into this plugin: no panic gets out.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs what an event of the server is about. Answers 0, which the server expects.
pub(crate) fn event(run: impl FnOnce()) -> c_int {
    catch(run);
    0
}

/// Runs something; a panic is logged and ends there.
///
/// State that the panic left behind is seen again only through locks that recover and through state that belongs to one
/// stream, which is failed.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            tracing::error!("the plugin panicked: {message}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_where_it_began() {
        assert_eq!(event(|| panic!("on purpose")), 0);
        assert_eq!(catch(|| -> u8 { panic!("on {}", "purpose") }), None);
        assert_eq!(catch(|| 5), Some(5));
    }
}
