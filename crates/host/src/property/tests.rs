use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use proptest::prelude::*;
use weir_abi::{BufferType, StreamType};

use super::table::TABLE;
use super::*;
use crate::{BufferStatus, CertificateField, Edit, HeaderEdit, LocalResponse, Pairs};

const PLUGIN: PluginIdentity<'_> = PluginIdentity {
    name: "filter",
    root_id: "root",
    vm_id: "vm",
};

/// A stream that knows what it is told.
#[derive(Default)]
pub(crate) struct Fake {
    maps: HashMap<u32, Pairs>,
    facts: Vec<(Fact, FactValue)>,
    pub notes: HashMap<Vec<u8>, Vec<u8>>,
    custom: HashMap<Vec<u8>, Vec<u8>>,
    pub full: bool,
    pub route_cache_cleared: bool,
    pub declined: Vec<StreamType>,
}

impl Fake {
    fn with_map(mut self, map: MapType, lines: &[(&str, &str)]) -> Self {
        let lines = lines
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        self.maps.insert(map.wire(), lines.collect());
        self
    }

    fn with_fact(mut self, fact: Fact, value: FactValue) -> Self {
        self.facts.push((fact, value));
        self
    }

    pub fn read(&self, dotted: &str) -> Result<Vec<u8>, Status> {
        self.read_path(dotted.replace('.', "\0").as_bytes())
    }

    fn read_path(&self, path: &[u8]) -> Result<Vec<u8>, Status> {
        // Bytes that lie in the buffer already must stay.
        let mut out = b"before".to_vec();
        read(path, Some(self), &PLUGIN, &mut out)?;
        Ok(out.strip_prefix(b"before").expect("appended").to_vec())
    }
}

impl Stream for Fake {
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        let Some(lines) = self.maps.get(&map.wire()) else {
            return Lookup::NoMap;
        };
        match lines.iter().find(|(key, _)| key == name) {
            Some((_, value)) => {
                out.extend_from_slice(value);
                Lookup::Found
            }
            None => Lookup::Missing,
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        let Some(lines) = self.maps.get(&map.wire()) else {
            return Lookup::NoMap;
        };
        lines.iter().for_each(|(name, value)| visit(name, value));
        Lookup::Found
    }

    fn fact(&self, fact: Fact) -> Option<FactValue> {
        self.facts
            .iter()
            .find(|(known, _)| *known == fact)
            .map(|(_, value)| value.clone())
    }

    fn custom_property(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        self.custom
            .get(path)
            .map(|value| out.extend_from_slice(value))
            .is_some()
    }

    fn filter_state(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        self.notes
            .get(path)
            .map(|value| out.extend_from_slice(value))
            .is_some()
    }

    fn set_filter_state(&mut self, path: &[u8], value: &[u8]) -> bool {
        if !self.full {
            self.notes.insert(path.to_vec(), value.to_vec());
        }
        !self.full
    }

    fn clear_route_cache(&mut self) {
        self.route_cache_cleared = true;
    }

    fn decline_body(&mut self, direction: StreamType) {
        self.declined.push(direction);
    }

    fn edit_headers(&mut self, _: MapType, _: HeaderEdit<'_>) -> Edit {
        Edit::Absent
    }

    fn buffer(&self, _: BufferType) -> Option<BufferStatus> {
        None
    }

    fn read_buffer(&self, _: BufferType, _: usize, _: &mut [u8]) {}

    fn splice_buffer(&mut self, _: BufferType, _: usize, _: usize, _: &[u8]) -> Edit {
        Edit::Absent
    }

    fn resume(&mut self, _: StreamType) {}

    fn close(&mut self, _: StreamType) {}

    fn send_local_response(&mut self, _: LocalResponse) -> bool {
        false
    }

    fn vm_died(&mut self) {}
}

fn int(value: i64) -> Result<Vec<u8>, Status> {
    Ok(value.to_le_bytes().to_vec())
}

fn text(value: &str) -> Result<Vec<u8>, Status> {
    Ok(value.as_bytes().to_vec())
}

fn request(path: &str) -> Fake {
    let lines = [
        (":authority", "example.com"),
        (":path", path),
        (":method", "GET"),
        (":scheme", "https"),
        ("referer", "r"),
        ("user-agent", "u"),
        ("x-request-id", "i"),
        ("x.y", "1"),
        ("x.y", "2"),
    ];
    Fake::default().with_map(MapType::HttpRequestHeaders, &lines)
}

#[test]
fn request_properties_come_from_the_request_headers() {
    let stream = request("/a/b?c=d&e#f");
    for (name, value) in [
        ("path", "/a/b?c=d&e#f"),
        ("url_path", "/a/b"),
        ("query", "c=d&e"),
        ("host", "example.com"),
        ("scheme", "https"),
        ("method", "GET"),
        ("referer", "r"),
        ("useragent", "u"),
        ("id", "i"),
        ("headers.referer", "r"),
        ("headers.Host", "example.com"),
        ("headers.:path", "/a/b?c=d&e#f"),
    ] {
        assert_eq!(stream.read(&format!("request.{name}")), text(value), "{name}");
    }
    assert_eq!(
        stream.read_path(b"request\0headers\0X.Y"),
        text("1,2"),
        "lines of one name are joined"
    );
    assert_eq!(stream.read("request.headers.none"), Err(Status::NotFound));
    assert_eq!(request("/").read("request.query"), text(""));
    assert_eq!(request("/").read("request.url_path"), text("/"));
}

#[test]
fn maps_are_pairs() {
    let stream = request("/");
    let bytes = stream.read("request.headers").unwrap();
    let pairs = pairs::decode(&bytes).unwrap();
    assert_eq!(pairs.len(), 9);
    assert_eq!(pairs[0], (&b":authority"[..], &b"example.com"[..]));
    let size = pairs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>();
    assert_eq!(
        stream.read("request.headers_bytes"),
        int(size.try_into().unwrap())
    );
    assert_eq!(stream.read("response.headers"), Err(Status::NotFound));
    let none = Fake::default().with_map(MapType::HttpRequestTrailers, &[]);
    assert_eq!(none.read("request.trailers"), Ok(vec![0; 4]));
}

#[test]
fn response_properties_come_from_headers_and_trailers() {
    let stream = Fake::default()
        .with_map(
            MapType::HttpResponseHeaders,
            &[(":status", "404"), ("server", "s"), ("grpc-status", "1")],
        )
        .with_map(
            MapType::HttpResponseTrailers,
            &[("grpc-status", "13"), ("x", "y")],
        );
    assert_eq!(stream.read("response.code"), int(404));
    assert_eq!(stream.read("response.headers.server"), text("s"));
    assert_eq!(stream.read("response.headers_bytes"), int(10 + 7 + 12));
    assert_eq!(stream.read("response.trailers.X"), text("y"));
    assert_eq!(stream.read("response.grpc_status"), int(13));
    assert_eq!(
        pairs::decode(&stream.read("response.trailers").unwrap()).map(|pairs| pairs.len()),
        Ok(2)
    );

    let only_headers = Fake::default().with_map(MapType::HttpResponseHeaders, &[("grpc-status", "1")]);
    assert_eq!(only_headers.read("response.grpc_status"), int(1));
    assert_eq!(only_headers.read("response.code"), Err(Status::NotFound));
    let odd = Fake::default().with_map(MapType::HttpResponseHeaders, &[(":status", "\u{e9}")]);
    assert_eq!(odd.read("response.code"), Err(Status::SerializationFailure));
}

#[test]
fn every_row_without_a_value_is_not_found() {
    let stream = Fake::default();
    for (name, answer) in TABLE {
        let expected = match answer {
            Answer::PluginName => text("filter"),
            Answer::PluginRootId => text("root"),
            Answer::PluginVmId => text("vm"),
            Answer::EmptyMessage => text(""),
            Answer::Composite => Err(Status::SerializationFailure),
            _ => Err(Status::NotFound),
        };
        assert_eq!(stream.read(name), expected, "{name}");
    }
}

#[test]
fn outside_of_a_stream_only_the_plugin_is_known() {
    for (name, answer) in TABLE {
        let mut out = Vec::new();
        let read = read(name.replace('.', "\0").as_bytes(), None, &PLUGIN, &mut out);
        let plugin = matches!(
            answer,
            Answer::PluginName | Answer::PluginRootId | Answer::PluginVmId | Answer::EmptyMessage
        );
        assert_eq!(read.is_ok(), plugin, "{name}");
    }
    assert_eq!(
        read(b"anything", None, &PLUGIN, &mut Vec::new()),
        Err(Status::NotFound)
    );
}

#[test]
fn every_fact_of_the_table_is_encoded_after_its_kind() {
    let address: SocketAddr = "[2001:db8::1]:8443".parse().unwrap();
    let kinds = [
        (FactValue::Bytes(b"\xff\0".to_vec()), Ok(b"\xff\0".to_vec())),
        (FactValue::Int(-2), int(-2)),
        (FactValue::Bool(true), Ok(vec![1])),
        (FactValue::Bool(false), Ok(vec![0])),
        (
            FactValue::Time(UNIX_EPOCH + Duration::new(1, 5)),
            int(1_000_000_005),
        ),
        (FactValue::Time(UNIX_EPOCH - Duration::from_nanos(7)), int(-7)),
        (FactValue::Duration(Duration::from_micros(3)), int(3000)),
        (
            FactValue::Duration(Duration::MAX),
            Err(Status::SerializationFailure),
        ),
        (FactValue::Address(address), text("[2001:db8::1]:8443")),
    ];
    let mut facts = 0;
    for (name, answer) in TABLE {
        match answer {
            Answer::Fact(fact) => {
                facts += 1;
                for (value, encoded) in &kinds {
                    let stream = Fake::default().with_fact(*fact, value.clone());
                    assert_eq!(stream.read(name), *encoded, "{name}");
                }
            }
            Answer::Port(fact) => {
                let stream = Fake::default().with_fact(*fact, FactValue::Address(address));
                assert_eq!(stream.read(name), int(8443), "{name}");
                let odd = Fake::default().with_fact(*fact, FactValue::Bool(true));
                assert_eq!(odd.read(name), Err(Status::SerializationFailure), "{name}");
            }
            _ => {}
        }
    }
    assert!(facts > 40, "the table lost its facts: {facts}");
}

/// Each name with the fact it must come from, written down a second time on purpose.
#[test]
fn names_come_from_the_right_fact() {
    use CertificateField::{DnsSan, Pem, Sha256Digest, Subject, UriSan};
    use Fact::*;
    let rows = [
        ("request.time", RequestTime),
        ("request.duration", RequestDuration),
        ("request.protocol", RequestProtocol),
        ("request.size", RequestSize),
        ("request.total_size", RequestTotalSize),
        ("response.size", ResponseSize),
        ("response.total_size", ResponseTotalSize),
        ("response.code_details", ResponseCodeDetails),
        ("response.flags", ResponseFlags),
        ("response.backend_latency", ResponseBackendLatency),
        ("source.address", SourceAddress),
        ("destination.address", DestinationAddress),
        ("connection.id", ConnectionId),
        ("connection.mtls", ConnectionMtls),
        ("connection.requested_server_name", ConnectionRequestedServerName),
        ("connection.tls_version", ConnectionTlsVersion),
        (
            "connection.subject_local_certificate",
            ConnectionLocalCertificate(Subject),
        ),
        (
            "connection.subject_peer_certificate",
            ConnectionPeerCertificate(Subject),
        ),
        (
            "connection.dns_san_local_certificate",
            ConnectionLocalCertificate(DnsSan),
        ),
        (
            "connection.dns_san_peer_certificate",
            ConnectionPeerCertificate(DnsSan),
        ),
        (
            "connection.uri_san_local_certificate",
            ConnectionLocalCertificate(UriSan),
        ),
        (
            "connection.uri_san_peer_certificate",
            ConnectionPeerCertificate(UriSan),
        ),
        (
            "connection.sha256_peer_certificate_digest",
            ConnectionPeerCertificate(Sha256Digest),
        ),
        ("connection.peer_certificate", ConnectionPeerCertificate(Pem)),
        ("connection.termination_details", ConnectionTerminationDetails),
        (
            "connection.transport_failure_reason",
            ConnectionTransportFailureReason,
        ),
        ("upstream.address", UpstreamAddress),
        ("upstream.local_address", UpstreamLocalAddress),
        ("upstream.tls_version", UpstreamTlsVersion),
        (
            "upstream.subject_local_certificate",
            UpstreamLocalCertificate(Subject),
        ),
        (
            "upstream.subject_peer_certificate",
            UpstreamPeerCertificate(Subject),
        ),
        (
            "upstream.dns_san_local_certificate",
            UpstreamLocalCertificate(DnsSan),
        ),
        (
            "upstream.dns_san_peer_certificate",
            UpstreamPeerCertificate(DnsSan),
        ),
        (
            "upstream.uri_san_local_certificate",
            UpstreamLocalCertificate(UriSan),
        ),
        (
            "upstream.uri_san_peer_certificate",
            UpstreamPeerCertificate(UriSan),
        ),
        (
            "upstream.sha256_peer_certificate_digest",
            UpstreamPeerCertificate(Sha256Digest),
        ),
        ("upstream.peer_certificate", UpstreamPeerCertificate(Pem)),
        (
            "upstream.transport_failure_reason",
            UpstreamTransportFailureReason,
        ),
        ("upstream.request_attempt_count", UpstreamRequestAttemptCount),
        ("upstream.num_endpoints", UpstreamNumEndpoints),
        ("upstream.cx_pool_ready_duration", UpstreamPoolReadyDuration),
        ("xds.cluster_name", ClusterName),
        ("cluster_name", ClusterName),
        ("xds.route_name", RouteName),
        ("route_name", RouteName),
        ("xds.virtual_host_name", VirtualHostName),
        ("xds.filter_chain_name", FilterChainName),
        ("xds.listener_direction", ListenerDirection),
        ("listener_direction", ListenerDirection),
    ];
    for (name, fact) in rows {
        let stream = Fake::default().with_fact(fact, FactValue::Int(1));
        assert_eq!(stream.read(name), int(1), "{name}");
    }
}

#[test]
fn moments_are_nanoseconds_since_1970() {
    let now = SystemTime::now();
    let stream = Fake::default().with_fact(Fact::RequestTime, FactValue::Time(now));
    let bytes = stream.read("request.time").unwrap().try_into().unwrap();
    assert_eq!(UNIX_EPOCH + Duration::from_nanos(u64::from_le_bytes(bytes)), now);
}

#[test]
fn known_properties_come_before_those_that_guests_store() {
    let mut stream = request("/").with_map(MapType::HttpResponseHeaders, &[]);
    stream.set_filter_state(b"request\0path", b"no");
    stream.set_filter_state(b"mine", b"1");
    stream.set_filter_state(b"both", b"state");
    stream.set_filter_state(b"envoy.known.key", b"2");
    stream.set_filter_state(b"response\0code", b"unset by the proxy");
    stream.custom.insert(b"ats\0x".to_vec(), b"3".to_vec());
    stream.custom.insert(b"both".to_vec(), b"custom".to_vec());
    assert_eq!(stream.read("request.path"), text("/"));
    assert_eq!(stream.read("response.code"), text("unset by the proxy"));
    assert_eq!(stream.read("mine"), text("1"));
    assert_eq!(stream.read("both"), text("state"));
    assert_eq!(stream.read("ats.x"), text("3"));
    assert_eq!(stream.read_path(b"filter_state\0wasm.mine"), text("1"));
    assert_eq!(stream.read_path(b"filter_state\0envoy.known.key"), text("2"));
    assert_eq!(stream.read_path(b"filter_state\0none"), Err(Status::NotFound));
    assert_eq!(stream.read("none"), Err(Status::NotFound));
}

proptest! {
    #[test]
    fn no_path_panics(path in prop::collection::vec(prop_oneof![Just(0u8), Just(b'.'), any::<u8>()], 0..40)) {
        let _ = request("/").read_path(&path);
    }

    #[test]
    fn path_and_query_make_the_path_again(path in "[a-z/]{0,8}", query in prop::option::of("[a-z?=&]{0,8}")) {
        let whole = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
        let stream = request(&whole);
        prop_assert_eq!(stream.read("request.url_path"), text(&path));
        prop_assert_eq!(stream.read("request.query"), text(query.as_deref().unwrap_or_default()));
    }
}
