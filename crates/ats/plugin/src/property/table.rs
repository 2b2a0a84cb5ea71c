//! The properties that have names of their own.

use std::ffi::{c_char, c_int};

use weir_ats_sys::{
    TS_CRUUID_STRING_LEN, TS_SUCCESS, TS_TXN_INFO_CACHE_COMPRESSED_IN_RAM, TS_TXN_INFO_CACHE_OPEN_READ_TRIES,
    TS_TXN_INFO_CACHE_OPEN_WRITE_TRIES, TS_TXN_INFO_CACHE_VOLUME, TSClientRequestUuidGet,
    TSHttpSsnTransactionCount, TSHttpTxn, TSHttpTxnAborted, TSHttpTxnCacheLookupCountGet,
    TSHttpTxnClientProtocolStackGet, TSHttpTxnClientReqBodyBytesGet, TSHttpTxnClientReqHdrBytesGet,
    TSHttpTxnClientRespBodyBytesGet, TSHttpTxnClientRespHdrBytesGet, TSHttpTxnClientStreamIdGet,
    TSHttpTxnIdGet, TSHttpTxnIsInternal, TSHttpTxnIsWebsocket, TSHttpTxnNextHopAddrGet,
    TSHttpTxnNextHopNameGet, TSHttpTxnNextHopPortGet, TSHttpTxnPluginTagGet, TSHttpTxnPushedRespBodyBytesGet,
    TSHttpTxnPushedRespHdrBytesGet, TSHttpTxnRedirectRetries, TSHttpTxnServerProtocolStackGet,
    TSHttpTxnServerReqBodyBytesGet, TSHttpTxnServerReqHdrBytesGet, TSHttpTxnServerRespBodyBytesGet,
    TSHttpTxnServerRespHdrBytesGet, TSHttpTxnServerSsnTransactionCount, TSHttpTxnSsnGet, TSRemapFromUrlGet,
    TSRemapToUrlGet, TSTrafficServerVersionGet,
};

use super::Value;
use super::readers::{
    cache_key, has_client, has_next_hop, hit_kind, info, int_of, lookup_status, parent, protocol_stack,
    read_int, server_state, socket_address, text,
};
use super::url::{cache_lookup_url, effective_url, pristine_url, remap_url};

/// A property with a name of its own.
pub(super) struct Property {
    /// The name after `ats.`.
    pub name: &'static str,
    /// Reads it from a transaction that exists during the call.
    pub read: fn(TSHttpTxn) -> Option<Value>,
}

/// The property of this name.
pub(super) fn find(name: &str) -> Option<&'static Property> {
    let place = TABLE.binary_search_by(|known| known.name.cmp(name)).ok()?;
    TABLE.get(place)
}

const fn named(name: &'static str, read: fn(TSHttpTxn) -> Option<Value>) -> Property {
    Property { name, read }
}

/// All of them, sorted. `ats.config.*` and `ats.milestone.*` come on top.
pub(super) static TABLE: &[Property] = &[
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
