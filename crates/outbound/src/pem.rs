//! Certificates and keys in PEM files, for both sides of TLS. Reading blocks, so belongs to start-up and reload.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A PEM file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file does not hold what it should, in PEM.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        source: pem::Error,
    },
    /// The file holds no certificate where at least one is needed.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no private key.
    #[error("{}: no private key: {source}", path.display())]
    NoPrivateKey {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        source: pem::Error,
    },
    /// The file holds a certificate that no authority can have.
    #[error("{}: {source}", path.display())]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// The reason that TLS gives.
        source: rustls::Error,
    },
}

/// Reads a certificate chain; it has at least one certificate.
///
/// # Errors
///
/// The file cannot be read, is not PEM, or holds no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| PemError::Content {
            path: path.to_owned(),
            source,
        })?;
    if certificates.is_empty() {
        return Err(PemError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(certificates)
}

/// Reads a private key: the first of the file.
///
/// # Errors
///
/// The file cannot be read or holds no private key.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| PemError::NoPrivateKey {
        path: path.to_owned(),
        source,
    })
}

/// Reads authorities to be trusted, at least one.
///
/// # Errors
///
/// As [`certificates`], and a certificate that no authority can have.
pub fn authorities(path: &Path) -> Result<RootCertStore, PemError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|source| PemError::NoAuthority {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(store)
}

fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    std::fs::read(path).map_err(|source| PemError::Read {
        path: path.to_owned(),
        source,
    })
}
