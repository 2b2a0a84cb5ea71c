//! TLS towards clients.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{ProtocolVersion, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use weir_config::ListenerTls;

/// Why a listener's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
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

/// What a handshake settled.
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
        let chain = certificates(&settings.certificate)?;
        let certificate = Arc::new(chain[0].clone());
        let key = read(&settings.private_key)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| TlsError::Content {
            path: settings.private_key.clone(),
            reason: format!("no private key: {error}"),
        })?;
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
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|source| TlsError::Refused {
                        path: path.clone(),
                        source,
                    })?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| TlsError::Content {
                        path: path.clone(),
                        reason: error.to_string(),
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

    /// What the handshake of a connection settled.
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

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = |reason: String| TlsError::Content {
        path: path.to_owned(),
        reason,
    };
    let pem = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| content(error.to_string()))?;
    if certificates.is_empty() {
        return Err(content("no certificate".to_owned()));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}
