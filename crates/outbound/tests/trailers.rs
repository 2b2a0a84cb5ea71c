//! Trailers that no header announced, as they stand on the wire.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use support::{Notes, get, http, pool, read_until, run, serve, upstream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use weir_config::Protocol;
use weir_outbound::{RequestTrailers, TrailerPath, TrailingBody, UpstreamPool};

/// A body with trailers.
struct Parts {
    parts: Vec<&'static [u8]>,
    trailers: Option<HeaderMap>,
    exact: bool,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.parts.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.parts.remove(0))))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.parts.iter().map(|part| part.len() as u64).sum();
        if self.exact {
            SizeHint::with_exact(length)
        } else {
            SizeHint::default()
        }
    }
}

fn parts(parts: &[&'static [u8]], exact: bool) -> Parts {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-hash", "abc".parse().unwrap());
    trailers.insert("transfer-encoding", "gzip".parse().unwrap());
    trailers.append("x-more", "1".parse().unwrap());
    trailers.append("x-more", "2".parse().unwrap());
    Parts {
        parts: parts.to_vec(),
        trailers: Some(trailers),
        exact,
    }
}

const WIRE: &str = "x-hash: abc\r\nx-more: 1\r\nx-more: 2\r\n\r\n";

fn request(body: Parts) -> Request<TrailingBody<Parts>> {
    let slot = RequestTrailers::new();
    Request::post("/")
        .header("host", "h")
        .extension(slot.clone())
        .body(TrailingBody::with_slot(body, slot))
        .unwrap()
}

#[test]
fn chunked_requests_carry_trailers_over_http1() {
    run(async {
        let seen: Notes<String> = Notes::default();
        let notes = Rc::clone(&seen);
        let (address, watch) = serve(move |mut stream| {
            let notes = Rc::clone(&notes);
            async move {
                for _ in 0..4 {
                    let mut bytes = read_until(&mut stream, b"\r\n\r\n").await;
                    bytes.extend(read_until(&mut stream, b"\r\n\r\n").await);
                    notes.borrow_mut().push(String::from_utf8(bytes).unwrap());
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                        .await
                        .unwrap();
                }
            }
        })
        .await;
        let pool: UpstreamPool<TrailingBody<Parts>> = pool(upstream(address, Protocol::Http1));
        // With a length known and not; with several parts; with parts that look like the end; with trailers only.
        let bodies = [
            parts(&[b"hello ", b"world"], false),
            parts(&[b"hello"], true),
            parts(&[b"10", b"10\r\n0123456789abcdef\r\n0\r"], false),
            parts(&[], false),
        ];
        for body in bodies {
            let (response, _) = pool.send(request(body)).await.unwrap();
            response.into_body().collect().await.unwrap();
            // The server closes after the last one.
            while pool.idle_connections() == 0 && pool.connections() > 0 {
                tokio::task::yield_now().await;
            }
        }
        let head = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(
            *seen.borrow(),
            [
                format!("{head}6\r\nhello \r\n5\r\nworld\r\n0\r\n{WIRE}"),
                format!("{head}5\r\nhello\r\n0\r\n{WIRE}"),
                format!("{head}2\r\n10\r\n18\r\n10\r\n0123456789abcdef\r\n0\r\r\n0\r\n{WIRE}"),
                format!("{head}0\r\n{WIRE}"),
            ]
        );
        assert_eq!(watch.accepted(), 1);
    });
}

#[test]
fn requests_with_a_length_have_no_room_for_trailers() {
    run(async {
        let seen: Notes<String> = Notes::default();
        let notes = Rc::clone(&seen);
        let (address, _) = serve(move |mut stream| {
            let notes = Rc::clone(&notes);
            async move {
                let bytes = read_until(&mut stream, b"hello").await;
                notes.borrow_mut().push(String::from_utf8(bytes).unwrap());
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
                // Whatever else came would be read here.
                let rest = read_until(&mut stream, b"never").await;
                notes.borrow_mut().push(String::from_utf8(rest).unwrap());
            }
        })
        .await;
        let pool: UpstreamPool<TrailingBody<Parts>> = pool(upstream(address, Protocol::Http1));
        let mut request = request(parts(&[b"hello"], true));
        request
            .headers_mut()
            .insert("content-length", "5".parse().unwrap());
        let (response, _) = pool.send(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        drop(pool);
        while seen.borrow().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            *seen.borrow(),
            ["POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello", ""]
        );
    });
}

#[test]
fn requests_over_http2() {
    run(async {
        let seen: Notes<(Bytes, HeaderMap)> = Notes::default();
        let notes = Rc::clone(&seen);
        let (address, _) = http(Protocol::Http2, move |request| {
            let notes = Rc::clone(&notes);
            async move {
                let body = request.into_body().collect().await.unwrap();
                let trailers = body.trailers().unwrap().clone();
                notes.borrow_mut().push((body.to_bytes(), trailers));
                support::answer("")
            }
        })
        .await;
        let pool: UpstreamPool<TrailingBody<Parts>> = pool(upstream(address, Protocol::Http2));
        pool.send(request(parts(&[b"hello"], true))).await.unwrap();
        let seen = seen.borrow();
        assert_eq!(seen[0].0, "hello");
        let lines: Vec<_> = seen[0]
            .1
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(lines, [("x-hash", "abc"), ("x-more", "1"), ("x-more", "2")]);
    });
}

#[test]
fn responses_over_http1() {
    run(async {
        let (address, _) = http(Protocol::Http1, |request| async move {
            let path = request.extensions().get::<TrailerPath>().unwrap().clone();
            Response::new(TrailingBody::with_path(parts(&[b"hello"], true), path).boxed_unsync())
        })
        .await;
        // Twice on one connection, as bytes.
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
                .await
                .unwrap();
            let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await).unwrap();
            assert!(
                head.contains("transfer-encoding: chunked\r\n") && !head.contains("trailer:"),
                "{head}"
            );
            let body = read_until(&mut stream, b"\r\n\r\n").await;
            assert_eq!(
                String::from_utf8(body).unwrap(),
                format!("5\r\nhello\r\n0\r\n{WIRE}")
            );
        }
        // And as a client reads them.
        let (response, _) = pool(upstream(address, Protocol::Http1))
            .send(get("/"))
            .await
            .unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-hash"], "abc");
        assert_eq!(body.to_bytes(), "hello");
    });
}

#[test]
fn pipelined_responses_over_http1() {
    run(async {
        let (address, _) = http(Protocol::Http1, |request| async move {
            let path = request.extensions().get::<TrailerPath>().unwrap().clone();
            Response::new(TrailingBody::with_path(parts(&[b"hello"], false), path).boxed_unsync())
        })
        .await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all("GET / HTTP/1.1\r\nhost: h\r\n\r\n".repeat(20).as_bytes())
            .await
            .unwrap();
        for _ in 0..20 {
            read_until(&mut stream, b"\r\n\r\n").await;
            let body = read_until(&mut stream, b"\r\n\r\n").await;
            assert_eq!(
                String::from_utf8(body).unwrap(),
                format!("5\r\nhello\r\n0\r\n{WIRE}")
            );
        }
    });
}
