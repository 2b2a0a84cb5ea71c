//! HTTP/1.1 connections: when they are made, kept, replaced and closed.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use support::{
    Gate, Notes, answer, endpoint, full, get, http, nobody, pool, read_until, run, serve, text, upstream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_config::{Protocol, Upstream};
use weir_outbound::{SendError, UpstreamPool, WireProtocol};

async fn hello() -> (SocketAddr, support::Watch) {
    http(Protocol::Http1, |request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        answer(format!("{} {host}", request.uri()))
    })
    .await
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    run(async {
        let (address, watch) = hello().await;
        let pool = pool(upstream(address, Protocol::Auto));
        for number in 0..5 {
            let (response, info) = pool.send(get("/a?b")).await.unwrap();
            assert_eq!(response.version(), Version::HTTP_11);
            assert_eq!(text(response).await, "/a?b origin.test");
            assert_eq!((info.reused, info.attempts), (number > 0, 1));
            assert_eq!(
                (info.connection.peer_addr, info.connection.protocol),
                (address, WireProtocol::Http1)
            );
            assert!(info.connection.tls.is_none());
            while pool.idle_connections() == 0 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!((watch.accepted(), pool.connections()), (1, 1));
    });
}

#[test]
fn a_connection_is_not_given_away_before_its_response_is_read() {
    run(async {
        let (address, watch) = http(Protocol::Http1, |_| async { answer(vec![b'x'; 1 << 20]) }).await;
        let pool = pool(upstream(address, Protocol::Http1));
        let (first, _) = pool.send(get("/")).await.unwrap();
        let (second, info) = pool.send(get("/")).await.unwrap();
        assert!(!info.reused);
        assert_eq!(text(second).await.len(), 1 << 20);
        assert_eq!(text(first).await.len(), 1 << 20);
        assert_eq!(watch.accepted(), 2);
        while pool.idle_connections() < 2 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn the_authority_is_rewritten_where_configured() {
    run(async {
        let (address, _) = hello().await;
        let mut upstream = upstream(address, Protocol::Http1);
        upstream.authority = Some("inside.test:81".parse().unwrap());
        let (response, _) = pool(upstream).send(get("http://outside.test/x")).await.unwrap();
        assert_eq!(text(response).await, "/x inside.test:81");
    });
}

#[test]
fn a_port_without_listener_is_a_refused_connection() {
    run(async {
        let pool = pool(upstream(nobody().await, Protocol::Http1));
        let error = pool.send(get("/")).await.unwrap_err();
        assert!(matches!(error, SendError::Connect { .. }), "{error:?}");
        assert_eq!((error.reason(), error.may_have_been_sent()), ("connect", false));
        assert_eq!(pool.connections(), 0);
    });
}

#[test]
fn upstreams_without_name_or_endpoint_are_refused() {
    run(async {
        let pool = pool(Upstream::new("empty", Vec::new()));
        let error = pool.send(get("/")).await.unwrap_err();
        assert!(
            matches!(&error, SendError::NoEndpoint { name } if name == "empty"),
            "{error:?}"
        );
    });
}

#[test]
fn the_next_endpoint_takes_over_and_the_failed_one_rests() {
    run(async {
        let (address, _) = hello().await;
        let endpoints = vec![endpoint(nobody().await), endpoint(address)];
        let pool = pool(Upstream::new("origin", endpoints));
        let mut attempts = Vec::new();
        for _ in 0..4 {
            let (response, info) = pool.send(get("/")).await.unwrap();
            attempts.push(info.attempts);
            text(response).await;
        }
        assert_eq!(attempts, [2, 1, 1, 1]);
    });
}

#[test]
fn endpoints_take_turns() {
    run(async {
        let (one, _) = hello().await;
        let (two, _) = hello().await;
        let pool = pool(Upstream::new("origin", vec![endpoint(one), endpoint(two)]));
        let mut peers = Vec::new();
        for _ in 0..4 {
            let (response, info) = pool.send(get("/")).await.unwrap();
            peers.push(info.connection.peer_addr);
            text(response).await;
        }
        assert_eq!(peers, [one, two, one, two]);
    });
}

#[test]
fn a_request_that_may_have_arrived_is_not_sent_again() {
    run(async {
        let (address, watch) = serve(|mut stream| async move {
            read_until(&mut stream, b"\r\n\r\n").await;
        })
        .await;
        let error = pool(upstream(address, Protocol::Http1))
            .send(get("/"))
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                SendError::Reset {
                    sent: true,
                    reused: false,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!((error.reason(), error.may_have_been_sent()), ("reset", true));
        assert_eq!(watch.accepted(), 1);
    });
}

#[test]
fn bytes_that_are_not_http_are_a_protocol_error() {
    run(async {
        let (address, _) = serve(|mut stream| async move {
            stream.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
            read_until(&mut stream, b"\r\n\r\n").await;
        })
        .await;
        let error = pool(upstream(address, Protocol::Http1))
            .send(get("/"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, SendError::Protocol { .. } | SendError::Reset { .. }),
            "{error:?}"
        );

        let (address, _) = serve(|mut stream| async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 abc\r\n\r\n").await.unwrap();
        })
        .await;
        let error = pool(upstream(address, Protocol::Http1))
            .send(get("/"))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "protocol");
    });
}

/// A server on a thread of its own, so that a test can wait for it while its own runtime stands still. Each
/// connection answers one request with its number and is closed when [`Blocking::close`] says so.
struct Blocking {
    address: SocketAddr,
    close: mpsc::Sender<()>,
    closed: mpsc::Receiver<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Blocking {
    fn new(connections: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (close, to_close) = mpsc::channel();
        let (has_closed, closed) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            for number in 0..connections {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}").unwrap();
                to_close.recv().unwrap();
                drop(stream);
                has_closed.send(()).unwrap();
            }
        });
        Self {
            address,
            close,
            closed,
            thread,
        }
    }

    fn close(&self) {
        self.close.send(()).unwrap();
        self.closed.recv().unwrap();
    }

    /// A pool with one kept connection.
    async fn pool(&self) -> UpstreamPool<Full<Bytes>> {
        let pool = pool(upstream(self.address, Protocol::Http1));
        let (response, info) = pool.send(get("/")).await.unwrap();
        assert_eq!((text(response).await.as_str(), info.reused), ("0", false));
        while pool.idle_connections() == 0 {
            tokio::task::yield_now().await;
        }
        pool
    }
}

#[test]
fn a_kept_connection_that_has_closed_is_replaced() {
    let server = Blocking::new(2);
    run(async {
        let pool = server.pool().await;
        server.close();
        // The runtime learns of the end, and wakes the connection's task, but this goes on first.
        tokio::task::yield_now().await;
        assert_eq!(pool.idle_connections(), 1);
        let (response, info) = pool.send(get("/")).await.unwrap();
        assert_eq!(
            (text(response).await.as_str(), info.reused, info.attempts),
            ("1", false, 2)
        );
        server.close();
    });
    server.thread.join().unwrap();
}

#[test]
fn a_connection_that_closes_under_a_request_is_told_from_a_bad_upstream() {
    let server = Blocking::new(2);
    run(async {
        let pool = server.pool().await;
        // No await in between: neither the pool nor the runtime can know before the request is written.
        server.close();
        let error = pool.send(get("/")).await.unwrap_err();
        assert!(error.may_have_been_sent(), "{error:?}");
        assert!(
            error.deserves_another_try(true) && !error.deserves_another_try(false),
            "{error:?}"
        );
        let (response, info) = pool.send_anew(get("/")).await.unwrap();
        assert_eq!((text(response).await.as_str(), info.reused), ("1", false));
        server.close();
    });
    server.thread.join().unwrap();
}

#[test]
fn unused_connections_are_closed() {
    run(async {
        let (address, watch) = hello().await;
        let mut upstream = upstream(address, Protocol::Http1);
        upstream.idle_timeout = Duration::from_millis(20);
        let pool = pool(upstream);
        let (response, _) = pool.send(get("/")).await.unwrap();
        text(response).await;
        watch.until_closed(1).await;
        assert_eq!(pool.idle_connections(), 0);
        let (response, info) = pool.send(get("/")).await.unwrap();
        assert!(!info.reused);
        text(response).await;
        watch.until_closed(2).await;
    });
}

#[test]
fn a_response_that_says_close_is_believed() {
    run(async {
        let (address, watch) = http(Protocol::Http1, |_| async {
            let mut response = answer("bye");
            response
                .headers_mut()
                .insert("connection", "close".parse().unwrap());
            response
        })
        .await;
        let pool = pool(upstream(address, Protocol::Http1));
        for _ in 0..2 {
            let (response, info) = pool.send(get("/")).await.unwrap();
            assert!(!info.reused);
            assert_eq!(text(response).await, "bye");
        }
        watch.until_closed(2).await;
        assert_eq!(pool.connections(), 0);
    });
}

#[test]
fn requests_beyond_the_bound_wait_for_their_turn() {
    run(async {
        let (address, watch) = hello().await;
        let mut upstream = upstream(address, Protocol::Http1);
        upstream.max_connections = 2;
        let pool = Rc::new(pool(upstream));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let pool = Rc::clone(&pool);
                tokio::task::spawn_local(async move { text(pool.send(get("/")).await.unwrap().0).await })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), "/ origin.test");
        }
        assert_eq!(watch.accepted(), 2);
    });
}

#[test]
fn requests_beyond_the_bound_do_not_wait_for_ever() {
    run(async {
        let gate = Gate::default();
        let held = gate.clone();
        let (address, _) = http(Protocol::Http1, move |_| {
            let held = held.clone();
            async move {
                held.passed().await;
                answer("late")
            }
        })
        .await;
        let mut upstream = upstream(address, Protocol::Http1);
        upstream.max_connections = 1;
        upstream.connect_timeout = Duration::from_millis(50);
        let pool = Rc::new(pool(upstream));
        let first = {
            let pool = Rc::clone(&pool);
            tokio::task::spawn_local(async move { text(pool.send(get("/")).await.unwrap().0).await })
        };
        while pool.connections() == 0 {
            tokio::task::yield_now().await;
        }
        let error = pool.send(get("/")).await.unwrap_err();
        assert!(matches!(error, SendError::Overflow { limit: 1, .. }), "{error:?}");
        gate.open();
        assert_eq!(first.await.unwrap(), "late");
    });
}

#[test]
fn a_request_given_up_takes_its_connection_with_it() {
    run(async {
        let (address, watch) = serve(|mut stream| async move {
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        })
        .await;
        let pool = pool(upstream(address, Protocol::Http1));
        let given_up = tokio::time::timeout(Duration::from_millis(20), pool.send(get("/"))).await;
        assert!(given_up.is_err());
        watch.until_closed(1).await;
        assert_eq!(pool.connections(), 0);
    });
}

#[test]
fn dropping_the_pool_closes_what_is_idle_and_cuts_nothing() {
    run(async {
        let (address, watch) = http(Protocol::Http1, |_| async { answer(vec![b'x'; 4 << 20]) }).await;
        let pool = pool(upstream(address, Protocol::Http1));
        let (response, _) = pool.send(get("/")).await.unwrap();
        drop(pool);
        assert_eq!(text(response).await.len(), 4 << 20);
        watch.until_closed(1).await;
    });
}

/// A body made of parts that is tied to its thread.
struct Parts {
    part: Rc<Vec<u8>>,
    left: usize,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from((*self.part).clone())))))
    }
}

#[test]
fn big_bodies_go_both_ways_without_a_length() {
    run(async {
        let (address, _) = http(Protocol::Http1, |request| async move {
            assert_eq!(request.headers()["transfer-encoding"], "chunked");
            Response::new(
                request
                    .into_body()
                    .map_err(|error| panic!("{error}"))
                    .boxed_unsync(),
            )
        })
        .await;
        let pool: UpstreamPool<Parts> = pool(upstream(address, Protocol::Http1));
        // hyper alone sends no body with a GET of unknown length.
        for method in ["POST", "GET"] {
            let body = Parts {
                part: Rc::new(vec![7; 64 * 1024]),
                left: 256,
            };
            let request = Request::builder().method(method).uri("/").body(body).unwrap();
            let (response, _) = pool.send(request).await.unwrap();
            let mut incoming = response.into_body();
            let mut total = 0;
            while let Some(frame) = incoming.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!(data.iter().all(|byte| *byte == 7));
                total += data.len();
            }
            assert_eq!(total, 16 << 20, "{method}");
        }
    });
}

#[test]
fn a_failing_request_body_is_told_from_a_failing_upstream() {
    struct Broken;
    impl Body for Broken {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(Some(Err(std::io::Error::other("the client went away"))))
        }
    }
    run(async {
        let (address, watch) = serve(|mut stream| async move {
            // An orderly end does not matter here.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let pool = pool(upstream(address, Protocol::Http1));
        let request = Request::post("/").body(Broken).unwrap();
        let error = pool.send(request).await.unwrap_err();
        assert!(matches!(error, SendError::RequestBody { .. }), "{error:?}");
        watch.until_closed(1).await;
    });
}

#[test]
fn a_post_without_a_body_says_so() {
    run(async {
        let heads: Notes<Vec<u8>> = Notes::default();
        let noted = Rc::clone(&heads);
        let (address, _) = serve(move |mut stream| {
            let noted = Rc::clone(&noted);
            async move {
                let head = read_until(&mut stream, b"\r\n\r\n").await;
                noted.borrow_mut().push(head);
                stream
                    .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                    .await
                    .unwrap();
            }
        })
        .await;
        let request = Request::post("/p")
            .header("host", "h")
            .body(Full::<Bytes>::default())
            .unwrap();
        let (response, _) = pool(upstream(address, Protocol::Http1))
            .send(request)
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            heads.borrow()[0],
            b"POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"
        );
    });
}

#[test]
fn an_upgraded_connection_carries_anything() {
    run(async {
        let (address, watch) = http(Protocol::Http1, |mut request| async move {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::task::spawn_local(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let mut word = [0; 4];
                io.read_exact(&mut word).await.unwrap();
                word.reverse();
                io.write_all(&word).await.unwrap();
                io.shutdown().await.unwrap();
            });
            let mut response = Response::new(full("").boxed_unsync());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response
                .headers_mut()
                .insert("connection", "upgrade".parse().unwrap());
            response
                .headers_mut()
                .insert("upgrade", "backwards".parse().unwrap());
            response
        })
        .await;
        let pool = pool(upstream(address, Protocol::Auto));
        let mut request = get("/");
        request
            .headers_mut()
            .insert("connection", "upgrade".parse().unwrap());
        request
            .headers_mut()
            .insert("upgrade", "backwards".parse().unwrap());
        let (response, _) = pool.send(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        io.write_all(b"weir").await.unwrap();
        let mut word = Vec::new();
        io.read_to_end(&mut word).await.unwrap();
        assert_eq!(word, b"riew");
        drop(io);
        watch.until_closed(1).await;
        assert_eq!(pool.idle_connections(), 0);
    });
}
