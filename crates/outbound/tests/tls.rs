//! TLS towards upstreams: who is trusted, what is negotiated.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use support::{Watch, answer, converse, get, pool, run, serve, text, upstream};
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use weir_config::{ClientIdentity, Protocol, UpstreamTls};
use weir_outbound::pem::PemError;
use weir_outbound::{SendError, Tls, TlsError, UpstreamPool, WireProtocol};

/// An authority of the test's own, and the file that holds its certificate.
struct Authority(CertifiedIssuer<'static, KeyPair>, NamedTempFile);

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = written(&issuer.pem());
        Self(issuer, file)
    }

    fn ca(&self) -> Option<PathBuf> {
        Some(self.1.path().into())
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key,
        }
    }

    /// The server side, with ALPN as given; clients must show a certificate of `clients`, if set.
    fn server(&self, identity: &Identity, alpn: &[&str], clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(identity.key.serialize_der().into());
        let mut config = builder
            .with_single_cert(vec![identity.certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A file with a text.
fn written(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A server that speaks what was negotiated and answers with the version of the request.
async fn origin(config: Arc<ServerConfig>) -> (SocketAddr, Watch) {
    serve(move |stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            // A client that does not trust us goes away in the handshake.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
            let handler =
                |request: http::Request<_>| async move { answer(format!("{:?}", request.version())) };
            converse(stream, protocol, Rc::new(handler)).await;
        }
    })
    .await
}

fn client(address: SocketAddr, protocol: Protocol, settings: &UpstreamTls) -> UpstreamPool<Full<Bytes>> {
    let mut upstream = upstream(address, protocol);
    upstream.tls = Some(settings.clone());
    pool(upstream)
}

/// Trusts `authority` and expects `name`.
fn settings(authority: &Authority, name: &str) -> UpstreamTls {
    UpstreamTls {
        server_name: Some(name.to_owned()),
        ca: authority.ca(),
        ..UpstreamTls::default()
    }
}

const BOTH: &[&str] = &["h2", "http/1.1"];

#[test]
fn a_trusted_server_is_spoken_to_in_what_was_negotiated() {
    run(async {
        let authority = Authority::new();
        let identity = authority.issue("origin.test");
        for (offered, protocol, spoken) in [
            (BOTH, Protocol::Auto, WireProtocol::Http2),
            (BOTH, Protocol::Http1, WireProtocol::Http1),
            (BOTH, Protocol::Http2, WireProtocol::Http2),
            (&["http/1.1"], Protocol::Auto, WireProtocol::Http1),
            (&[], Protocol::Auto, WireProtocol::Http1),
        ] {
            let (address, watch) = origin(authority.server(&identity, offered, None)).await;
            let pool = client(address, protocol, &settings(&authority, "origin.test"));
            for _ in 0..2 {
                let (response, info) = pool.send(get("/")).await.unwrap();
                let version = if spoken == WireProtocol::Http2 {
                    "HTTP/2.0"
                } else {
                    "HTTP/1.1"
                };
                assert_eq!(text(response).await, version, "{offered:?} {protocol:?}");
                assert_eq!(info.connection.protocol, spoken);
                let tls = info.connection.tls.as_ref().unwrap();
                assert_eq!(
                    (tls.version, tls.server_name.as_str()),
                    ("TLSv1.3", "origin.test")
                );
                assert_eq!(tls.peer_certificate.as_ref(), Some(&identity.certificate));
                while spoken == WireProtocol::Http1 && pool.idle_connections() == 0 {
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!(watch.accepted(), 1);
        }
    });
}

#[test]
fn the_name_is_the_endpoints_host_unless_set() {
    run(async {
        let authority = Authority::new();
        let (address, _) = origin(authority.server(&authority.issue("127.0.0.1"), BOTH, None)).await;
        let by_address = UpstreamTls {
            ca: authority.ca(),
            ..UpstreamTls::default()
        };
        let (_, info) = client(address, Protocol::Auto, &by_address)
            .send(get("/"))
            .await
            .unwrap();
        assert_eq!(info.connection.tls.as_ref().unwrap().server_name, "127.0.0.1");
    });
}

#[test]
fn strangers_are_refused() {
    run(async {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let (address, _) = origin(theirs.server(&theirs.issue("origin.test"), BOTH, None)).await;
        for settings in [settings(&ours, "origin.test"), settings(&theirs, "other.test")] {
            for protocol in [Protocol::Auto, Protocol::Http1, Protocol::Http2] {
                let error = client(address, protocol, &settings)
                    .send(get("/"))
                    .await
                    .map(drop)
                    .unwrap_err();
                let SendError::Tls { source, .. } = &error else {
                    panic!("{error:?}")
                };
                let cause = source.get_ref().unwrap().downcast_ref::<rustls::Error>();
                assert!(
                    matches!(cause, Some(rustls::Error::InvalidCertificate(_))),
                    "{cause:?}"
                );
                assert_eq!((error.reason(), error.may_have_been_sent()), ("tls", false));
            }
        }
        let insecure = UpstreamTls {
            insecure_skip_verify: true,
            ..settings(&ours, "other.test")
        };
        let (response, _) = client(address, Protocol::Auto, &insecure)
            .send(get("/"))
            .await
            .unwrap();
        assert_eq!(text(response).await, "HTTP/2.0");
    });
}

#[test]
fn http2_is_not_guessed_under_tls() {
    run(async {
        let authority = Authority::new();
        let identity = authority.issue("origin.test");
        // One server says that it does not speak it, the other says nothing.
        for (offered, reason) in [(&["http/1.1"][..], "tls"), (&[], "protocol")] {
            let (address, _) = origin(authority.server(&identity, offered, None)).await;
            let pool = client(address, Protocol::Http2, &settings(&authority, "origin.test"));
            let error = pool.send(get("/")).await.map(drop).unwrap_err();
            assert_eq!(error.reason(), reason, "{error:?}");
        }
    });
}

#[test]
fn an_upgrade_asks_for_http1_where_both_are_spoken() {
    run(async {
        let authority = Authority::new();
        let (address, _) = origin(authority.server(&authority.issue("origin.test"), BOTH, None)).await;
        let pool = client(address, Protocol::Auto, &settings(&authority, "origin.test"));
        let (response, _) = pool.send(get("/")).await.unwrap();
        assert_eq!(text(response).await, "HTTP/2.0");
        let mut request = get("/");
        request
            .headers_mut()
            .insert("connection", "upgrade".parse().unwrap());
        request
            .headers_mut()
            .insert("upgrade", "websocket".parse().unwrap());
        let (response, _) = pool.send(request).await.unwrap();
        assert_eq!(text(response).await, "HTTP/1.1");
        let (response, info) = pool.send(get("/")).await.unwrap();
        assert_eq!((text(response).await.as_str(), info.reused), ("HTTP/2.0", true));
    });
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    run(async {
        let (servers, clients) = (Authority::new(), Authority::new());
        let config = servers.server(&servers.issue("origin.test"), BOTH, Some(&clients));
        let (address, _) = origin(config).await;
        let own = clients.issue("weir.test");
        let chain = written(&own.certificate_pem);
        let key = written(&own.key.serialize_pem());
        let with = UpstreamTls {
            client: Some(ClientIdentity {
                certificate: chain.path().into(),
                private_key: key.path().into(),
            }),
            ..settings(&servers, "origin.test")
        };
        let (response, _) = client(address, Protocol::Http1, &with)
            .send(get("/"))
            .await
            .unwrap();
        assert_eq!(text(response).await, "HTTP/1.1");
        let without = client(address, Protocol::Http1, &settings(&servers, "origin.test"));
        assert!(without.send(get("/")).await.is_err());
    });
}

#[test]
fn a_silent_server_is_given_up() {
    run(async {
        let authority = Authority::new();
        let (address, watch) = serve(|mut stream| async move {
            // However the client leaves.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let mut upstream = upstream(address, Protocol::Auto);
        upstream.tls = Some(settings(&authority, "origin.test"));
        upstream.connect_timeout = Duration::from_millis(100);
        let pool = Rc::new(pool(upstream));
        // One is given up while it connects; another takes over; the third learns what that one learns.
        let quitter = {
            let pool = Rc::clone(&pool);
            tokio::task::spawn_local(async move { pool.send(get("/")).await.map(drop) })
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let pool = Rc::clone(&pool);
                tokio::task::spawn_local(async move { pool.send(get("/")).await.map(drop).unwrap_err() })
            })
            .collect();
        while watch.accepted() == 0 {
            tokio::task::yield_now().await;
        }
        quitter.abort();
        for other in others {
            let error = other.await.unwrap();
            assert!(matches!(error, SendError::ConnectTimeout { .. }), "{error:?}");
            assert_eq!(error.reason(), "timeout");
        }
        watch.until_closed(2).await;
        assert_eq!((watch.accepted(), pool.connections()), (2, 0));
    });
}

#[test]
fn settings_that_cannot_be_used_say_why() {
    let load = |settings: UpstreamTls| Tls::load(&settings).map(drop).unwrap_err();
    let trusting = |ca: &Path| UpstreamTls {
        ca: Some(ca.into()),
        ..UpstreamTls::default()
    };
    let missing = load(trusting(Path::new("/nowhere/ca.pem")));
    assert!(
        matches!(missing, TlsError::File(PemError::Read { .. }))
            && missing.to_string().contains("/nowhere/ca.pem"),
        "{missing}"
    );
    let empty = load(trusting(written("hello").path()));
    assert!(matches!(empty, TlsError::File(PemError::NoCertificate { .. })));
    let cut = load(trusting(written("-----BEGIN CERTIFICATE-----\nAAAA\n").path()));
    assert!(matches!(cut, TlsError::File(PemError::Content { .. })));
    let authority = Authority::new();
    let named = UpstreamTls {
        server_name: Some("not a name".to_owned()),
        ..trusting(authority.1.path())
    };
    assert!(matches!(load(named), TlsError::ServerName { .. }));
}
