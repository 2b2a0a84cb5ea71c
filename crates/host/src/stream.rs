//! A stream as the proxy shows it to a guest: header maps, bodies, facts, and requests that a filter may make of it.

use std::any::Any;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use weir_abi::{BufferType, MapType, StreamType};
use weir_account::Full;

/// One stream (an HTTP request with its response, or a TCP connection) as one filter of its chain sees it.
///
/// The proxy makes one handle for each filter of the chain and gives it to [`Vm::create_stream`](crate::Vm::create_stream).
/// The VM owns the handle until [`Vm::finish_stream`](crate::Vm::finish_stream) answers
/// [`Finish::Complete`](crate::Finish::Complete), because a guest may reach the stream from a tick or from the result of a
/// call, by making its context effective.
///
/// Every method is called from inside a hostcall: it returns within microseconds, does not block, and **never calls into a
/// VM**. The proxy notes a request of the guest and carries it out after the callback has returned.
///
/// Header names arrive in lower case, in whole maps too. Pseudo-headers (`:method`, `:status`, ...) are ordinary names of
/// these maps. For
/// [`MapType::HttpRequestHeaders`] the host has already mapped `host` to `:authority`. The maps and buffers of calls
/// ([`MapType::HttpCallResponseHeaders`], ...) belong to the host; a handle is not asked for them.
///
/// A proxy's own foreign functions find its handle again with [`ForeignCall::stream_as`](crate::ForeignCall::stream_as),
/// which is why a handle borrows nothing ([`Any`]).
pub trait Stream: Send + Any {
    /// Appends the value of the first field line called `name` to `out`, and nothing unless the answer is
    /// [`Lookup::Found`].
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup;

    /// Calls `visit` with name and value of each field line in order, pseudo-headers first. Two calls within one hostcall
    /// visit the same lines: the host measures the map, then copies it.
    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup;

    /// Changes a header map, all of the change or nothing. Creates trailers where the message has none and can still carry
    /// them.
    fn edit_headers(&mut self, map: MapType, edit: HeaderEdit<'_>) -> Edit;

    /// The body that this filter may read now: the chunk of the running callback, or everything that was held back. `None`
    /// in a phase without body. The host asks for the four buffers of streams only.
    fn buffer(&self, buffer: BufferType) -> Option<BufferStatus>;

    /// Copies bytes `start..start + out.len()` of the buffer to `out`. The host stays within the length of
    /// [`Stream::buffer`].
    fn read_buffer(&self, buffer: BufferType, start: usize, out: &mut [u8]);

    /// Replaces bytes `start..start + len` of the buffer by `data`. The host stays within the length of
    /// [`Stream::buffer`]; `start` at that length appends.
    fn splice_buffer(&mut self, buffer: BufferType, start: usize, len: usize, data: &[u8]) -> Edit;

    /// A fact about the stream beyond its headers; `None` where the proxy does not know it, or does not know it yet. The
    /// host owns the names of properties and their encoding.
    fn fact(&self, fact: Fact) -> Option<FactValue>;

    /// Appends the encoded bytes of a property of the proxy's own (such as `ats.*`) to `out`; the segments of `path` are
    /// joined by NUL. The host asks for paths that Envoy's list lacks. False for an unknown path.
    fn custom_property(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        let _ = (path, out);
        false
    }

    /// Appends the note that a filter of this stream stored under `path` to `out`. False where there is none.
    fn filter_state(&self, path: &[u8], out: &mut Vec<u8>) -> bool;

    /// Stores a note for all filters of the stream. False where the stream would hold more than
    /// [`MAX_STREAM_STATE_BYTES`](weir_abi::limits::MAX_STREAM_STATE_BYTES), or the VM's account has no room; then the guest
    /// gets Ok, since SDKs take nothing else, and a warning says that the note was dropped.
    fn set_filter_state(&mut self, path: &[u8], value: &[u8]) -> bool;

    /// Resumes a direction that this filter has paused, after the callback. A direction that flows is left as it is.
    fn resume(&mut self, direction: StreamType);

    /// Resets the stream after the callback. An HTTP exchange ends in both directions, whichever is named.
    fn close(&mut self, direction: StreamType);

    /// Answers the request with a response of the filter's own, after the callback. False where response headers have been
    /// sent, or a filter has answered already; then the guest is told as `strict` says.
    fn send_local_response(&mut self, response: LocalResponse) -> bool;

    /// Chooses the route anew after the callback, where the request has not been sent yet: the filter changed headers that
    /// routes depend on.
    fn clear_route_cache(&mut self) {}

    /// Shows this filter no more of the body in this direction (foreign function `decline_body`): from the next chunk on,
    /// the stream flows as if the module did not export the body callback. A proxy may ignore the request.
    fn decline_body(&mut self, direction: StreamType) {
        let _ = direction;
    }

    /// Returns true while this filter holds the stream in any direction. Answers that such a stream may wait for are never put
    /// off.
    fn is_held(&self) -> bool {
        false
    }

    /// The VM of this filter has died. A stream that waits for the filter gets the fail policy now. The host drops the
    /// handle next.
    fn vm_died(&mut self);
}

/// The result of a look into a header map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The map has the name; for a look at the whole map: the map exists.
    Found,
    /// The map exists, the name does not.
    Missing,
    /// There is no such map in this phase.
    NoMap,
    /// Another thread is at work on the stream, so the map cannot be read now. The guest gets `InternalFailure`.
    Busy,
}

/// A change to a header map. Fields that frame the message or belong to one connection are the proxy's: setting them is
/// taken and has no effect.
#[derive(Clone, Copy, Debug)]
pub enum HeaderEdit<'a> {
    /// Appends a field line. Replaces the value of a pseudo-header and of `host`.
    Add(&'a [u8], &'a [u8]),
    /// Replaces all field lines of a name by one at the place of the first; adds it if absent.
    Replace(&'a [u8], &'a [u8]),
    /// Removes all field lines of a name.
    Remove(&'a [u8]),
    /// Replaces the whole map. Pseudo-headers that are missing keep their value.
    SetAll(&'a [(&'a [u8], &'a [u8])]),
}

/// The result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The change has been made.
    Done,
    /// Too late: the message has been sent on. Nothing changed.
    TooLate,
    /// The name or value cannot stand in a message. Nothing changed.
    Invalid,
    /// There is no such map or buffer on this stream. Nothing changed.
    Absent,
    /// Another thread is at work on the stream. Nothing changed, and the guest gets `InternalFailure`.
    Busy,
    /// The VM's account has no room for the change. Nothing changed, and the stream ends, because the message must not go on
    /// without what a filter has put into it. The guest gets Ok.
    Full(Full),
}

/// State of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferStatus {
    /// Bytes that can be read now.
    pub len: usize,
    /// True if no more bytes follow.
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

/// A fact that a proxy knows about a stream. The host maps names of properties to facts.
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
    /// True if the client showed a certificate that was verified: [`FactValue::Bool`].
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
