//! Properties of the client's connection and of the plugin.
//!
//! covers: proxy_get_property
//! plugin-root-id: root
//!
//! request: GET /
//! status: 200
//! body: source.address is 127.0.0.1 and source.port: true
//! body: destination.address is 127.0.0.1 and destination.port: true
//! body: connection.id is 8 bytes: true
//! body: connection.mtls Ok "\\x00"
//! body: connection.tls_version NotFound
//! body: connection.requested_server_name NotFound
//! body: connection.subject_peer_certificate NotFound
//! body: plugin_name Ok "get_property_connection"
//! body: plugin_root_id Ok "root"
//! body: plugin_vm_id Ok "get_property_connection"
//! embedded/body: xds.route_name Ok "get_property_connection"
//! ats/body: xds.route_name Ok "plugin.config"
//!
//! request: GET / tls
//! status: 200
//! body: source.address is 127.0.0.1 and source.port: true
//! body: destination.address is 127.0.0.1 and destination.port: true
//! body: connection.id is 8 bytes: true
//! body: connection.mtls Ok "\\x00"
//! body: connection.tls_version Ok "TLSv1.3"
//! body: connection.requested_server_name Ok "weir.test"
//! body: connection.subject_peer_certificate NotFound
//! body: plugin_name Ok "get_property_connection"
//! body: plugin_root_id Ok "root"
//! body: plugin_vm_id Ok "get_property_connection"
//! embedded/body: xds.route_name Ok "get_property_connection"
//! ats/body: xds.route_name Ok "plugin.config"

use conformance::*;

fn number(path: &str) -> Option<i64> {
    property(path)
        .into_bytes()
        .try_into()
        .ok()
        .map(i64::from_le_bytes)
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        for side in ["source", "destination"] {
            let address = property(&format!("{side}.address")).into_text();
            let port = number(&format!("{side}.port")).unwrap_or(0);
            say!(
                "{side}.address is 127.0.0.1 and {side}.port: {}",
                port > 0 && address == format!("127.0.0.1:{port}"),
            );
        }
        say!("connection.id is 8 bytes: {}", number("connection.id").is_some());
        for name in ["mtls", "tls_version", "requested_server_name", "subject_peer_certificate"] {
            say!("connection.{name} {}", property(&format!("connection.{name}")));
        }
        for name in ["plugin_name", "plugin_root_id", "plugin_vm_id", "xds.route_name"] {
            say!("{name} {}", property(name));
        }
        reply()
    }
}
