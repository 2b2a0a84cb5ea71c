//! URLs of a transaction, as text.

use std::ffi::{c_char, c_int};

use weir_ats_sys::{
    TS_SUCCESS, TSHandleMLocRelease, TSHttpTxn, TSHttpTxnCacheLookupUrlGet, TSHttpTxnClientReqGet,
    TSHttpTxnEffectiveUrlStringGet, TSHttpTxnPristineUrlGet, TSMBuffer, TSMBufferCreate, TSMBufferDestroy,
    TSMLoc, TSReturnCode, TSUrlCreate, TSUrlHostGet, TSUrlStringGet, TSfree,
};

use super::Value;

/// The URL that the cache key is made of.
pub(super) fn cache_lookup_url(txn: TSHttpTxn) -> Option<Value> {
    // SAFETY: the buffer and what is made in it are ours, and are gone together at the end.
    unsafe {
        let buffer = TSMBufferCreate();
        let mut loc = TSMLoc::NULL;
        let made = TSUrlCreate(buffer, &mut loc) == TS_SUCCESS;
        let known = made && TSHttpTxnCacheLookupUrlGet(txn, buffer, loc) == TS_SUCCESS;
        let url = if known { url_text(buffer, loc) } else { None };
        if made {
            TSHandleMLocRelease(buffer, TSMLoc::NULL, loc);
        }
        TSMBufferDestroy(buffer);
        url
    }
}

/// The request's URL as it is now.
pub(super) fn effective_url(txn: TSHttpTxn) -> Option<Value> {
    let mut len: c_int = 0;
    // SAFETY: the transaction exists; what is given is ours to free.
    unsafe { owned_text(TSHttpTxnEffectiveUrlStringGet(txn, &mut len), len) }
}

/// The request's URL before the remap rules.
pub(super) fn pristine_url(txn: TSHttpTxn) -> Option<Value> {
    let (mut buffer, mut loc) = (TSMBuffer::NULL, TSMLoc::NULL);
    // SAFETY: the transaction exists; the getter writes to the places it is given.
    if unsafe { TSHttpTxnPristineUrlGet(txn, &mut buffer, &mut loc) } != TS_SUCCESS {
        return None;
    }
    let mut len: c_int = 0;
    // SAFETY: the location was given out for this buffer.
    let url = unsafe {
        TSUrlHostGet(buffer, loc, &mut len);
        url_text(buffer, loc)
    };
    // SAFETY: the location was given out for this buffer, without a parent, and is not used afterwards.
    unsafe { TSHandleMLocRelease(buffer, TSMLoc::NULL, loc) };
    // Before remapping the server gives the request's own URL, as it is in the request line.
    if len > 0 { url } else { effective_url(txn) }
}

/// A URL of the rule that the server has used. Such URLs lie in no buffer; the request's stands in for it.
pub(super) fn remap_url(
    txn: TSHttpTxn,
    get: unsafe fn(TSHttpTxn, *mut TSMLoc) -> TSReturnCode,
) -> Option<Value> {
    let (mut buffer, mut request, mut loc) = (TSMBuffer::NULL, TSMLoc::NULL, TSMLoc::NULL);
    // SAFETY: the transaction exists; the getters write to the places they are given.
    let known = unsafe {
        TSHttpTxnClientReqGet(txn, &mut buffer, &mut request) == TS_SUCCESS
            && get(txn, &mut loc) == TS_SUCCESS
    };
    if known { url_text(buffer, loc) } else { None }
}

fn url_text(buffer: TSMBuffer, loc: TSMLoc) -> Option<Value> {
    if buffer.is_null() || loc.is_null() {
        return None;
    }
    let mut len: c_int = 0;
    // SAFETY: the callers got both from the server; what is given is ours to free.
    unsafe { owned_text(TSUrlStringGet(buffer, loc, &mut len), len) }
}

/// # Safety
///
/// `text` is null, or has `len` bytes and is to be freed with the server's allocator.
unsafe fn owned_text(text: *mut c_char, len: c_int) -> Option<Value> {
    if text.is_null() {
        return None;
    }
    let len = usize::try_from(len).unwrap_or(0);
    // SAFETY: the caller says so.
    let copy = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) }.to_vec();
    // SAFETY: the caller says that the text is to be freed with the server's allocator; it is not used any more.
    unsafe { TSfree(text.cast()) };
    (!copy.is_empty()).then_some(Value::Text(copy))
}
