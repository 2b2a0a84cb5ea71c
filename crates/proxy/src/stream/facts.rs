//! The proxy's facts about a stream beyond its messages (properties, access log).

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, StatusCode, Version};
use hyper::ext::ReasonPhrase;
use weir_chain::{Direction, Facts, FieldLines};
use weir_host::{CertificateField, Fact, FactValue};
use weir_http_rules::{fields, flags};
use weir_outbound::Established;

use crate::stream::ProxyMessages;
use crate::tls::TlsSession;
use crate::watched_io::Activity;

/// Facts that hold for all streams of a client connection.
#[derive(Debug)]
pub(crate) struct ConnectionFacts {
    /// Number of the connection in this process.
    pub id: u64,
    /// The client.
    pub peer: SocketAddr,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// Set under TLS.
    pub tls: Option<TlsSession>,
    /// What it is doing.
    pub activity: Arc<Activity>,
}

/// Facts about one stream.
#[derive(Debug)]
pub(crate) struct StreamFacts {
    /// The client's connection.
    pub connection: Arc<ConnectionFacts>,
    /// The moment at which the request came, by the calendar.
    pub began: SystemTime,
    /// The moment at which the request came.
    pub began_at: Instant,
    /// The moment at which the end of the request had been given to the upstream's connection.
    pub request_sent_at: Option<Instant>,
    /// Since when the upstream's connection has had all of the request that it asked for, and has asked for no more. `None`
    /// while it waits for the client or a filter.
    pub offered_at: Option<Instant>,
    /// The request has been read to its end.
    pub request_ended: bool,
    /// The moment at which a byte last moved.
    pub moved_at: Instant,
    /// The moment at which a filter was first seen to hold the stream, in the wait that goes on.
    pub held_at: Option<Instant>,
    /// The duration of the stream; known at the end.
    pub duration: Option<Duration>,
    /// Body bytes from the client.
    pub request_body: u64,
    /// Body bytes to the client.
    pub response_body: u64,
    /// Why the response is what it is.
    pub details: Cow<'static, str>,
    /// Envoy's response flags.
    pub flags: i64,
    /// From the request sent upstream to its response's head.
    pub backend_latency: Option<Duration>,
    /// The upstream's connection.
    pub upstream: Option<UpstreamFacts>,
    /// The protocol that the upstream changed to (`upgrade`).
    pub switched_to: Option<HeaderValue>,
    /// The status of the upstream's response, and its reason phrase where that is not the usual one.
    pub reason: Option<(StatusCode, ReasonPhrase)>,
    /// Why the upstream could not be reached.
    pub upstream_failure: Option<String>,
    /// Name of the route.
    pub route: Arc<str>,
    /// Name of the upstream.
    pub cluster: Arc<str>,
    /// Endpoints of the upstream.
    pub endpoints: usize,
}

/// Facts about the upstream's side.
#[derive(Debug)]
pub(crate) struct UpstreamFacts {
    /// The connection.
    pub connection: Established,
    /// From asking for a connection to having one.
    pub time_to_connection: Duration,
    /// Connections tried.
    pub attempts: u32,
}

impl StreamFacts {
    /// The facts that are known when a request has just come.
    pub fn new(
        connection: Arc<ConnectionFacts>,
        route: Arc<str>,
        cluster: Arc<str>,
        endpoints: usize,
    ) -> Self {
        let now = Instant::now();
        Self {
            connection,
            began: SystemTime::now(),
            began_at: now,
            request_sent_at: None,
            offered_at: None,
            request_ended: false,
            moved_at: now,
            held_at: None,
            duration: None,
            request_body: 0,
            response_body: 0,
            details: Cow::Borrowed(""),
            flags: 0,
            backend_latency: None,
            upstream: None,
            switched_to: None,
            reason: None,
            upstream_failure: None,
            route,
            cluster,
            endpoints,
        }
    }
}

impl StreamFacts {
    /// Since when it is the upstream's turn: it has the whole request, or takes no more of it.
    pub fn upstreams_turn(&self) -> Option<Instant> {
        self.request_sent_at.or(self.offered_at)
    }
}

impl Facts for StreamFacts {
    fn fact(messages: &ProxyMessages, asked: Fact) -> Option<FactValue> {
        fact(messages, asked)
    }

    fn source_failed(&mut self, direction: Direction) {
        self.flags |= match direction {
            Direction::Request => flags::DOWNSTREAM_TERMINATION,
            Direction::Response => flags::UPSTREAM_REMOTE_RESET,
        };
    }
}

fn fact(messages: &ProxyMessages, fact: Fact) -> Option<FactValue> {
    let facts = &messages.facts;
    let connection = &*facts.connection;
    let upstream = facts.upstream.as_ref();
    let bytes = |text: &str| Some(FactValue::Bytes(text.as_bytes().to_vec()));
    let int = |number: u64| Some(FactValue::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    match fact {
        Fact::SourceAddress => Some(FactValue::Address(connection.peer)),
        Fact::DestinationAddress => Some(FactValue::Address(connection.local)),
        Fact::RequestTime => Some(FactValue::Time(facts.began)),
        Fact::RequestDuration => facts.duration.map(FactValue::Duration),
        Fact::RequestProtocol => bytes(protocol_name(messages.request.version)),
        Fact::RequestSize => int(facts.request_body),
        Fact::RequestTotalSize => int(facts.request_body
            + head_size(&messages.request)
            + trailers_size(messages.request_trailers.as_ref())),
        Fact::ResponseSize => int(facts.response_body),
        Fact::ResponseTotalSize => {
            let head = messages.response.as_ref().map_or(0, |head| head_size(head));
            int(facts.response_body + head + trailers_size(messages.response_trailers.as_ref()))
        }
        Fact::ResponseCodeDetails => (!facts.details.is_empty())
            .then(|| bytes(&facts.details))
            .flatten(),
        Fact::ResponseFlags => Some(FactValue::Int(facts.flags)),
        Fact::ResponseBackendLatency => facts.backend_latency.map(FactValue::Duration),
        Fact::ConnectionId => int(connection.id),
        Fact::ConnectionMtls => Some(FactValue::Bool(
            connection
                .tls
                .as_ref()
                .is_some_and(|tls| tls.peer_certificate.is_some()),
        )),
        Fact::ConnectionRequestedServerName => bytes(connection.tls.as_ref()?.server_name.as_deref()?),
        Fact::ConnectionTlsVersion => bytes(connection.tls.as_ref()?.version),
        Fact::ConnectionLocalCertificate(field) => {
            certificate_field(connection.tls.as_ref()?.local_certificate.as_deref()?, field)
        }
        Fact::ConnectionPeerCertificate(field) => {
            certificate_field(connection.tls.as_ref()?.peer_certificate.as_deref()?, field)
        }
        Fact::UpstreamAddress => Some(FactValue::Address(upstream?.connection.peer_addr)),
        Fact::UpstreamLocalAddress => Some(FactValue::Address(upstream?.connection.local_addr)),
        Fact::UpstreamTlsVersion => bytes(upstream?.connection.tls.as_ref()?.version),
        Fact::UpstreamPeerCertificate(field) => certificate_field(
            upstream?.connection.tls.as_ref()?.peer_certificate.as_deref()?,
            field,
        ),
        Fact::UpstreamTransportFailureReason => bytes(facts.upstream_failure.as_deref()?),
        Fact::UpstreamRequestAttemptCount => int(upstream?.attempts.into()),
        Fact::UpstreamNumEndpoints => int(facts.endpoints as u64),
        Fact::UpstreamPoolReadyDuration => Some(FactValue::Duration(upstream?.time_to_connection)),
        Fact::ClusterName => bytes(&facts.cluster),
        Fact::RouteName => bytes(&facts.route),
        Fact::ListenerDirection => Some(FactValue::Int(1)),
        // Known to no HTTP proxy of this make: virtual hosts, named filter chains, the reasons of broken connections.
        _ => None,
    }
}

/// The names that Envoy gives to versions.
pub(crate) fn protocol_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn certificate_field(der: &[u8], field: CertificateField) -> Option<FactValue> {
    weir_chain::certificate_field(der, field).map(|text| FactValue::Bytes(text.into_bytes()))
}

fn head_size(head: &dyn FieldLines) -> u64 {
    let mut bytes = 0;
    head.visit(&mut |name, value| bytes += (name.len() + value.len()) as u64);
    bytes
}

fn trailers_size(trailers: Option<&http::HeaderMap>) -> u64 {
    trailers.map_or(0, |trailers| fields::byte_size(trailers) as u64)
}
