//! Envoy's property names and where their values come from.

use std::cmp::Ordering;

use weir_abi::MapType;

use self::Answer::{
    Composite, EmptyMessage, Fact, GrpcStatus, Header, Map, MapBytes, PluginName, PluginRootId, PluginVmId,
    Port, Query, ResponseCode, UrlPath,
};
use crate::CertificateField;
use crate::Fact::*;

/// The origin of a property's value, and so its encoding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Answer {
    /// The first field line of this name: bytes.
    Header(MapType, &'static [u8]),
    /// A header map: pairs.
    Map(MapType),
    /// Bytes of the names and values of a header map: integer.
    MapBytes(MapType),
    /// `:path` up to the query: bytes.
    UrlPath,
    /// `:path` behind the `?`, without fragment; empty where there is none: bytes.
    Query,
    /// `:status`: integer.
    ResponseCode,
    /// `grpc-status` of the trailers, else of the headers: integer.
    GrpcStatus,
    /// A fact that the proxy knows, encoded after its kind.
    Fact(crate::Fact),
    /// Port of an address that the proxy knows: integer.
    Port(crate::Fact),
    /// `PluginSpec::name`.
    PluginName,
    /// `PluginSpec::root_id`.
    PluginRootId,
    /// `VmSpec::vm_id`.
    PluginVmId,
    /// A protobuf message that has no fields set in this host: no bytes.
    EmptyMessage,
    /// A group of properties, which has no encoding of its own.
    Composite,
}

/// The answer for a path, its segments joined by NUL.
pub(super) fn find(path: &[u8]) -> Option<Answer> {
    let row = TABLE.binary_search_by(|(name, _)| compare(name, path)).ok()?;
    TABLE.get(row).map(|(_, answer)| *answer)
}

/// Compares a dotted name of the table with a path.
fn compare(name: &str, path: &[u8]) -> Ordering {
    name.bytes()
        .map(|byte| if byte == b'.' { 0 } else { byte })
        .cmp(path.iter().copied())
}

/// Envoy's names in its documentation's notation: a dot stands for the NUL between segments. Sorted, to be searched.
///
/// The names that stand here with and without `xds.` lost their short form in newer Envoys; older modules use it.
/// `upstream.local_port` is Traffic Server's.
pub(super) const TABLE: &[(&str, Answer)] = &[
    ("cluster_name", Fact(ClusterName)),
    ("connection", Composite),
    (
        "connection.dns_san_local_certificate",
        Fact(ConnectionLocalCertificate(CertificateField::DnsSan)),
    ),
    (
        "connection.dns_san_peer_certificate",
        Fact(ConnectionPeerCertificate(CertificateField::DnsSan)),
    ),
    ("connection.id", Fact(ConnectionId)),
    ("connection.mtls", Fact(ConnectionMtls)),
    (
        "connection.peer_certificate",
        Fact(ConnectionPeerCertificate(CertificateField::Pem)),
    ),
    (
        "connection.requested_server_name",
        Fact(ConnectionRequestedServerName),
    ),
    (
        "connection.sha256_peer_certificate_digest",
        Fact(ConnectionPeerCertificate(CertificateField::Sha256Digest)),
    ),
    (
        "connection.subject_local_certificate",
        Fact(ConnectionLocalCertificate(CertificateField::Subject)),
    ),
    (
        "connection.subject_peer_certificate",
        Fact(ConnectionPeerCertificate(CertificateField::Subject)),
    ),
    (
        "connection.termination_details",
        Fact(ConnectionTerminationDetails),
    ),
    ("connection.tls_version", Fact(ConnectionTlsVersion)),
    (
        "connection.transport_failure_reason",
        Fact(ConnectionTransportFailureReason),
    ),
    (
        "connection.uri_san_local_certificate",
        Fact(ConnectionLocalCertificate(CertificateField::UriSan)),
    ),
    (
        "connection.uri_san_peer_certificate",
        Fact(ConnectionPeerCertificate(CertificateField::UriSan)),
    ),
    ("destination", Composite),
    ("destination.address", Fact(DestinationAddress)),
    ("destination.port", Port(DestinationAddress)),
    ("filter_chain_name", Fact(FilterChainName)),
    ("filter_state", Composite),
    ("listener_direction", Fact(ListenerDirection)),
    ("metadata", EmptyMessage),
    ("node", EmptyMessage),
    ("plugin_name", PluginName),
    ("plugin_root_id", PluginRootId),
    ("plugin_vm_id", PluginVmId),
    ("request", Composite),
    ("request.duration", Fact(RequestDuration)),
    ("request.headers", Map(MapType::HttpRequestHeaders)),
    ("request.headers_bytes", MapBytes(MapType::HttpRequestHeaders)),
    ("request.host", Header(MapType::HttpRequestHeaders, b":authority")),
    ("request.id", Header(MapType::HttpRequestHeaders, b"x-request-id")),
    ("request.method", Header(MapType::HttpRequestHeaders, b":method")),
    ("request.path", Header(MapType::HttpRequestHeaders, b":path")),
    ("request.protocol", Fact(RequestProtocol)),
    ("request.query", Query),
    ("request.referer", Header(MapType::HttpRequestHeaders, b"referer")),
    ("request.scheme", Header(MapType::HttpRequestHeaders, b":scheme")),
    ("request.size", Fact(RequestSize)),
    ("request.time", Fact(RequestTime)),
    ("request.total_size", Fact(RequestTotalSize)),
    ("request.trailers", Map(MapType::HttpRequestTrailers)),
    ("request.url_path", UrlPath),
    (
        "request.useragent",
        Header(MapType::HttpRequestHeaders, b"user-agent"),
    ),
    ("response", Composite),
    ("response.backend_latency", Fact(ResponseBackendLatency)),
    ("response.code", ResponseCode),
    ("response.code_details", Fact(ResponseCodeDetails)),
    ("response.flags", Fact(ResponseFlags)),
    ("response.grpc_status", GrpcStatus),
    ("response.headers", Map(MapType::HttpResponseHeaders)),
    ("response.headers_bytes", MapBytes(MapType::HttpResponseHeaders)),
    ("response.size", Fact(ResponseSize)),
    ("response.total_size", Fact(ResponseTotalSize)),
    ("response.trailers", Map(MapType::HttpResponseTrailers)),
    ("route_name", Fact(RouteName)),
    ("source", Composite),
    ("source.address", Fact(SourceAddress)),
    ("source.port", Port(SourceAddress)),
    ("upstream", Composite),
    ("upstream.address", Fact(UpstreamAddress)),
    ("upstream.cx_pool_ready_duration", Fact(UpstreamPoolReadyDuration)),
    (
        "upstream.dns_san_local_certificate",
        Fact(UpstreamLocalCertificate(CertificateField::DnsSan)),
    ),
    (
        "upstream.dns_san_peer_certificate",
        Fact(UpstreamPeerCertificate(CertificateField::DnsSan)),
    ),
    ("upstream.local_address", Fact(UpstreamLocalAddress)),
    ("upstream.local_port", Port(UpstreamLocalAddress)),
    ("upstream.num_endpoints", Fact(UpstreamNumEndpoints)),
    (
        "upstream.peer_certificate",
        Fact(UpstreamPeerCertificate(CertificateField::Pem)),
    ),
    ("upstream.port", Port(UpstreamAddress)),
    (
        "upstream.request_attempt_count",
        Fact(UpstreamRequestAttemptCount),
    ),
    (
        "upstream.sha256_peer_certificate_digest",
        Fact(UpstreamPeerCertificate(CertificateField::Sha256Digest)),
    ),
    (
        "upstream.subject_local_certificate",
        Fact(UpstreamLocalCertificate(CertificateField::Subject)),
    ),
    (
        "upstream.subject_peer_certificate",
        Fact(UpstreamPeerCertificate(CertificateField::Subject)),
    ),
    ("upstream.tls_version", Fact(UpstreamTlsVersion)),
    (
        "upstream.transport_failure_reason",
        Fact(UpstreamTransportFailureReason),
    ),
    (
        "upstream.uri_san_local_certificate",
        Fact(UpstreamLocalCertificate(CertificateField::UriSan)),
    ),
    (
        "upstream.uri_san_peer_certificate",
        Fact(UpstreamPeerCertificate(CertificateField::UriSan)),
    ),
    ("virtual_host_name", Fact(VirtualHostName)),
    ("xds", Composite),
    ("xds.cluster_name", Fact(ClusterName)),
    ("xds.filter_chain_name", Fact(FilterChainName)),
    ("xds.listener_direction", Fact(ListenerDirection)),
    ("xds.node", EmptyMessage),
    ("xds.route_name", Fact(RouteName)),
    ("xds.virtual_host_name", Fact(VirtualHostName)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_dots_do_not_separate() {
        for (name, answer) in TABLE {
            assert_eq!(
                find(name.replace('.', "\0").as_bytes()),
                Some(*answer),
                "{name}: is the table sorted?"
            );
            if name.contains('.') {
                assert_eq!(find(name.as_bytes()), None, "{name}");
            }
        }
        assert_eq!(find(b""), None);
        assert_eq!(find(b"request\0pat"), None);
        assert_eq!(find(b"request\0path\0"), None);
    }
}
