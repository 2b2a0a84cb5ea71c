//! The head of a response as it goes out.

use http::header::{self, HeaderValue};
use http::{Response, Version};
use hyper::ext::ReasonPhrase;
use weir_chain::{Length, ResponseHead};
use weir_outbound::TrailerPath;

use crate::bodies::ResponsePump;
use crate::connection::Connection;
use crate::stream::SharedState;

pub(super) fn take_head(head: &mut ResponseHead, keep: bool) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.headers_mut() = if keep {
        head.fields.clone()
    } else {
        std::mem::take(&mut head.fields)
    };
    response
}

/// Adds what belongs to HTTP/1: the upstream's reason phrase, as long as the status is its own, and the end of the connection
/// where the request has not been read to its end (RFC 9112, 9.6).
pub(super) fn finish_head(head: &mut Response<()>, state: &SharedState) {
    let state = state.borrow();
    let messages = &state.messages;
    if messages.request.version == Version::HTTP_2 {
        return;
    }
    if !messages.facts.request_ended {
        head.headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    match &messages.facts.reason {
        Some((status, phrase)) if *status == head.status() && !state.is_local() => {
            head.extensions_mut().insert(phrase.clone());
        }
        _ if head.status().canonical_reason().is_none() => {
            head.extensions_mut()
                .insert(ReasonPhrase::from_static(b"Unknown"));
        }
        _ => {}
    }
}

pub(super) fn local_length(pump: &ResponsePump) -> Length {
    match pump.announced_length() {
        Some(0) | None => Length::None,
        Some(bytes) => Length::Exact(bytes),
    }
}

/// The way of a response's trailers to the client.
pub(super) fn trailer_path(version: Version, length: Length, connection: &Connection) -> TrailerPath {
    match (version, length) {
        (Version::HTTP_2, _) => TrailerPath::Native,
        (Version::HTTP_11, Length::Open) => TrailerPath::Spliced(connection.trailers.clone()),
        _ => TrailerPath::Dropped,
    }
}
