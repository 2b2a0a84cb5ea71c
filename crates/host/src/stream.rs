//! What a proxy offers about one stream: its header maps, bodies, facts and the things a filter may ask of it.

use std::any::Any;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use weir_abi::{BufferType, MapType, StreamType};

/// One stream (an HTTP request with its response, or a TCP connection) as one filter of its chain sees it.
///
/// The proxy makes one handle for each filter of the chain; the VM owns it from [`Vm::create_stream`](crate::Vm::create_stream)
/// to [`Vm::finish_stream`](crate::Vm::finish_stream), because a guest may reach a stream from a tick or the result of a call,
/// by making its context effective. All methods are called from inside hostcalls, so they must be quick, must not block,
/// and **must never call into a VM**: what a guest asks for is noted and carried out after the callback has returned.
///
/// Header names arrive in lower case. Pseudo-headers (`:method`, `:status`, ...) are ordinary names of these maps. For
/// [`MapType::HttpRequestHeaders`] the host has already mapped `host` to `:authority`.
///
/// A proxy's own foreign functions find its handle again with [`ForeignCall::stream_as`](crate::ForeignCall::stream_as),
/// which is why a handle borrows nothing ([`Any`]).
pub trait Stream: Send + Any {
    /// Appends the value of the first field line called `name` to `out`.
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup;

    /// Calls `visit` with each field line in order, pseudo-headers first.
    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup;

    /// Changes a header map. Trailers that do not exist are made where the message can still carry them.
    fn edit_headers(&mut self, map: MapType, edit: HeaderEdit<'_>) -> Edit;

    /// Length in bytes of a body as this filter may read it now, and whether it is complete. `None` where there is none
    /// in this phase. Only the four buffers of streams are asked for.
    fn buffer(&self, buffer: BufferType) -> Option<BufferStatus>;

    /// Copies `out.len()` bytes from `start` on. The host stays within the length that [`Stream::buffer`] gave.
    fn read_buffer(&self, buffer: BufferType, start: usize, out: &mut [u8]);

    /// Replaces `len` bytes from `start` on by `data`. The host stays within the length that [`Stream::buffer`] gave.
    fn splice_buffer(&mut self, buffer: BufferType, start: usize, len: usize, data: &[u8]) -> Edit;

    /// What the proxy knows about the stream beyond its headers. The host owns names and encodings.
    fn fact(&self, fact: Fact) -> Option<FactValue>;

    /// A property outside of Envoy's list (such as `ats.*`), path segments joined by NUL; its encoded bytes go to `out`.
    fn custom_property(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        let _ = (path, out);
        false
    }

    /// The stream's own notes, shared by all filters of the chain: what `proxy_set_property` stored.
    fn filter_state(&self, path: &[u8], out: &mut Vec<u8>) -> bool;

    /// Stores a note for this and later filters. `false` where the stream holds too much already.
    fn set_filter_state(&mut self, path: &[u8], value: &[u8]) -> bool;

    /// The filter wants a paused direction to go on. Not paused: nothing happens.
    fn resume(&mut self, direction: StreamType);

    /// The filter wants the stream to be reset.
    fn close(&mut self, direction: StreamType);

    /// The filter answers by itself. `false` where response headers have gone out or a reply has been given already.
    fn send_local_response(&mut self, response: LocalResponse) -> bool;

    /// The filter changed what routes are chosen by; the route is looked up again if it can still matter.
    fn clear_route_cache(&mut self) {}

    /// The filter wants to see no more of the body in this direction (foreign function `decline_body`): from the next
    /// piece on, the stream goes on as if the module did not export the body callback. A proxy that cannot do that goes on
    /// calling.
    fn decline_body(&mut self, direction: StreamType) {
        let _ = direction;
    }

    /// The VM of this filter has died. A stream that waits for it gets the fail policy now. The handle is dropped next.
    fn vm_died(&mut self);
}

/// Whether a map exists, and whether it has the name asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Found (or, for a whole map: it exists).
    Found,
    /// The map exists, the name does not.
    Missing,
    /// There is no such map in this phase.
    NoMap,
    /// It cannot be looked at now, because somebody else is at work on the stream.
    Busy,
}

/// A change to a header map.
#[derive(Clone, Copy, Debug)]
pub enum HeaderEdit<'a> {
    /// Appends a field line. On pseudo-headers, `host` and `content-length`: replaces.
    Add(&'a [u8], &'a [u8]),
    /// Replaces all field lines of a name by one at the place of the first; adds it if absent.
    Replace(&'a [u8], &'a [u8]),
    /// Removes all field lines of a name.
    Remove(&'a [u8]),
    /// Replaces the whole map. Pseudo-headers that are missing keep their value.
    SetAll(&'a [(&'a [u8], &'a [u8])]),
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Done.
    Done,
    /// Too late: the message has been sent on. Nothing changed.
    TooLate,
    /// The name or value cannot stand in a message. Nothing changed.
    Invalid,
    /// There is no such map or buffer on this stream. Nothing changed.
    Absent,
    /// It cannot be changed now, because somebody else is at work on the stream. Nothing changed.
    Busy,
}

/// State of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferStatus {
    /// Bytes that can be read now.
    pub len: usize,
    /// Nothing follows.
    pub end_of_stream: bool,
}

/// An answer that a filter gives instead of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    /// HTTP status, 100 to 599 (anything else has been turned into 500).
    pub status: u16,
    /// Why, for the access log; white space replaced by `_`.
    pub details: String,
    /// Header lines to add, names in lower case.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body; may be empty.
    pub body: Vec<u8>,
    /// gRPC status 0 to 16 for gRPC requests.
    pub grpc_status: Option<u32>,
}

/// One thing that a proxy knows about a stream. The table of property names is in `property.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// Address of the client: [`FactValue::Address`].
    SourceAddress,
    /// Address the client connected to: [`FactValue::Address`].
    DestinationAddress,
    /// When the request began: [`FactValue::Time`].
    RequestTime,
    /// From the first byte of the request to the last of the response; only at the end: [`FactValue::Duration`].
    RequestDuration,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`: [`FactValue::Bytes`].
    RequestProtocol,
    /// Bytes of request body so far: [`FactValue::Int`].
    RequestSize,
    /// Bytes of request headers, body and trailers so far: [`FactValue::Int`].
    RequestTotalSize,
    /// Bytes of response body so far: [`FactValue::Int`].
    ResponseSize,
    /// Bytes of response headers, body and trailers so far: [`FactValue::Int`].
    ResponseTotalSize,
    /// Why the response is what it is, such as `via_upstream`: [`FactValue::Bytes`].
    ResponseCodeDetails,
    /// Envoy's response flags as a bit set: [`FactValue::Int`].
    ResponseFlags,
    /// From the request sent upstream to the first byte of the response: [`FactValue::Duration`].
    ResponseBackendLatency,
    /// Number of the downstream connection: [`FactValue::Int`].
    ConnectionId,
    /// Whether the client showed a certificate that was verified: [`FactValue::Bool`].
    ConnectionMtls,
    /// SNI: [`FactValue::Bytes`].
    ConnectionRequestedServerName,
    /// `TLSv1.2` or `TLSv1.3`: [`FactValue::Bytes`].
    ConnectionTlsVersion,
    /// A field of the server's certificate towards the client: [`FactValue::Bytes`].
    ConnectionLocalCertificate(CertificateField),
    /// A field of the client's certificate: [`FactValue::Bytes`].
    ConnectionPeerCertificate(CertificateField),
    /// Why the client's connection broke: [`FactValue::Bytes`].
    ConnectionTerminationDetails,
    /// Why TLS towards the client failed: [`FactValue::Bytes`].
    ConnectionTransportFailureReason,
    /// Address of the upstream: [`FactValue::Address`].
    UpstreamAddress,
    /// Our address towards the upstream: [`FactValue::Address`].
    UpstreamLocalAddress,
    /// TLS version towards the upstream: [`FactValue::Bytes`].
    UpstreamTlsVersion,
    /// A field of our certificate towards the upstream: [`FactValue::Bytes`].
    UpstreamLocalCertificate(CertificateField),
    /// A field of the upstream's certificate: [`FactValue::Bytes`].
    UpstreamPeerCertificate(CertificateField),
    /// Why TLS or the connection towards the upstream failed: [`FactValue::Bytes`].
    UpstreamTransportFailureReason,
    /// Number of attempts made towards the upstream: [`FactValue::Int`].
    UpstreamRequestAttemptCount,
    /// Endpoints of the upstream: [`FactValue::Int`].
    UpstreamNumEndpoints,
    /// Time to get a connection to the upstream: [`FactValue::Duration`].
    UpstreamPoolReadyDuration,
    /// Name of the upstream (Envoy's cluster): [`FactValue::Bytes`].
    ClusterName,
    /// Name of the route: [`FactValue::Bytes`].
    RouteName,
    /// Name of the virtual host: [`FactValue::Bytes`].
    VirtualHostName,
    /// Name of the listener's filter chain: [`FactValue::Bytes`].
    FilterChainName,
    /// 1 inbound, 2 outbound: [`FactValue::Int`].
    ListenerDirection,
}

/// A field of an X.509 certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateField {
    /// Subject, RFC 2253.
    Subject,
    /// First DNS name of the subject alternative names.
    DnsSan,
    /// First URI of the subject alternative names.
    UriSan,
    /// SHA-256 of the DER form, hex.
    Sha256Digest,
    /// The certificate itself, PEM, URL-encoded.
    Pem,
}

/// The value of a [`Fact`].
#[derive(Clone, Debug, PartialEq)]
pub enum FactValue {
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// Integer.
    Int(i64),
    /// Truth.
    Bool(bool),
    /// A moment.
    Time(SystemTime),
    /// A span.
    Duration(Duration),
    /// Address and port.
    Address(SocketAddr),
}
