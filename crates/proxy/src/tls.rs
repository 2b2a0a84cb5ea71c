//! TLS towards clients.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ProtocolVersion, ServerConfig};
use rustls_pki_types::CertificateDer;
use weir_config::ListenerTls;
use weir_outbound::pem::{self, PemError};

/// Why a listener's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] PemError),
    /// The authorities of clients cannot be used.
    #[error("{}: {source}", path.display())]
    ClientAuthorities {
        /// Their file.
        path: PathBuf,
        /// The reason that TLS gives.
        source: VerifierBuilderError,
    },
    /// Certificate and key do not go together, or TLS refuses them otherwise.
    #[error("{}: {source}", path.display())]
    Refused {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// TLS of a listener, ready for use.
pub(crate) struct ServerTls {
    /// For tokio-rustls.
    pub config: Arc<ServerConfig>,
    /// The certificate that clients are shown.
    pub certificate: Arc<CertificateDer<'static>>,
}

/// The outcome of a handshake.
#[derive(Debug)]
pub(crate) struct TlsSession {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// SNI.
    pub server_name: Option<String>,
    /// Our certificate.
    pub local_certificate: Option<Arc<CertificateDer<'static>>>,
    /// The client's certificate, which has been verified.
    pub peer_certificate: Option<CertificateDer<'static>>,
}

impl ServerTls {
    /// Reads the files. Blocks on them.
    pub fn load(settings: &ListenerTls) -> Result<Self, TlsError> {
        let chain = pem::certificates(&settings.certificate)?;
        let certificate = Arc::new(chain[0].clone());
        let key = pem::private_key(&settings.private_key)?;
        let refused = |source| TlsError::Refused {
            path: settings.certificate.clone(),
            source,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(refused)?;
        let builder = match &settings.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(pem::authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|source| TlsError::ClientAuthorities {
                        path: path.clone(),
                        source,
                    })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(refused)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            certificate,
        })
    }

    /// Returns the outcome of a connection's handshake.
    pub fn session(&self, connection: &rustls::ServerConnection) -> TlsSession {
        TlsSession {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            server_name: connection.server_name().map(str::to_owned),
            local_certificate: Some(Arc::clone(&self.certificate)),
            peer_certificate: connection
                .peer_certificates()
                .and_then(<[_]>::first)
                .map(|certificate| certificate.clone().into_owned()),
        }
    }
}
