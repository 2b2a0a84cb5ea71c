//! The way to upstreams: connection pools over HTTP/1.1, HTTP/2 and TLS, and the HTTP calls of guests.
//!
//! Everything but [`LoadedUpstream`] lives on one worker: a current-thread tokio runtime inside a `LocalSet`, where
//! nothing is shared between threads and nothing is locked. [`UpstreamPool`] carries proxied requests,
//! [`HttpCaller`] the calls that guests begin with `proxy_http_call`. [`TrailerIo`] puts trailers on HTTP/1.1 connections,
//! towards upstreams and towards clients.
#![forbid(unsafe_code)]

mod call_request;
mod calls;
mod connection;
mod endpoint;
mod error;
mod exec;
mod h2_io;
mod h2_joiner;
mod http_form;
mod info;
pub mod pem;
mod pool;
mod tls;
mod trailer_io;
mod trailer_splice;
mod trailers;
mod transport;
mod upstream;

pub use calls::{Answer, CallLimits, HttpCaller, NO_ROOM, PreparedCall};
pub use connection::RequestLease;
pub use error::SendError;
pub use exec::LocalExec;
pub use h2_io::{CONNECTION_WINDOW, FrameJoinerIo, MAX_CONCURRENT_STREAMS, STREAM_WINDOW};
pub use info::{ConnectionInfo, Established, TlsFacts, WireProtocol};
pub use pool::UpstreamPool;
pub use tls::{Tls, TlsError};
pub use trailer_io::{TrailerHandle, TrailerIo};
pub use trailers::{RequestTrailers, TrailerPath, TrailingBody};
pub use upstream::{LoadedUpstream, UpstreamError, Upstreams};
