//! Readers of a transaction's values.

use std::ffi::{CStr, c_char, c_int};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use weir_ats_sys::{
    TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE, TS_CACHE_LOOKUP_MISS, TS_CACHE_LOOKUP_SKIPPED,
    TS_SUCCESS, TS_TXN_INFO_CACHE_HIT_RAM, TS_TXN_INFO_CACHE_HIT_RWW, TSCacheLookupResult, TSHttpTxn,
    TSHttpTxnCacheKeyDigestGet, TSHttpTxnCacheLookupStatusGet, TSHttpTxnInfoIntGet, TSHttpTxnInfoKey,
    TSHttpTxnNextHopAddrGet, TSHttpTxnParentProxyGet, TSHttpTxnServerStateGet, TSHttpTxnSsnGet,
    TSMilestonesType, TSReturnCode,
};

use super::Value;
use crate::txn::facts;

/// The result of the cache lookup in words, once there is one.
pub(crate) fn lookup_status(txn: TSHttpTxn) -> Option<&'static str> {
    let mut status: c_int = 0;
    // SAFETY: the transaction exists; the getter writes to the place it is given.
    let known = unsafe { TSHttpTxnCacheLookupStatusGet(txn, &mut status) };
    if known != TS_SUCCESS {
        return None;
    }
    Some(match TSCacheLookupResult(status) {
        TS_CACHE_LOOKUP_MISS => "miss",
        TS_CACHE_LOOKUP_HIT_STALE => "hit_stale",
        TS_CACHE_LOOKUP_HIT_FRESH => "hit_fresh",
        TS_CACHE_LOOKUP_SKIPPED => "skipped",
        _ => return None,
    })
}

pub(super) fn hit_kind(txn: TSHttpTxn) -> Option<Value> {
    if !lookup_status(txn)?.starts_with("hit") {
        return None;
    }
    let is = |key| info(txn, key).is_some_and(|answer| answer != 0);
    Some(Value::text(if is(TS_TXN_INFO_CACHE_HIT_RWW) {
        "rww"
    } else if is(TS_TXN_INFO_CACHE_HIT_RAM) {
        "ram"
    } else {
        "disk"
    }))
}

pub(super) fn info(txn: TSHttpTxn, key: TSHttpTxnInfoKey) -> Option<i64> {
    let mut value = 0;
    // SAFETY: the transaction exists; the getter writes to the place it is given, and refuses keys that it does not know.
    let known = unsafe { TSHttpTxnInfoIntGet(txn, key, &mut value) };
    (known == TS_SUCCESS).then_some(value)
}

pub(super) fn cache_key(txn: TSHttpTxn) -> Option<Value> {
    let get = TSHttpTxnCacheKeyDigestGet.get()?;
    let mut digest = [0_u8; 64];
    let mut len = digest.len() as c_int;
    // SAFETY: the transaction exists, and there is room for as many bytes as `len` says.
    let known = unsafe { get(txn, digest.as_mut_ptr().cast(), &mut len) };
    let digest = digest.get(..usize::try_from(len).ok()?)?;
    (known == TS_SUCCESS && !digest.is_empty()).then(|| Value::Text(digest.to_vec()))
}

pub(super) fn protocol_stack(
    get: impl FnOnce(c_int, *mut *const c_char, *mut c_int) -> TSReturnCode,
) -> Option<Value> {
    let mut tags: [*const c_char; 10] = [std::ptr::null(); 10];
    let mut count: c_int = 0;
    if get(tags.len() as c_int, tags.as_mut_ptr(), &mut count) != TS_SUCCESS {
        return None;
    }
    let mut stack = Vec::new();
    for tag in tags.iter().take(usize::try_from(count).unwrap_or(0)) {
        if let Some(Value::Text(tag)) = text(*tag) {
            if !stack.is_empty() {
                stack.push(b',');
            }
            stack.extend_from_slice(&tag);
        }
    }
    (!stack.is_empty()).then_some(Value::Text(stack))
}

/// True if the transaction still has its client's side.
pub(super) fn has_client(txn: TSHttpTxn) -> bool {
    // SAFETY: the transaction exists.
    !unsafe { TSHttpTxnSsnGet(txn) }.is_null()
}

/// True if the next hop has been decided on; before that, its other getters must not be asked.
pub(super) fn has_next_hop(txn: TSHttpTxn) -> bool {
    // SAFETY: the transaction exists; the answer is null before a next hop is decided on.
    !unsafe { TSHttpTxnNextHopAddrGet(txn) }.is_null()
}

pub(super) fn parent(txn: TSHttpTxn) -> Option<(Vec<u8>, i64)> {
    let (mut host, mut port): (*const c_char, c_int) = (std::ptr::null(), -1);
    // SAFETY: the transaction exists; the getter writes to the places it is given.
    if unsafe { TSHttpTxnParentProxyGet(txn, &mut host, &mut port) } != TS_SUCCESS {
        return None;
    }
    match text(host) {
        Some(Value::Text(host)) => Some((host, i64::from(port))),
        _ => None,
    }
}

/// # Safety
///
/// `address` is null, or points to an address of the family that it says.
pub(super) unsafe fn socket_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: in all of these: the caller says so.
    match c_int::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the caller says that the address is of its family, which is IPv4.
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddr::new(ip.into(), u16::from_be(address.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: the caller says that the address is of its family, which is IPv6.
            let address = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddr::new(ip.into(), u16::from_be(address.sin6_port)))
        }
        _ => None,
    }
}

pub(super) fn server_state(txn: TSHttpTxn) -> Option<Value> {
    const NAMES: [&str; 12] = [
        "undefined",
        "active_timeout",
        "bad_incoming_response",
        "connection_alive",
        "connection_closed",
        "connection_error",
        "inactive_timeout",
        "open_raw_error",
        "parse_error",
        "transaction_complete",
        "parent_retry",
        "outbound_congestion",
    ];
    // SAFETY: the transaction exists; the getter only reads.
    let state = unsafe { TSHttpTxnServerStateGet(txn) };
    let name = NAMES.get(usize::try_from(state.0).ok()?)?;
    Some(Value::text(name))
}

pub(super) fn milestone(txn: TSHttpTxn, name: &str) -> Option<Value> {
    let (_, milestone): &(&str, TSMilestonesType) = weir_ats_sys::milestones(weir_ats_sys::version())
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    let reached = facts::milestone(txn, *milestone)?;
    Some(Value::Int(i64::try_from(reached).ok()?))
}

/// The value that a getter writes to its argument.
pub(super) fn int_of<T: Default + Into<i64>>(get: impl FnOnce(&mut T) -> TSReturnCode) -> Option<Value> {
    let mut value = T::default();
    (get(&mut value) == TS_SUCCESS).then(|| Value::Int(value.into()))
}

/// The answer of a getter of the transaction. `get` is one that takes any transaction and only reads.
pub(super) fn read_int<T: Into<i64>>(txn: TSHttpTxn, get: unsafe fn(TSHttpTxn) -> T) -> Option<Value> {
    // SAFETY: the transaction exists; the callers name getters of the kind that is asked for.
    Some(Value::Int(unsafe { get(txn) }.into()))
}

/// A text of the server's that ends with NUL, unless it is empty.
pub(super) fn text(text: *const c_char) -> Option<Value> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the callers' getters give null or a text that ends with NUL; it is copied at once.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    (!bytes.is_empty()).then(|| Value::Text(bytes.to_vec()))
}
