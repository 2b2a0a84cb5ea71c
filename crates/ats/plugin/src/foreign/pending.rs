//! Wishes of guests for a transaction that can only be carried out at a later hook.
//!
//! Filters see a request before the cache is asked and a response when it is on its way to the client; what concerns the
//! lookup or the origin's answer has to wait for the hooks between. A transaction that has such wishes gets a continuation
//! of its own, which ends with it.

use std::ffi::{CString, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use weir_abi::Status;
use weir_ats_sys::{
    Hook, TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE, TS_EVENT_HTTP_CACHE_LOOKUP_COMPLETE,
    TS_EVENT_HTTP_CONTINUE, TS_EVENT_HTTP_READ_RESPONSE_HDR, TS_EVENT_HTTP_TXN_CLOSE, TS_SUCCESS,
    TS_USER_ARGS_TXN, TSCacheLookupResult, TSCont, TSContCreate, TSContDataGet, TSContDataSet, TSContDestroy,
    TSEvent, TSHttpTxn, TSHttpTxnCacheLookupStatusGet, TSHttpTxnCacheLookupStatusSet, TSHttpTxnCachedRespGet,
    TSHttpTxnConfigIntSet, TSHttpTxnHookAdd, TSHttpTxnReenable, TSHttpTxnServerRespGet, TSMutex,
    TSUserArgGet, TSUserArgIndexReserve, TSUserArgSet, hook,
};

use crate::property;
use crate::txn::mime::Head;

/// Most bytes of configuration texts that one transaction may override.
const MAX_TEXT: usize = 64 << 10;

/// The lifetime of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ttl {
    /// For caches that serve many, which must not use it a second longer: `s-maxage`.
    Shared(u32),
    /// For everybody: `max-age`.
    Everybody(u32),
}

/// The wishes of one transaction.
#[derive(Default)]
struct Pending {
    /// The status that a hit of the cache gets.
    lookup_status: Option<TSCacheLookupResult>,
    /// The lifetime of the origin's answer.
    ttl: Option<Ttl>,
    /// The origin's answer is stored even if it forbids that.
    store_anyway: bool,
    /// Texts that the server reads for as long as the transaction lasts.
    texts: Vec<CString>,
}

/// Sets the status that a hit of the cache gets. Before the lookup.
pub(super) fn set_lookup_status(txn: TSHttpTxn, status: TSCacheLookupResult) -> Result<(), Status> {
    with(txn, |pending| pending.lookup_status = Some(status))
}

/// Sets the lifetime of the origin's answer. Before the answer comes.
pub(super) fn set_ttl(txn: TSHttpTxn, ttl: Ttl) -> Result<(), Status> {
    with(txn, |pending| pending.ttl = Some(ttl))
}

/// Stores the origin's answer even if it forbids that, or no longer. Before the answer comes.
pub(super) fn set_store_anyway(txn: TSHttpTxn, on: bool) -> Result<(), Status> {
    with(txn, |pending| pending.store_anyway = on)
}

/// Keeps a text until the transaction has ended; its address.
pub(super) fn keep(txn: TSHttpTxn, text: CString) -> Result<*const std::ffi::c_char, Status> {
    with(txn, |pending| {
        let kept: usize = pending.texts.iter().map(|text| text.count_bytes() + 1).sum();
        if kept + text.count_bytes() >= MAX_TEXT {
            return Err(Status::InternalFailure);
        }
        // A text lies on the heap, where it stays if the list moves.
        let address = text.as_ptr();
        pending.texts.push(text);
        Ok(address)
    })?
}

/// Gives the wishes of a transaction to `change`, and makes them if there are none.
fn with<R>(txn: TSHttpTxn, change: impl FnOnce(&mut Pending) -> R) -> Result<R, Status> {
    let slot = slot().ok_or(Status::InternalFailure)?;
    // SAFETY: the transaction exists, and the slot is one of transactions.
    let known = unsafe { TSUserArgGet(txn.as_ptr(), slot) };
    let cont = if known.is_null() {
        begin(txn, slot)
    } else {
        TSCont(known)
    };
    // SAFETY: a continuation in our slot is one of `begin`, with its data until `end`, which clears the slot. Whoever is
    // here works on the transaction and nobody else does, and neither does `change` come back here.
    let pending = unsafe { TSContDataGet(cont).cast::<Pending>().as_mut() };
    pending.map(change).ok_or(Status::InternalFailure)
}

fn begin(txn: TSHttpTxn, slot: c_int) -> TSCont {
    let pending = Box::into_raw(Box::<Pending>::default());
    // SAFETY: the transaction exists and has not ended, so that its last hook is still to come, where `end` frees what
    // is made here. Hooks of a transaction run under its own lock.
    unsafe {
        let cont = TSContCreate(on_hook, TSMutex::NULL);
        TSContDataSet(cont, pending.cast());
        TSUserArgSet(txn.as_ptr(), slot, cont.as_ptr());
        for place in [Hook::CacheLookupComplete, Hook::ReadResponseHdr, Hook::TxnClose] {
            TSHttpTxnHookAdd(txn, hook(place), cont);
        }
        cont
    }
}

/// Runs at the hooks of a transaction that has wishes.
///
/// # Safety
///
/// `cont` is a continuation of [`begin`] that [`end`] has not destroyed, and `txn` the transaction it was made for, stopped
/// at this hook. Only the server calls this.
unsafe extern "C" fn on_hook(cont: TSCont, event: TSEvent, txn: *mut c_void) -> c_int {
    let txn = TSHttpTxn(txn);
    let run = || {
        if event == TS_EVENT_HTTP_TXN_CLOSE {
            end(cont, txn);
            return;
        }
        // SAFETY: the continuation is one of `begin`, whose data is a `Pending` until `end`. The server runs the hooks of a
        // transaction one after the other, and neither they nor `with` keep a reference once they return.
        let Some(pending) = (unsafe { TSContDataGet(cont).cast::<Pending>().as_mut() }) else {
            return;
        };
        match event {
            TS_EVENT_HTTP_CACHE_LOOKUP_COMPLETE => {
                if let Some(status) = pending.lookup_status.take() {
                    apply_lookup_status(txn, status);
                }
            }
            TS_EVENT_HTTP_READ_RESPONSE_HDR if pending.ttl.is_some() || pending.store_anyway => {
                change_answer(txn, pending.ttl, pending.store_anyway);
            }
            _ => {}
        }
    };
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        tracing::error!("a panic at a hook of a transaction; what a filter has asked for is not done");
    }
    // SAFETY: the server waits for this at each hook.
    unsafe { TSHttpTxnReenable(txn, TS_EVENT_HTTP_CONTINUE) };
    0
}

fn end(cont: TSCont, txn: TSHttpTxn) {
    if let Some(slot) = slot() {
        // SAFETY: the transaction exists until this hook is over.
        unsafe { TSUserArgSet(txn.as_ptr(), slot, std::ptr::null_mut()) };
    }
    // SAFETY: the data are the box of `begin`, and this is the last hook: nobody asks for them again.
    unsafe {
        let pending = TSContDataGet(cont).cast::<Pending>();
        TSContDataSet(cont, std::ptr::null_mut());
        TSContDestroy(cont);
        if !pending.is_null() {
            drop(Box::from_raw(pending));
        }
    }
}

/// Our place for user data of transactions; `None` where other plugins have taken all of them.
fn slot() -> Option<c_int> {
    static SLOT: OnceLock<Option<c_int>> = OnceLock::new();
    *SLOT.get_or_init(|| {
        let mut slot: c_int = -1;
        // SAFETY: the texts end with NUL, and the function writes to the place it is given.
        let reserved = unsafe {
            TSUserArgIndexReserve(
                TS_USER_ARGS_TXN,
                c"weir.pending".as_ptr(),
                c"what filters have asked for".as_ptr(),
                &mut slot,
            )
        };
        (reserved == TS_SUCCESS).then_some(slot)
    })
}

/// Only a hit can become something else. The server takes a miss for a hit neither, and goes wrong where nothing was
/// looked up.
fn apply_lookup_status(txn: TSHttpTxn, status: TSCacheLookupResult) {
    let mut now: c_int = -1;
    // SAFETY: the transaction exists; the getter writes to the place it is given.
    let known = unsafe { TSHttpTxnCacheLookupStatusGet(txn, &mut now) };
    let now = TSCacheLookupResult(now);
    let hit = now == TS_CACHE_LOOKUP_HIT_FRESH || now == TS_CACHE_LOOKUP_HIT_STALE;
    if known == TS_SUCCESS && hit && now != status {
        // SAFETY: this is the hook at which the server allows it.
        unsafe { TSHttpTxnCacheLookupStatusSet(txn, status.0) };
    }
}

/// Changes what the origin's answer says about storing it. An interim answer is left alone: the real one follows.
fn change_answer(txn: TSHttpTxn, ttl: Option<Ttl>, store_anyway: bool) {
    // SAFETY: the transaction exists, and this is the hook at which its answer may be changed.
    let answer =
        unsafe { Head::from_getter(|buffer, loc| TSHttpTxnServerRespGet(txn, buffer, loc) == TS_SUCCESS) };
    let Some(answer) = answer.filter(|answer| answer.status() >= 200) else {
        return;
    };
    let mut control = cache_control(answer);
    if control.is_empty() && answer.status() == 304 {
        // The answer replaces what is stored, so the stored values are added to it again.
        // SAFETY: the transaction exists; the head is only read, and now.
        let stored = unsafe {
            Head::from_getter(|buffer, loc| TSHttpTxnCachedRespGet(txn, buffer, loc) == TS_SUCCESS)
        };
        control = stored.map(cache_control).unwrap_or_default();
    }
    let changed = changed(&control, ttl, store_anyway);
    if changed.is_empty() {
        answer.remove(b"cache-control");
    } else {
        answer.replace(b"cache-control", &changed);
    }
    if store_anyway {
        answer.remove(b"pragma");
        // Without this, an answer that says nothing of how long it is good is not stored.
        if let Some((key, _)) = property::find_record(b"proxy.config.http.cache.required_headers") {
            // SAFETY: the transaction exists, and the record is an integer.
            unsafe { TSHttpTxnConfigIntSet(txn, key, 0) };
        }
    }
}

/// The lines of `cache-control`, joined.
fn cache_control(head: Head) -> Vec<u8> {
    let mut joined = Vec::new();
    head.visit(&mut |name, value| {
        if name == b"cache-control" {
            if !joined.is_empty() {
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(value);
        }
    });
    joined
}

/// The directives of a `cache-control` after a change.
fn changed(control: &[u8], ttl: Option<Ttl>, store_anyway: bool) -> Vec<u8> {
    let goes = |name: &[u8]| {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        (ttl.is_some() && is(b"s-maxage"))
            || (matches!(ttl, Some(Ttl::Everybody(_))) && is(b"max-age"))
            || (store_anyway && (is(b"no-store") || is(b"no-cache") || is(b"private")))
    };
    let mut quoted = false;
    let directives = control.split(|byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    let mut kept: Vec<&[u8]> = directives
        .map(<[u8]>::trim_ascii)
        .filter(|directive| {
            let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
            !directive.is_empty() && !goes(name.trim_ascii())
        })
        .collect();
    let time = match ttl {
        Some(Ttl::Shared(seconds)) => format!("s-maxage={seconds}"),
        Some(Ttl::Everybody(seconds)) => format!("max-age={seconds}"),
        None => String::new(),
    };
    if !time.is_empty() {
        kept.push(time.as_bytes());
    }
    kept.join(&b", "[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(control: &str, ttl: Option<Ttl>, store_anyway: bool) -> String {
        String::from_utf8(super::changed(control.as_bytes(), ttl, store_anyway)).expect("text")
    }

    #[test]
    fn the_time_is_said_once_and_the_rest_is_kept() {
        let shared = |control| changed(control, Some(Ttl::Shared(60)), false);
        assert_eq!(shared(""), "s-maxage=60");
        assert_eq!(shared("max-age=5, no-store"), "max-age=5, no-store, s-maxage=60");
        assert_eq!(
            shared("S-MaxAge = 1,public , no-cache=\"set-cookie, s-maxage=3\",,s-maxage=2"),
            "public, no-cache=\"set-cookie, s-maxage=3\", s-maxage=60"
        );
        let everybody = Some(Ttl::Everybody(60));
        assert_eq!(
            changed("max-age=1, s-maxage=2, public", everybody, false),
            "public, max-age=60"
        );
    }

    #[test]
    fn fields_that_forbid_caching_are_removed() {
        assert_eq!(
            changed("no-store, Private, max-age=0, no-cache=\"a\"", None, true),
            "max-age=0"
        );
        assert_eq!(changed("no-store", None, true), "");
        assert_eq!(changed("no-store", Some(Ttl::Shared(1)), true), "s-maxage=1");
    }
}
