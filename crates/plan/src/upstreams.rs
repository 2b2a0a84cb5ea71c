//! Upstreams of the configuration, made ready for the pools.

use std::sync::Arc;

use weir_config::{Protocol, Upstream};
use weir_outbound::{ClientCertificate, Endpoint, Roots, Tls, TlsError, TlsSettings};

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("upstream {name}: {source}")]
pub struct UpstreamError {
    name: String,
    source: TlsError,
}

/// Upstreams that have been made ready, so that equal ones share TLS settings and session tickets.
#[derive(Debug, Default)]
pub struct Upstreams {
    ready: Vec<(Arc<Upstream>, Arc<weir_outbound::Upstream>)>,
}

impl Upstreams {
    /// Makes an upstream ready. Blocks on certificate files.
    pub fn ready(&mut self, config: &Arc<Upstream>) -> Result<Arc<weir_outbound::Upstream>, UpstreamError> {
        if let Some((_, known)) = self.ready.iter().find(|(known, _)| known == config) {
            return Ok(Arc::clone(known));
        }
        let ready = convert(config).map_err(|source| UpstreamError {
            name: config.name.clone(),
            source,
        })?;
        let ready = Arc::new(ready);
        self.ready.push((Arc::clone(config), Arc::clone(&ready)));
        Ok(ready)
    }
}

fn convert(config: &Upstream) -> Result<weir_outbound::Upstream, TlsError> {
    let endpoints = config
        .endpoints
        .iter()
        .map(|endpoint| Endpoint::new(endpoint.host.clone(), endpoint.port));
    let mut upstream = weir_outbound::Upstream::new(config.name.clone(), endpoints.collect());
    upstream.protocol = match config.protocol {
        Protocol::Auto => weir_outbound::Protocol::Auto,
        Protocol::Http1 => weir_outbound::Protocol::Http1,
        Protocol::Http2 => weir_outbound::Protocol::Http2,
    };
    upstream.connect_timeout = config.connect_timeout;
    upstream.idle_timeout = config.idle_timeout;
    upstream.authority = config
        .authority
        .as_deref()
        .and_then(|authority| authority.parse().ok());
    if let Some(tls) = &config.tls {
        upstream.tls = Some(Tls::load(&TlsSettings {
            server_name: tls.server_name.clone(),
            roots: tls.ca.clone().map_or(Roots::System, Roots::File),
            client_certificate: tls.client.as_ref().map(|client| ClientCertificate {
                chain: client.certificate.clone(),
                key: client.private_key.clone(),
            }),
            insecure: tls.insecure_skip_verify,
        })?);
    }
    Ok(upstream)
}
