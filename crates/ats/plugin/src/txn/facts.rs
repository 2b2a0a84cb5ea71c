//! Facts of a transaction beyond its messages, in Envoy's terms.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_ats_sys::{
    TS_MILESTONE_SERVER_BEGIN_WRITE, TS_MILESTONE_SERVER_CLOSE, TS_MILESTONE_SERVER_CONNECT,
    TS_MILESTONE_SERVER_CONNECT_END, TS_MILESTONE_SERVER_FIRST_READ, TS_MILESTONE_UA_BEGIN,
    TS_MILESTONE_UA_CLOSE, TS_SUCCESS, TSHttpSsnClientVConnGet, TSHttpTxn, TSHttpTxnAborted,
    TSHttpTxnClientAddrGet, TSHttpTxnClientProtocolStackGet, TSHttpTxnClientReqBodyBytesGet,
    TSHttpTxnClientReqGet, TSHttpTxnClientReqHdrBytesGet, TSHttpTxnClientRespBodyBytesGet,
    TSHttpTxnClientRespHdrBytesGet, TSHttpTxnIncomingAddrGet, TSHttpTxnMilestoneGet, TSHttpTxnNextHopAddrGet,
    TSHttpTxnOutgoingAddrGet, TSHttpTxnServerAddrGet, TSHttpTxnSsnGet, TSMBuffer, TSMLoc, TSMilestonesType,
    TSRemapToUrlGet, TSUrlHostGet, TSVConn,
};
use weir_host::{Fact, FactValue};
use weir_http_rules::flags;

use super::mime;
use crate::tls;

/// Facts that only the plugin knows.
#[derive(Debug, Default)]
pub(crate) struct TxnFacts {
    /// The URL that the remap rule maps from, if the rule has filters.
    pub rule: Option<Arc<str>>,
    /// Why the response is what it is.
    pub details: Cow<'static, str>,
    /// Envoy's response flags.
    pub flags: i64,
    /// The server is done with the transaction: how long it all took can be told.
    pub ended: bool,
    /// The duration, once the server has forgotten it.
    pub duration: Option<Duration>,
}

/// Answers [`weir_host::Stream::fact`]. `txn` is `None` once the server has ended the transaction.
pub(crate) fn fact(txn: Option<TSHttpTxn>, facts: &TxnFacts, fact: Fact) -> Option<FactValue> {
    match fact {
        Fact::RequestDuration if !facts.ended => return None,
        Fact::RequestDuration => {
            let duration = facts.duration.or_else(|| elapsed(txn?));
            return duration.map(FactValue::Duration);
        }
        Fact::ResponseCodeDetails => {
            return (!facts.details.is_empty()).then(|| FactValue::Bytes(facts.details.as_bytes().to_vec()));
        }
        Fact::ResponseFlags => return Some(FactValue::Int(facts.flags)),
        Fact::ListenerDirection => return Some(FactValue::Int(1)),
        Fact::RouteName => {
            let route = facts.rule.as_deref().unwrap_or("plugin.config");
            return Some(FactValue::Bytes(route.into()));
        }
        _ => {}
    }
    let txn = txn?;
    let bytes = |head: unsafe fn(TSHttpTxn) -> c_int, body: Option<unsafe fn(TSHttpTxn) -> i64>| {
        // SAFETY: the transaction exists while `txn` is given; the getters only read.
        let head = i64::from(unsafe { head(txn) });
        // SAFETY: the transaction exists while `txn` is given; the getter only reads.
        let body = body.map_or(0, |body| unsafe { body(txn) });
        Some(FactValue::Int(head.saturating_add(body)))
    };
    match fact {
        // SAFETY: the transaction exists while `txn` is given; the getter only reads.
        Fact::SourceAddress => address(unsafe { TSHttpTxnClientAddrGet(txn) }.cast()),
        // SAFETY: the transaction exists while `txn` is given; the getter only reads.
        Fact::DestinationAddress => address(unsafe { TSHttpTxnIncomingAddrGet(txn) }.cast()),
        // SAFETY: the transaction exists while `txn` is given; the getter only reads.
        Fact::UpstreamLocalAddress => address(unsafe { TSHttpTxnOutgoingAddrGet(txn) }.cast()),
        Fact::UpstreamAddress => {
            // SAFETY: the transaction exists while `txn` is given; the getter only reads.
            let server = address(unsafe { TSHttpTxnServerAddrGet(txn) }.cast());
            // SAFETY: the transaction exists while `txn` is given; the getter only reads.
            server.or_else(|| address(unsafe { TSHttpTxnNextHopAddrGet(txn) }.cast()))
        }
        Fact::RequestTime => {
            let begun = milestone(txn, TS_MILESTONE_UA_BEGIN)?;
            Some(FactValue::Time(UNIX_EPOCH + Duration::from_nanos(begun)))
        }
        Fact::ClusterName => next_hop(txn).or_else(|| mapped_host(txn)).map(FactValue::Bytes),
        Fact::RequestProtocol => Some(FactValue::Bytes(protocol(txn).as_bytes().to_vec())),
        // SAFETY: the transaction exists while `txn` is given; the getter only reads.
        Fact::RequestSize => Some(FactValue::Int(unsafe { TSHttpTxnClientReqBodyBytesGet(txn) })),
        Fact::RequestTotalSize => bytes(
            TSHttpTxnClientReqHdrBytesGet,
            Some(TSHttpTxnClientReqBodyBytesGet),
        ),
        // SAFETY: the transaction exists while `txn` is given; the getter only reads.
        Fact::ResponseSize => Some(FactValue::Int(unsafe { TSHttpTxnClientRespBodyBytesGet(txn) })),
        Fact::ResponseTotalSize => bytes(
            TSHttpTxnClientRespHdrBytesGet,
            Some(TSHttpTxnClientRespBodyBytesGet),
        ),
        Fact::ResponseBackendLatency => {
            let sent = milestone(txn, TS_MILESTONE_SERVER_BEGIN_WRITE)?;
            let answered = milestone(txn, TS_MILESTONE_SERVER_FIRST_READ)?;
            span(sent, answered)
        }
        Fact::UpstreamPoolReadyDuration => {
            let begun = milestone(txn, TS_MILESTONE_SERVER_CONNECT)?;
            let done = milestone(txn, TS_MILESTONE_SERVER_CONNECT_END)?;
            span(begun, done)
        }
        Fact::ConnectionId => Some(FactValue::Int(connection_id(txn))),
        Fact::ConnectionMtls => Some(FactValue::Bool(
            client_connection(txn).is_some_and(|vc| tls::peer_certificate(vc).is_some()),
        )),
        Fact::ConnectionRequestedServerName => {
            tls::server_name(client_connection(txn)?).map(FactValue::Bytes)
        }
        Fact::ConnectionTlsVersion => tls::version(client_connection(txn)?).map(FactValue::Bytes),
        Fact::ConnectionLocalCertificate(field) => {
            certificate(&tls::local_certificate(client_connection(txn)?)?, field)
        }
        Fact::ConnectionPeerCertificate(field) => {
            certificate(&tls::peer_certificate(client_connection(txn)?)?, field)
        }
        Fact::UpstreamTlsVersion => tls::version(origin_connection(txn)?).map(FactValue::Bytes),
        Fact::UpstreamPeerCertificate(field) => {
            certificate(&tls::peer_certificate(origin_connection(txn)?)?, field)
        }
        Fact::UpstreamLocalCertificate(field) => {
            certificate(&tls::local_certificate(origin_connection(txn)?)?, field)
        }
        _ => None,
    }
}

fn certificate(der: &[u8], field: weir_host::CertificateField) -> Option<FactValue> {
    weir_chain::certificate_field(der, field).map(|text| FactValue::Bytes(text.into_bytes()))
}

/// A moment of a transaction in nanoseconds since 1970, once it has passed.
pub(crate) fn milestone(txn: TSHttpTxn, milestone: TSMilestonesType) -> Option<u64> {
    let mut time = 0;
    // SAFETY: the transaction exists; the getter writes to `time`.
    let known = unsafe { TSHttpTxnMilestoneGet(txn, milestone, &mut time) };
    (known == TS_SUCCESS && time > 0).then_some(time.cast_unsigned())
}

/// The side that has broken off, in Envoy's response flags; 0 for none.
pub(crate) fn abort_flag(txn: TSHttpTxn) -> i64 {
    let mut by_client = false;
    // SAFETY: the transaction exists; 10.x writes to the place it is given.
    if unsafe { TSHttpTxnAborted(txn, &mut by_client) } != TS_SUCCESS {
        return 0;
    }
    // 9.2 does not say who it was, but whose side was closed first.
    let client_left = || {
        let closed = milestone(txn, TS_MILESTONE_UA_CLOSE)?;
        Some(milestone(txn, TS_MILESTONE_SERVER_CLOSE).is_none_or(|server| closed < server))
    };
    if by_client || (!weir_ats_sys::version().at_least(10, 0) && client_left() == Some(true)) {
        flags::DOWNSTREAM_TERMINATION
    } else {
        flags::UPSTREAM_REMOTE_RESET
    }
}

fn span(from: u64, to: u64) -> Option<FactValue> {
    Some(FactValue::Duration(Duration::from_nanos(to.checked_sub(from)?)))
}

/// The host that the request goes to, which is what the server has of clusters.
fn next_hop(txn: TSHttpTxn) -> Option<Vec<u8>> {
    // SAFETY: the transaction exists; the text ends with NUL, or is null.
    unsafe {
        let name = weir_ats_sys::TSHttpTxnNextHopNameGet(txn);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_bytes().to_vec())
    }
}

/// The host that a remap rule sends the request to, once one has matched: the next hop is known later.
fn mapped_host(txn: TSHttpTxn) -> Option<Vec<u8>> {
    let (mut buffer, mut request, mut url) = (TSMBuffer::NULL, TSMLoc::NULL, TSMLoc::NULL);
    // SAFETY: the transaction exists; the getters write to the places they are given. The URL is the rule's, which lies in no
    // buffer; the request's stands in for it.
    unsafe {
        let known = TSHttpTxnClientReqGet(txn, &mut buffer, &mut request) == TS_SUCCESS
            && TSRemapToUrlGet(txn, &mut url) == TS_SUCCESS;
        if !known || url.is_null() {
            return None;
        }
        let mut len: c_int = 0;
        let host = mime::bytes(TSUrlHostGet(buffer, url, &mut len), len);
        (!host.is_empty()).then(|| host.to_vec())
    }
}

/// The duration of a transaction so far.
pub(crate) fn elapsed(txn: TSHttpTxn) -> Option<Duration> {
    let begun = UNIX_EPOCH + Duration::from_nanos(milestone(txn, TS_MILESTONE_UA_BEGIN)?);
    SystemTime::now().duration_since(begun).ok()
}

/// The client's protocol, in Envoy's words.
fn protocol(txn: TSHttpTxn) -> &'static str {
    let mut protocols: [*const c_char; 8] = [std::ptr::null(); 8];
    let mut count: c_int = 0;
    // SAFETY: the transaction exists; as many entries are written as the array has.
    let known = unsafe { TSHttpTxnClientProtocolStackGet(txn, 8, protocols.as_mut_ptr(), &mut count) };
    let count = usize::try_from(count).unwrap_or(0).min(protocols.len());
    let mut name = "HTTP/1.1";
    for protocol in &protocols[..if known == TS_SUCCESS { count } else { 0 }] {
        if protocol.is_null() {
            continue;
        }
        // SAFETY: the entries are static texts of the server's that end with NUL.
        match unsafe { CStr::from_ptr(*protocol) }.to_bytes() {
            b"h2" => name = "HTTP/2",
            b"h3" => name = "HTTP/3",
            b"http/1.0" => name = "HTTP/1.0",
            _ => {}
        }
    }
    name
}

/// True if the client came in over TLS.
pub(crate) fn is_tls(txn: TSHttpTxn) -> bool {
    client_connection(txn).is_some_and(tls::is_tls)
}

fn client_connection(txn: TSHttpTxn) -> Option<TSVConn> {
    // SAFETY: the transaction exists; it may have lost its session.
    let session = unsafe { TSHttpTxnSsnGet(txn) };
    if session.is_null() {
        return None;
    }
    // SAFETY: the session exists while its transaction does.
    let connection = unsafe { TSHttpSsnClientVConnGet(session) };
    (!connection.is_null()).then_some(connection)
}

fn origin_connection(txn: TSHttpTxn) -> Option<TSVConn> {
    // SAFETY: the transaction exists.
    let connection = unsafe { weir_ats_sys::TSHttpTxnServerVConnGet(txn) };
    (!connection.is_null()).then_some(connection)
}

fn connection_id(txn: TSHttpTxn) -> i64 {
    // SAFETY: the transaction exists; it may have lost its session.
    let session = unsafe { TSHttpTxnSsnGet(txn) };
    if session.is_null() {
        return 0;
    }
    // SAFETY: the session exists while its transaction does.
    unsafe { weir_ats_sys::TSHttpSsnIdGet(session) }
}

fn address(address: *const libc::sockaddr) -> Option<FactValue> {
    socket_address(address).map(FactValue::Address)
}

/// The address that the server gives; `None` where there is none.
pub(super) fn socket_address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: the server's getters give null or an address of the family that it says.
    let family = c_int::from(unsafe { (*address).sa_family });
    Some(match family {
        libc::AF_INET => {
            // SAFETY: the family says that it is an IPv4 address; 9.2 and 10 point into their own, properly aligned, unions of addresses.
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            SocketAddr::new(IpAddr::V4(ip), u16::from_be(address.sin_port))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is an IPv6 address, in a union of addresses that has room for one.
            let address = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            SocketAddr::new(IpAddr::V6(ip), u16::from_be(address.sin6_port))
        }
        _ => return None,
    })
}
