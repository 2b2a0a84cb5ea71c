//! The cache's treatment of a transaction.

use std::ffi::{CString, c_int};

use weir_abi::Status;
use weir_ats_sys::{
    TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE, TS_CACHE_LOOKUP_MISS, TS_SUCCESS, TSCacheUrlSet,
    TSHttpTxnConfigIntSet, TSHttpTxnReqCacheableSet, TSHttpTxnRespCacheableSet,
    TSHttpTxnServerRespNoStoreSet,
};
use weir_host::ForeignCall;

use super::pending::{self, Ttl};
use super::{args, done, is_answered, transaction};
use crate::property;

/// Most bytes of a cache key.
const MAX_KEY: usize = 4 << 10;

/// `ats_cache_lookup_status`: what the cache said about the request.
pub(super) fn lookup_status(call: &mut ForeignCall<'_>, _: &[u8]) -> Result<Vec<u8>, Status> {
    let status = property::lookup_status(transaction(call)?).ok_or(Status::NotFound)?;
    Ok(status.as_bytes().to_vec())
}

/// `ats_cache_lookup_status_set`: what a hit of the cache is to count as. `miss`: the origin is asked, and what is stored is
/// replaced; `hit_stale`: it is asked whether what is stored is still good; `hit_fresh`: what is stored is used, whatever
/// its age. A miss stays one.
pub(super) fn lookup_status_set(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let status = match args::text(arguments)? {
        "miss" => TS_CACHE_LOOKUP_MISS,
        "hit_stale" => TS_CACHE_LOOKUP_HIT_STALE,
        "hit_fresh" => TS_CACHE_LOOKUP_HIT_FRESH,
        _ => return Err(Status::BadArgument),
    };
    let txn = transaction(call)?;
    if property::lookup_status(txn).is_some() {
        return Err(Status::InternalFailure);
    }
    pending::set_lookup_status(txn, status)?;
    done()
}

/// `ats_set_cacheable`. `request=on`: the request is looked up whatever its method. `response=on`: the origin's answer is
/// stored whatever the method, even if it forbids that or does not say how long it is good: `no-store`, `no-cache`,
/// `private` and `Pragma` are taken away from it, for clients as well (a filter can tell them otherwise in
/// `proxy_on_response_headers`). `off` takes that back: the server decides by itself again. To forbid, there is
/// `ats_skip_cache`.
pub(super) fn set_cacheable(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let (mut request, mut response) = (None, None);
    for (name, value) in args::pairs(arguments)? {
        let value = Some(args::truth(value)?);
        match name {
            "request" => request = value,
            "response" => response = value,
            "both" => (request, response) = (value, value),
            _ => return Err(Status::BadArgument),
        }
    }
    let txn = transaction(call)?;
    if (request.is_some() && property::lookup_status(txn).is_some()) || is_answered(txn) {
        return Err(Status::InternalFailure);
    }
    if let Some(on) = response {
        pending::set_store_anyway(txn, on)?;
        // SAFETY: the transaction exists; the function sets a flag.
        unsafe { TSHttpTxnRespCacheableSet(txn, c_int::from(on)) };
    }
    if let Some(on) = request {
        // SAFETY: the transaction exists; the function sets a flag.
        unsafe { TSHttpTxnReqCacheableSet(txn, c_int::from(on)) };
    }
    done()
}

/// `ats_set_ttl`: for how many seconds the origin's answer is good.
///
/// The server works out how fresh an object is when somebody asks for it, from the stored header and the configuration of
/// the transaction that asks. Overriding `proxy.config.http.cache.guaranteed_*_lifetime` would therefore say something
/// about the object that this request finds, and nothing about the one that it stores. So the time goes into the header
/// that is stored. A bare number becomes `Cache-Control: s-maxage`, which the server prefers to everything else and
/// browsers ignore; it forbids the server to use the object any longer, even if the origin is down. `max_age=N` becomes
/// `max-age`, which is for browsers as well, and leaves that possible. Filters can change what clients see in
/// `proxy_on_response_headers`. What forbids storing is left to forbid: see `ats_set_cacheable`.
pub(super) fn set_ttl(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let text = args::text(arguments)?;
    let ttl = match text.split_once('=') {
        None => Ttl::Shared(args::number(text)?),
        Some(("s_maxage", seconds)) => Ttl::Shared(args::number(seconds)?),
        Some(("max_age", seconds)) => Ttl::Everybody(args::number(seconds)?),
        Some(_) => return Err(Status::BadArgument),
    };
    let txn = transaction(call)?;
    if is_answered(txn) {
        return Err(Status::InternalFailure);
    }
    pending::set_ttl(txn, ttl)?;
    done()
}

/// `ats_set_cache_key`: the URL that the object is looked up and stored under, instead of the request's own.
pub(super) fn set_cache_key(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let url = args::text(arguments)?;
    args::target(url)?;
    if url.len() > MAX_KEY {
        return Err(Status::BadArgument);
    }
    // The server prints it as debug output, for which it has to end with NUL.
    let text = CString::new(url).map_err(|_| Status::BadArgument)?;
    let txn = transaction(call)?;
    // SAFETY: the transaction exists; the text has this length and is copied.
    let set = unsafe { TSCacheUrlSet(txn, text.as_ptr(), url.len() as c_int) };
    if set == TS_SUCCESS {
        done()
    } else {
        Err(Status::InternalFailure)
    }
}

/// `ats_skip_cache`: the cache has no part in this transaction. Before the lookup nothing is read or written; between the
/// lookup and the origin's answer, that answer is not stored.
pub(super) fn skip_cache(call: &mut ForeignCall<'_>, _: &[u8]) -> Result<Vec<u8>, Status> {
    let txn = transaction(call)?;
    let set = match property::lookup_status(txn) {
        None => {
            let (key, _) =
                property::find_record(b"proxy.config.http.cache.http").ok_or(Status::InternalFailure)?;
            // SAFETY: the transaction exists, and the record is an integer.
            unsafe { TSHttpTxnConfigIntSet(txn, key, 0) }
        }
        Some(_) if is_answered(txn) => return Err(Status::InternalFailure),
        // SAFETY: the transaction exists; the function sets a flag.
        Some(_) => unsafe { TSHttpTxnServerRespNoStoreSet(txn, 1) },
    };
    if set == TS_SUCCESS {
        done()
    } else {
        Err(Status::InternalFailure)
    }
}
