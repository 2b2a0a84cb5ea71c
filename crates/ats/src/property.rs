//! Our own properties: what only Traffic Server knows about a transaction, under `ats.`.
//!
//! Encodings are those of the host's other properties: text and bytes as they are, integers as 8 bytes little-endian,
//! truth as one byte, a moment as an integer of nanoseconds since 1970. A property that has no value (yet) is not found.
//!
//! | property | type | value |
//! |---|---|---|
//! | `ats.cache.hit_kind` | text | where a hit comes from: `ram`, `disk`, `rww` (the object is still being written) |
//! | `ats.cache.compressed_in_ram` | int | how it is compressed there, 0 not at all |
//! | `ats.cache.key` | bytes | the digest that the object lies under; from 10.2 on |
//! | `ats.cache.lookup_count` | int | how often the cache was asked |
//! | `ats.cache.lookup_status` | text | `miss`, `hit_stale`, `hit_fresh`, `skipped` |
//! | `ats.cache.lookup_url` | text | the URL that the digest is made of |
//! | `ats.cache.open_read_tries`, `ats.cache.open_write_tries` | int | attempts |
//! | `ats.cache.volume` | int | number of the volume that the object is on |
//! | `ats.client.protocol_stack`, `ats.server.protocol_stack` | text | such as `h2,tls/1.3,tcp,ipv4` |
//! | `ats.{client,server}.{req,resp}_{header,body}_bytes` | int | bytes so far |
//! | `ats.client.pushed_{header,body}_bytes` | int | bytes so far |
//! | `ats.client.stream_id` | int | number of the HTTP/2 stream |
//! | `ats.config.NAME` | int, float (8 bytes) or text | an overridable record, as this transaction has it |
//! | `ats.milestone.NAME` | moment | `NAME` as in `TS_MILESTONE_NAME`, any case; not found while it is not reached |
//! | `ats.next_hop.address`, `.name`, `.port` | text, text, int | where the request goes, once that is decided |
//! | `ats.parent.host`, `.port` | text, int | the parent proxy that a plugin has set |
//! | `ats.remap.from_url`, `ats.remap.to_url` | text | of the rule that matched |
//! | `ats.server_state` | text | how the connection to the origin fares, such as `connection_alive` |
//! | `ats.session.server_transaction_count` | int | requests so far on the connection to the origin |
//! | `ats.session.transaction_count` | int | requests so far on the client's connection |
//! | `ats.txn.aborted` | bool | one side broke off |
//! | `ats.txn.id` | int | number of the transaction |
//! | `ats.txn.is_internal` | bool | the server itself or a plugin has made the request |
//! | `ats.txn.is_websocket` | bool | the request asks for a WebSocket |
//! | `ats.txn.plugin_tag` | text | who has made an internal request |
//! | `ats.txn.redirect_retries` | int | redirects that the server has followed |
//! | `ats.txn.uuid` | text | of the server and the transaction |
//! | `ats.url.effective` | text | the request's URL as it is now |
//! | `ats.url.pristine` | text | as it was before the remap rules |
//! | `ats.version` | text | of the server |
//!
//! There is no property for the tag of a remap rule: the plugin interface does not give it out.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use weir_ats_sys::{
    TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE, TS_CACHE_LOOKUP_MISS, TS_CACHE_LOOKUP_SKIPPED,
    TS_CRUUID_STRING_LEN, TS_RECORDDATATYPE_FLOAT, TS_RECORDDATATYPE_INT, TS_RECORDDATATYPE_STRING,
    TS_SUCCESS, TS_TXN_INFO_CACHE_COMPRESSED_IN_RAM, TS_TXN_INFO_CACHE_HIT_RAM, TS_TXN_INFO_CACHE_HIT_RWW,
    TS_TXN_INFO_CACHE_OPEN_READ_TRIES, TS_TXN_INFO_CACHE_OPEN_WRITE_TRIES, TS_TXN_INFO_CACHE_VOLUME,
    TSCacheLookupResult, TSClientRequestUuidGet, TSHandleMLocRelease, TSHttpSsnTransactionCount, TSHttpTxn,
    TSHttpTxnAborted, TSHttpTxnCacheKeyDigestGet, TSHttpTxnCacheLookupCountGet,
    TSHttpTxnCacheLookupStatusGet, TSHttpTxnCacheLookupUrlGet, TSHttpTxnClientProtocolStackGet,
    TSHttpTxnClientReqBodyBytesGet, TSHttpTxnClientReqGet, TSHttpTxnClientReqHdrBytesGet,
    TSHttpTxnClientRespBodyBytesGet, TSHttpTxnClientRespHdrBytesGet, TSHttpTxnClientStreamIdGet,
    TSHttpTxnConfigFind, TSHttpTxnConfigFloatGet, TSHttpTxnConfigIntGet, TSHttpTxnConfigStringGet,
    TSHttpTxnEffectiveUrlStringGet, TSHttpTxnIdGet, TSHttpTxnInfoIntGet, TSHttpTxnInfoKey,
    TSHttpTxnIsInternal, TSHttpTxnIsWebsocket, TSHttpTxnNextHopAddrGet, TSHttpTxnNextHopNameGet,
    TSHttpTxnNextHopPortGet, TSHttpTxnParentProxyGet, TSHttpTxnPluginTagGet, TSHttpTxnPristineUrlGet,
    TSHttpTxnPushedRespBodyBytesGet, TSHttpTxnPushedRespHdrBytesGet, TSHttpTxnRedirectRetries,
    TSHttpTxnServerProtocolStackGet, TSHttpTxnServerReqBodyBytesGet, TSHttpTxnServerReqHdrBytesGet,
    TSHttpTxnServerRespBodyBytesGet, TSHttpTxnServerRespHdrBytesGet, TSHttpTxnServerSsnTransactionCount,
    TSHttpTxnServerStateGet, TSHttpTxnSsnGet, TSMBuffer, TSMBufferCreate, TSMBufferDestroy, TSMLoc,
    TSMilestonesType, TSOverridableConfigKey, TSRecordDataType, TSRemapFromUrlGet, TSRemapToUrlGet,
    TSReturnCode, TSTrafficServerVersionGet, TSUrlCreate, TSUrlHostGet, TSUrlStringGet, TSfree,
};

use crate::txn::facts;

/// Appends the encoded value of a property; whether there is one. `path` has its segments joined by NUL, and may end with
/// one.
pub(crate) fn read(txn: TSHttpTxn, path: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(name) = name_of(path) else {
        return false;
    };
    let value = if let Some(record) = name.strip_prefix("config.") {
        config(txn, record)
    } else if let Some(moment) = name.strip_prefix("milestone.") {
        milestone(txn, moment)
    } else {
        find(&name).and_then(|property| (property.read)(txn))
    };
    value.is_some_and(|value| {
        value.encode(out);
        true
    })
}

/// The name after `ats.`, in one piece.
fn name_of(path: &[u8]) -> Option<Cow<'_, str>> {
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    let name = path
        .strip_prefix(b"ats\0")
        .or_else(|| path.strip_prefix(b"ats."))?;
    let name = std::str::from_utf8(name).ok()?;
    Some(if name.contains('\0') {
        Cow::Owned(name.replace('\0', "."))
    } else {
        Cow::Borrowed(name)
    })
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(Vec<u8>),
}

impl Value {
    fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(value)),
            Self::Text(value) => out.extend_from_slice(&value),
        }
    }

    fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

/// A property with a name of its own.
struct Property {
    /// What follows `ats.`.
    name: &'static str,
    /// How it is read from a transaction that exists during the call.
    read: fn(TSHttpTxn) -> Option<Value>,
}

fn find(name: &str) -> Option<&'static Property> {
    let place = TABLE.binary_search_by(|known| known.name.cmp(name)).ok()?;
    TABLE.get(place)
}

const fn named(name: &'static str, read: fn(TSHttpTxn) -> Option<Value>) -> Property {
    Property { name, read }
}

/// All of them, sorted. `ats.config.*` and `ats.milestone.*` come on top.
static TABLE: &[Property] = &[
    named("cache.compressed_in_ram", |txn| {
        info(txn, TS_TXN_INFO_CACHE_COMPRESSED_IN_RAM).map(Value::Int)
    }),
    named("cache.hit_kind", hit_kind),
    named("cache.key", cache_key),
    named("cache.lookup_count", |txn| {
        // SAFETY: the transaction exists; the getter writes to the place it is given.
        int_of(|out: &mut c_int| unsafe { TSHttpTxnCacheLookupCountGet(txn, out) })
    }),
    named("cache.lookup_status", |txn| lookup_status(txn).map(Value::text)),
    named("cache.lookup_url", cache_lookup_url),
    named("cache.open_read_tries", |txn| {
        info(txn, TS_TXN_INFO_CACHE_OPEN_READ_TRIES).map(Value::Int)
    }),
    named("cache.open_write_tries", |txn| {
        info(txn, TS_TXN_INFO_CACHE_OPEN_WRITE_TRIES).map(Value::Int)
    }),
    named("cache.volume", |txn| {
        info(txn, TS_TXN_INFO_CACHE_VOLUME)
            .filter(|volume| *volume > 0)
            .map(Value::Int)
    }),
    named("client.protocol_stack", |txn| {
        protocol_stack(|count, tags, found| {
            // SAFETY: the transaction exists; no more entries are written than there is room for.
            unsafe { TSHttpTxnClientProtocolStackGet(txn, count, tags, found) }
        })
    }),
    named("client.pushed_body_bytes", |txn| {
        read_int(txn, TSHttpTxnPushedRespBodyBytesGet)
    }),
    named("client.pushed_header_bytes", |txn| {
        read_int(txn, TSHttpTxnPushedRespHdrBytesGet)
    }),
    named("client.req_body_bytes", |txn| {
        read_int(txn, TSHttpTxnClientReqBodyBytesGet)
    }),
    named("client.req_header_bytes", |txn| {
        read_int(txn, TSHttpTxnClientReqHdrBytesGet)
    }),
    named("client.resp_body_bytes", |txn| {
        read_int(txn, TSHttpTxnClientRespBodyBytesGet)
    }),
    named("client.resp_header_bytes", |txn| {
        read_int(txn, TSHttpTxnClientRespHdrBytesGet)
    }),
    named("client.stream_id", |txn| {
        let mut id = 0;
        // SAFETY: the transaction exists; the getter writes to the place it is given.
        let known = has_client(txn) && unsafe { TSHttpTxnClientStreamIdGet(txn, &mut id) } == TS_SUCCESS;
        known.then(|| Value::Int(id.cast_signed()))
    }),
    named("next_hop.address", |txn| {
        // SAFETY: the transaction exists; the answer is null or an address that stays during this call.
        let address = unsafe { socket_address(TSHttpTxnNextHopAddrGet(txn)) };
        address.map(|address| Value::text(&address.to_string()))
    }),
    named("next_hop.name", |txn| {
        if !has_next_hop(txn) {
            return None;
        }
        // SAFETY: the transaction exists and has a next hop; the answer is null or a text that ends with NUL.
        text(unsafe { TSHttpTxnNextHopNameGet(txn) })
    }),
    named("next_hop.port", |txn| {
        if !has_next_hop(txn) {
            return None;
        }
        read_int(txn, TSHttpTxnNextHopPortGet).filter(|port| *port != Value::Int(-1))
    }),
    named("parent.host", |txn| {
        parent(txn).map(|(host, _)| Value::Text(host))
    }),
    named("parent.port", |txn| parent(txn).map(|(_, port)| Value::Int(port))),
    named("remap.from_url", |txn| remap_url(txn, TSRemapFromUrlGet)),
    named("remap.to_url", |txn| remap_url(txn, TSRemapToUrlGet)),
    named("server.protocol_stack", |txn| {
        protocol_stack(|count, tags, found| {
            // SAFETY: the transaction exists; no more entries are written than there is room for.
            unsafe { TSHttpTxnServerProtocolStackGet(txn, count, tags, found) }
        })
    }),
    named("server.req_body_bytes", |txn| {
        read_int(txn, TSHttpTxnServerReqBodyBytesGet)
    }),
    named("server.req_header_bytes", |txn| {
        read_int(txn, TSHttpTxnServerReqHdrBytesGet)
    }),
    named("server.resp_body_bytes", |txn| {
        read_int(txn, TSHttpTxnServerRespBodyBytesGet)
    }),
    named("server.resp_header_bytes", |txn| {
        read_int(txn, TSHttpTxnServerRespHdrBytesGet)
    }),
    named("server_state", server_state),
    named("session.server_transaction_count", |txn| {
        read_int(txn, TSHttpTxnServerSsnTransactionCount)
    }),
    named("session.transaction_count", |txn| {
        // SAFETY: the transaction exists; it may have lost its session.
        let session = unsafe { TSHttpTxnSsnGet(txn) };
        if session.is_null() {
            return None;
        }
        // SAFETY: the session exists while its transaction does.
        Some(Value::Int(unsafe { TSHttpSsnTransactionCount(session) }.into()))
    }),
    named("txn.aborted", |txn| {
        let mut by_client = false;
        // SAFETY: the transaction exists; 10.x writes to the place it is given.
        let aborted = unsafe { TSHttpTxnAborted(txn, &mut by_client) };
        Some(Value::Bool(aborted == TS_SUCCESS))
    }),
    named("txn.id", |txn| {
        // SAFETY: the transaction exists; the getter only reads.
        Some(Value::Int(unsafe { TSHttpTxnIdGet(txn) }.cast_signed()))
    }),
    named("txn.is_internal", |txn| {
        // SAFETY: the transaction exists and has a client; the getter only reads.
        Some(Value::Bool(
            has_client(txn) && unsafe { TSHttpTxnIsInternal(txn) } != 0,
        ))
    }),
    named("txn.is_websocket", |txn| {
        // SAFETY: the transaction exists; the getter only reads.
        Some(Value::Bool(unsafe { TSHttpTxnIsWebsocket(txn) } != 0))
    }),
    named("txn.plugin_tag", |txn| {
        let get = TSHttpTxnPluginTagGet.get()?;
        // SAFETY: the transaction exists; the answer is null or a text that ends with NUL.
        text(unsafe { get(txn) })
    }),
    named("txn.redirect_retries", |txn| {
        read_int(txn, TSHttpTxnRedirectRetries)
    }),
    named("txn.uuid", |txn| {
        let get = TSClientRequestUuidGet.get()?;
        // The server writes one byte more than the constant says.
        let mut uuid: [c_char; TS_CRUUID_STRING_LEN + 8] = [0; TS_CRUUID_STRING_LEN + 8];
        // SAFETY: the transaction exists, and there is room for the text and its NUL.
        let known = unsafe { get(txn, uuid.as_mut_ptr()) } == TS_SUCCESS;
        // SAFETY: the buffer was zero and is longer than the text.
        if known { text(uuid.as_ptr()) } else { None }
    }),
    named("url.effective", effective_url),
    named("url.pristine", pristine_url),
    named("version", |_| {
        // SAFETY: the answer is a static text.
        text(unsafe { TSTrafficServerVersionGet() })
    }),
];

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

fn hit_kind(txn: TSHttpTxn) -> Option<Value> {
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

fn info(txn: TSHttpTxn, key: TSHttpTxnInfoKey) -> Option<i64> {
    let mut value = 0;
    // SAFETY: the transaction exists; the getter writes to the place it is given, and refuses keys that it does not know.
    let known = unsafe { TSHttpTxnInfoIntGet(txn, key, &mut value) };
    (known == TS_SUCCESS).then_some(value)
}

fn cache_key(txn: TSHttpTxn) -> Option<Value> {
    let get = TSHttpTxnCacheKeyDigestGet.get()?;
    let mut digest = [0_u8; 64];
    let mut len = digest.len() as c_int;
    // SAFETY: the transaction exists, and there is room for as many bytes as `len` says.
    let known = unsafe { get(txn, digest.as_mut_ptr().cast(), &mut len) };
    let digest = digest.get(..usize::try_from(len).ok()?)?;
    (known == TS_SUCCESS && !digest.is_empty()).then(|| Value::Text(digest.to_vec()))
}

fn cache_lookup_url(txn: TSHttpTxn) -> Option<Value> {
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

fn effective_url(txn: TSHttpTxn) -> Option<Value> {
    let mut len: c_int = 0;
    // SAFETY: the transaction exists; what is given is ours to free.
    unsafe { owned_text(TSHttpTxnEffectiveUrlStringGet(txn, &mut len), len) }
}

fn pristine_url(txn: TSHttpTxn) -> Option<Value> {
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
    // SAFETY: as above; it is not used afterwards.
    unsafe { TSHandleMLocRelease(buffer, TSMLoc::NULL, loc) };
    // Before remapping the server gives the request's own URL, as it is in the request line.
    if len > 0 { url } else { effective_url(txn) }
}

/// A URL of the rule that the server has used. Such URLs lie in no buffer; the request's stands in for it.
fn remap_url(txn: TSHttpTxn, get: unsafe fn(TSHttpTxn, *mut TSMLoc) -> TSReturnCode) -> Option<Value> {
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
    // SAFETY: as above; it is not used any more.
    unsafe { TSfree(text.cast()) };
    (!copy.is_empty()).then_some(Value::Text(copy))
}

fn protocol_stack(get: impl FnOnce(c_int, *mut *const c_char, *mut c_int) -> TSReturnCode) -> Option<Value> {
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

/// Whether the transaction still has its client's side.
fn has_client(txn: TSHttpTxn) -> bool {
    // SAFETY: the transaction exists.
    !unsafe { TSHttpTxnSsnGet(txn) }.is_null()
}

/// Whether the next hop has been decided on; before that, its other getters must not be asked.
fn has_next_hop(txn: TSHttpTxn) -> bool {
    // SAFETY: the transaction exists; the answer is null before a next hop is decided on.
    !unsafe { TSHttpTxnNextHopAddrGet(txn) }.is_null()
}

fn parent(txn: TSHttpTxn) -> Option<(Vec<u8>, i64)> {
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
unsafe fn socket_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: in all of these: the caller says so.
    match c_int::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: as above.
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddr::new(ip.into(), u16::from_be(address.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddr::new(ip.into(), u16::from_be(address.sin6_port)))
        }
        _ => None,
    }
}

fn server_state(txn: TSHttpTxn) -> Option<Value> {
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

fn milestone(txn: TSHttpTxn, name: &str) -> Option<Value> {
    let (_, milestone): &(&str, TSMilestonesType) = weir_ats_sys::milestones(weir_ats_sys::version())
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    let reached = facts::milestone(txn, *milestone)?;
    Some(Value::Int(i64::try_from(reached).ok()?))
}

/// A record that transactions can override, by its name.
pub(crate) fn find_record(name: &[u8]) -> Option<(TSOverridableConfigKey, TSRecordDataType)> {
    let mut key = TSOverridableConfigKey(-1);
    let mut kind = weir_ats_sys::TS_RECORDDATATYPE_NULL;
    let len = c_int::try_from(name.len()).ok()?;
    // SAFETY: the name has `len` bytes; the function writes to the places it is given.
    let found = unsafe { TSHttpTxnConfigFind(name.as_ptr().cast(), len, &mut key, &mut kind) };
    (found == TS_SUCCESS && !name.is_empty()).then_some((key, kind))
}

fn config(txn: TSHttpTxn, name: &str) -> Option<Value> {
    let (key, kind) = find_record(name.as_bytes())?;
    match kind {
        TS_RECORDDATATYPE_INT => {
            // SAFETY: the transaction exists, and the record is an integer.
            int_of(|value: &mut i64| unsafe { TSHttpTxnConfigIntGet(txn, key, value) })
        }
        TS_RECORDDATATYPE_FLOAT => {
            let mut value = 0_f32;
            // SAFETY: the transaction exists, and the record is a float.
            let known = unsafe { TSHttpTxnConfigFloatGet(txn, key, &mut value) };
            (known == TS_SUCCESS).then(|| Value::Float(f64::from(value)))
        }
        TS_RECORDDATATYPE_STRING => {
            let (mut value, mut len): (*const c_char, c_int) = (std::ptr::null(), 0);
            // SAFETY: the transaction exists, and the record is a text.
            let known = unsafe { TSHttpTxnConfigStringGet(txn, key, &mut value, &mut len) };
            if known != TS_SUCCESS || value.is_null() {
                return None;
            }
            let len = usize::try_from(len).ok()?;
            // SAFETY: the getter gives a text of this length, which is copied at once.
            Some(Value::Text(
                unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len) }.to_vec(),
            ))
        }
        _ => None,
    }
}

/// The value of an overridable record as text.
pub(crate) fn config_text(txn: TSHttpTxn, name: &str) -> Option<Vec<u8>> {
    Some(match config(txn, name)? {
        Value::Text(text) => text,
        Value::Int(value) => value.to_string().into_bytes(),
        // The server has no more digits than these.
        Value::Float(value) => (value as f32).to_string().into_bytes(),
        Value::Bool(value) => value.to_string().into_bytes(),
    })
}

/// What a getter writes to the place that it is given.
fn int_of<T: Default + Into<i64>>(get: impl FnOnce(&mut T) -> TSReturnCode) -> Option<Value> {
    let mut value = T::default();
    (get(&mut value) == TS_SUCCESS).then(|| Value::Int(value.into()))
}

/// What a getter of the transaction answers. `get` is one that takes any transaction and only reads.
fn read_int<T: Into<i64>>(txn: TSHttpTxn, get: unsafe fn(TSHttpTxn) -> T) -> Option<Value> {
    // SAFETY: the transaction exists; the callers name getters of the kind that is asked for.
    Some(Value::Int(unsafe { get(txn) }.into()))
}

/// A text of the server's that ends with NUL, unless it is empty.
fn text(text: *const c_char) -> Option<Value> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the callers' getters give null or a text that ends with NUL; it is copied at once.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    (!bytes.is_empty()).then(|| Value::Text(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(TABLE.is_sorted_by(|first, second| first.name < second.name));
        assert!(find("txn.id").is_some() && find("txn.i").is_none() && find("").is_none());
    }

    #[test]
    fn every_name_is_documented() {
        let page: String = include_str!("property.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! |"))
            .flat_map(expand)
            .collect();
        for Property { name, .. } in TABLE {
            assert!(page.contains(&format!("`ats.{name}`")), "ats.{name}");
        }
    }

    /// A line of the page for each of the alternatives in braces; `.name` after a comma stands for the whole.
    fn expand(line: &str) -> Vec<String> {
        if let Some((before, rest)) = line.split_once('{')
            && let Some((inside, after)) = rest.split_once('}')
        {
            return inside
                .split(',')
                .flat_map(|alternative| expand(&format!("{before}{alternative}{after}")))
                .collect();
        }
        let group = line.split('`').nth(1).and_then(|first| first.rsplit_once('.'));
        let short = group.map(|(group, _)| line.replace("`.", &format!("`{group}.")));
        std::iter::once(line.to_owned()).chain(short).collect()
    }

    #[test]
    fn paths_of_every_form() {
        let name = |path: &[u8]| name_of(path).map(Cow::into_owned);
        assert_eq!(name(b"ats\0txn\0id").as_deref(), Some("txn.id"));
        assert_eq!(name(b"ats\0txn\0id\0").as_deref(), Some("txn.id"));
        assert_eq!(name(b"ats.txn.id").as_deref(), Some("txn.id"));
        assert_eq!(
            name(b"ats\0config\0proxy.config.http.cache.http").as_deref(),
            Some("config.proxy.config.http.cache.http")
        );
        assert_eq!(name(b"request\0id"), None);
        assert_eq!(name(b"ats"), None);
        assert_eq!(name(b"ats\0\xff"), None);
    }

    #[test]
    fn encodings() {
        let encoded = |value: Value| {
            let mut out = Vec::new();
            value.encode(&mut out);
            out
        };
        assert_eq!(encoded(Value::Int(-2)), (-2_i64).to_le_bytes());
        assert_eq!(encoded(Value::Float(0.5)), 0.5_f64.to_le_bytes());
        assert_eq!(encoded(Value::Bool(true)), [1]);
        assert_eq!(encoded(Value::text("miss")), b"miss");
    }
}
