//! Requests that `slice.so` makes for the blocks of another request.
//!
//! That plugin answers a request out of blocks, each of which it asks the server for with a request of its own, from the
//! address of the client. Where our filters have seen the request (they stand before `slice.so`, or in `plugin.config`), they
//! are not to see the blocks as well.

use std::hash::{Hash, Hasher};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::FxHasher;
use weir_ats_sys::{
    TS_SUCCESS, TSHttpTxn, TSHttpTxnClientAddrGet, TSHttpTxnClientReqGet, TSHttpTxnIsInternal,
};

use super::mime::Head;
use crate::net_thread;

/// The field by which `slice.so` knows its own requests.
const FIELD: &[u8] = b"x-slicer-info";

/// `slice.so` is there.
static IS_LOADED: AtomicBool = AtomicBool::new(false);

/// Looks whether `slice.so` is there. Called when rules have been read.
pub(crate) fn look() {
    let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
    let name = b"/slice.so";
    let loaded = maps.windows(name.len()).any(|window| window == name);
    IS_LOADED.store(loaded, Ordering::Relaxed);
}

/// True if requests may be sliced.
pub(super) fn is_loaded() -> bool {
    // Without rules of ours nobody calls `look`.
    static FIRST: Once = Once::new();
    FIRST.call_once(look);
    IS_LOADED.load(Ordering::Relaxed)
}

/// The key by which a request is known to those for its blocks: its client, and the instance whose filters see it.
pub(super) fn key(http: TSHttpTxn, instance: usize) -> Option<u64> {
    // SAFETY: the transaction exists; the getter only reads.
    let address = unsafe { TSHttpTxnClientAddrGet(http) };
    let address = super::facts::socket_address(address.cast())?;
    let mut hasher = FxHasher::default();
    (address, instance).hash(&mut hasher);
    Some(hasher.finish())
}

/// True if a request is for a block of another, whose filters of this instance have seen that.
pub(super) fn is_block(http: TSHttpTxn, instance: usize) -> bool {
    if !is_loaded() || !is_slicers(http) {
        return false;
    }
    key(http, instance).is_some_and(|key| {
        net_thread::every()
            .iter()
            .any(|thread| thread.known.is_sliced(key))
    })
}

/// True if a request is one that `slice.so` has made.
pub(super) fn is_slicers(http: TSHttpTxn) -> bool {
    // SAFETY: the transaction exists; the getters say whether the message does.
    unsafe {
        TSHttpTxnIsInternal(http) != 0
            && Head::from_getter(|buffer, loc| TSHttpTxnClientReqGet(http, buffer, loc) == TS_SUCCESS)
                .is_some_and(|head| head.contains(FIELD))
    }
}
