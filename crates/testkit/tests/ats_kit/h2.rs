//! Streams of one connection of HTTP/2 that can be broken off.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A connection. Closed at once when dropped.
pub struct Streams {
    runtime: Runtime,
    sender: SendRequest<Upload>,
}

/// A body whose first part is there and whose rest may never come.
pub struct Upload {
    first: Option<Bytes>,
    ends: bool,
}

impl Streams {
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// Begins a request. `body`: its first bytes, and whether that is all of them. Gives up after `patience`, in the body
    /// of the response if that has begun.
    pub fn abandon(&self, path: &str, rules: &str, body: Option<(&str, bool)>, patience: Duration) {
        let (first, ends) = body.map_or((None, true), |(first, ends)| {
            (Some(Bytes::copy_from_slice(first.as_bytes())), ends)
        });
        let request = http::Request::builder()
            .method(if first.is_some() { "POST" } else { "GET" })
            .uri(format!("http://weir.test{path}"))
            .header("x-misbehave", rules)
            .body(Upload { first, ends })
            .unwrap();
        let mut sender = self.sender.clone();
        self.runtime.block_on(async {
            let exchange = async {
                let response = sender.send_request(request).await;
                if let Ok(response) = response {
                    let mut body = response.into_body();
                    // Read, so that the server goes on sending until we go.
                    while let Some(Ok(_)) = body.frame().await {}
                }
            };
            // The exchange may have come any way.
            let _ = tokio::time::timeout(patience, exchange).await;
        });
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.ends => Poll::Ready(None),
            // Whoever drops the stream ends the wait.
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.ends
    }
}
