//! HTTP/2 connections with prior knowledge: shared, and replaced.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::rc::Rc;
use std::time::Duration;

use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use support::{Gate, answer, full, get, http, nobody, pool, run, serve, text, upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_config::Protocol;
use weir_outbound::{LocalExec, SendError, WireProtocol};

#[test]
fn requests_share_one_connection() {
    run(async {
        let (address, watch) = http(Protocol::Http2, |request| async move {
            assert_eq!(request.version(), Version::HTTP_2);
            assert!(!request.headers().contains_key("host"));
            answer(request.uri().to_string())
        })
        .await;
        let pool = Rc::new(pool(upstream(address, Protocol::Http2)));
        // All at once, so that they meet while the connection is being made.
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let pool = Rc::clone(&pool);
                tokio::task::spawn_local(async move {
                    let (response, info) = pool.send(get(&format!("/{number}"))).await.unwrap();
                    assert_eq!(info.connection.protocol, WireProtocol::Http2);
                    (text(response).await, info.reused)
                })
            })
            .collect();
        let mut made = 0;
        for (number, task) in tasks.into_iter().enumerate() {
            let (uri, reused) = task.await.unwrap();
            assert_eq!(uri, format!("http://origin.test/{number}"));
            made += usize::from(!reused);
        }
        assert_eq!((made, watch.accepted(), pool.connections()), (1, 1, 1));
    });
}

#[test]
fn a_failed_connection_fails_all_who_waited_for_it() {
    run(async {
        let pool = Rc::new(pool(upstream(nobody().await, Protocol::Http2)));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let pool = Rc::clone(&pool);
                tokio::task::spawn_local(async move { pool.send(get("/")).await.map(drop).unwrap_err() })
            })
            .collect();
        for task in tasks {
            let error = task.await.unwrap();
            assert!(matches!(error, SendError::Connect { .. }), "{error:?}");
        }
        assert_eq!(pool.connections(), 0);
    });
}

#[test]
fn a_connection_that_says_goodbye_is_replaced_and_its_streams_end_well() {
    run(async {
        let (leave, left) = (Gate::default(), Gate::default());
        let (leaving, gone) = (leave.clone(), left.clone());
        let (address, watch) = serve(move |stream| {
            let (leaving, gone) = (leaving.clone(), gone.clone());
            async move {
                let hold = leaving.clone();
                let service = service_fn(move |request: Request<_>| {
                    let hold = hold.clone();
                    async move {
                        if request.uri().path() == "/slow" {
                            hold.passed().await;
                        }
                        Ok::<_, std::convert::Infallible>(answer("ok"))
                    }
                });
                let builder = hyper::server::conn::http2::Builder::new(LocalExec);
                let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
                tokio::select! {
                    ended = connection.as_mut() => return ended.unwrap(),
                    () = leaving.passed() => connection.as_mut().graceful_shutdown(),
                }
                gone.open();
                connection.await.unwrap();
            }
        })
        .await;
        let pool = Rc::new(pool(upstream(address, Protocol::Http2)));
        let slow = {
            let pool = Rc::clone(&pool);
            tokio::task::spawn_local(async move { text(pool.send(get("/slow")).await.unwrap().0).await })
        };
        let (response, _) = pool.send(get("/")).await.unwrap();
        assert_eq!(text(response).await, "ok");
        leave.open();
        assert_eq!(slow.await.unwrap(), "ok");
        left.passed().await;
        watch.until_closed(1).await;
        let (response, info) = pool.send(get("/")).await.unwrap();
        assert_eq!((text(response).await.as_str(), watch.accepted()), ("ok", 2));
        assert!(!info.reused);
    });
}

/// Reads the preface and all frames up to and including the first HEADERS.
async fn read_request_head(stream: &mut TcpStream) {
    stream.read_exact(&mut [0; 24]).await.unwrap();
    let mut kind = 0;
    while kind != 1 {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
        kind = head[3];
    }
}

#[test]
fn a_stream_that_is_refused_has_not_been_looked_at() {
    run(async {
        // Frames by hand: settings, then what each case answers to stream 1.
        let frame = |kind: u8, stream: u8, payload: &[u8]| {
            [&[0, 0, payload.len() as u8, kind, 0, 0, 0, 0, stream], payload].concat()
        };
        let (reset, go_away) = (3, 7);
        for (answer, sent, again) in [
            (frame(reset, 1, &[0, 0, 0, 7]), false, true),
            (frame(reset, 1, &[0, 0, 0, 2]), true, false),
            (frame(go_away, 0, &[0, 0, 0, 0, 0, 0, 0, 0]), false, true),
            (frame(go_away, 0, &[0, 0, 0, 0, 0, 0, 0, 2]), true, false),
        ] {
            let bytes = [frame(4, 0, &[]), answer].concat();
            let (address, _) = serve(move |mut stream| {
                let bytes = bytes.clone();
                async move {
                    read_request_head(&mut stream).await;
                    stream.write_all(&bytes).await.unwrap();
                    // However the client leaves.
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            })
            .await;
            let error = pool(upstream(address, Protocol::Http2))
                .send(get("/"))
                .await
                .map(drop)
                .unwrap_err();
            assert_eq!(
                (error.reason(), error.may_have_been_sent()),
                ("reset", sent),
                "{error:?}"
            );
            assert_eq!(error.deserves_another_try(true), again, "{error:?}");
        }
    });
}

#[test]
fn an_unused_connection_is_closed() {
    run(async {
        let (address, watch) = http(Protocol::Http2, |_| async { answer("ok") }).await;
        let mut upstream = upstream(address, Protocol::Http2);
        upstream.idle_timeout = Duration::from_millis(20);
        let pool = pool(upstream);
        let (response, _) = pool.send(get("/")).await.unwrap();
        assert_eq!(text(response).await, "ok");
        watch.until_closed(1).await;
        assert_eq!(pool.connections(), 0);
    });
}

#[test]
fn a_stream_outlives_the_idle_timeout() {
    run(async {
        let gate = Gate::default();
        let held = gate.clone();
        let (address, _) = http(Protocol::Http2, move |request| {
            let held = held.clone();
            async move {
                if request.uri().path() == "/slow" {
                    held.passed().await;
                }
                answer("ok")
            }
        })
        .await;
        let mut upstream = upstream(address, Protocol::Http2);
        upstream.idle_timeout = Duration::from_millis(20);
        let pool = Rc::new(pool(upstream));
        let slow = {
            let pool = Rc::clone(&pool);
            tokio::task::spawn_local(async move { text(pool.send(get("/slow")).await.unwrap().0).await })
        };
        // The next request on a new connection is the sign that the old one was let go.
        while pool.send(get("/")).await.unwrap().1.reused {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        gate.open();
        assert_eq!(slow.await.unwrap(), "ok");
    });
}

#[test]
fn big_bodies_go_both_ways() {
    run(async {
        let (address, _) = http(Protocol::Http2, |request| async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            answer(body)
        })
        .await;
        let pool = pool(upstream(address, Protocol::Http2));
        let request = Request::post("/").body(full(vec![b'x'; 8 << 20])).unwrap();
        let (response, _) = pool.send(request).await.unwrap();
        assert_eq!(text(response).await.len(), 8 << 20);
    });
}

#[test]
fn a_server_of_http1_is_told_from_a_proper_one() {
    run(async {
        let (address, _) = http(Protocol::Http1, |_| async { answer("ok") }).await;
        let error = pool(upstream(address, Protocol::Http2))
            .send(get("/"))
            .await
            .map(drop)
            .unwrap_err();
        assert!(["protocol", "reset"].contains(&error.reason()), "{error:?}");
    });
}
