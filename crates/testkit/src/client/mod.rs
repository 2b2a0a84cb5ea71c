//! Clients: HTTP/1.1 byte by byte, and HTTP/2.

mod http1;
mod http2;
mod message;

pub use http1::Http1;
pub use http2::Http2;
pub(crate) use message::values;
pub use message::{Content, Fields, Outcome, Request, Response};
