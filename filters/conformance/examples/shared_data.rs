//! Data that VMs of one vm_id share, with compare-and-swap.
//!
//! covers: proxy_get_shared_data proxy_set_shared_data
//!
//! request: GET /
//! status: 200
//! body: missing: NotFound
//! body: set: Ok
//! body: get: Ok "one", cas not 0: true
//! body: right cas: Ok
//! body: get: Ok "two", cas changed: true
//! body: stale cas: CasMismatch
//! body: get: Ok "two"
//! body: without cas: Ok
//! body: get: Ok "four"
//! body: empty: Ok
//! body: get: Ok ""
//! body: cas for a key that is not there: CasMismatch

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("missing: {}", shared_data("key").0);
        say!("set: {}", set_shared_data("key", "one", 0));
        let (value, first) = shared_data("key");
        say!("get: {value}, cas not 0: {}", first != 0);
        say!("right cas: {}", set_shared_data("key", "two", first));
        let (value, second) = shared_data("key");
        say!("get: {value}, cas changed: {}", second != first);
        say!("stale cas: {}", set_shared_data("key", "three", first));
        say!("get: {}", shared_data("key").0);
        say!("without cas: {}", set_shared_data("key", "four", 0));
        say!("get: {}", shared_data("key").0);
        say!("empty: {}", set_shared_data("key", "", 0));
        say!("get: {}", shared_data("key").0);
        say!("cas for a key that is not there: {}", set_shared_data("other", "x", second));
        reply()
    }
}
