//! TLS towards upstreams: trust, names, client certificates.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use weir_config::{Protocol, UpstreamTls};

use crate::pem::{self, PemError};

const ALPN_HTTP1: &[u8] = b"http/1.1";
const ALPN_HTTP2: &[u8] = b"h2";

/// TLS ready for use. Cheap to clone; all workers share it and its session tickets.
#[derive(Clone)]
pub struct Tls {
    server_name: Option<ServerName<'static>>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    auto: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files named and builds the client side of TLS. Blocks on those files, so belongs to start-up and
    /// reload.
    ///
    /// # Errors
    ///
    /// A file cannot be read or holds no certificate or key, the key does not fit its certificate, the system has no
    /// certificates of authorities where the settings name none, or the server's name is none.
    pub fn load(settings: &UpstreamTls) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if settings.insecure_skip_verify {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        } else {
            builder.with_root_certificates(roots(settings.ca.as_deref())?)
        };
        let config = match &settings.client {
            Some(own) => {
                let chain = pem::certificates(&own.certificate)?;
                let key = pem::private_key(&own.private_key)?;
                builder.with_client_auth_cert(chain, key)?
            }
            None => builder.with_no_client_auth(),
        };
        let server_name = settings.server_name.as_deref().map(server_name).transpose()?;
        let with_alpn = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self {
            server_name,
            http1: with_alpn(&[ALPN_HTTP1]),
            http2: with_alpn(&[ALPN_HTTP2]),
            auto: with_alpn(&[ALPN_HTTP2, ALPN_HTTP1]),
        })
    }

    /// The configuration that offers what `protocol` allows.
    pub(crate) fn config(&self, protocol: Protocol) -> Arc<ClientConfig> {
        Arc::clone(match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
            Protocol::Auto => &self.auto,
        })
    }

    /// The name to verify on a connection to `host`.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => server_name(host),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] PemError),
    /// The operating system trusts no authority that TLS can read.
    #[error("the system's certificate store holds no certificate")]
    NoSystemAuthority,
    /// A server name is neither a DNS name nor an IP address.
    #[error("`{name}` is not a server name")]
    ServerName {
        /// The name.
        name: String,
        /// The fault of the file.
        source: InvalidDnsNameError,
    },
    /// A certificate or key that TLS refuses.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|source| TlsError::ServerName {
        name: name.to_owned(),
        source,
    })
}

/// The authorities in a PEM file, and no other; without one, those that the operating system trusts.
fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    if let Some(path) = ca {
        return Ok(pem::authorities(path)?);
    }
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system root certificate is left out");
    }
    // One authority that rustls cannot read must not cost all the others.
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(TlsError::NoSystemAuthority);
    }
    Ok(store)
}

/// `insecure_skip_verify: true`. The handshake must still be signed by the certificate shown, whoever's that is.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
