//! proc_exit from a callback ends the VM, whatever its code.
//!
//! covers: proc_exit
//!
//! request: GET /
//! status: 503
//! log: error: proc_exit

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        std::process::exit(0)
    }
}
