//! The head of a response as it goes out.

use http::{Response, Version};
use weir_chain::{Length, ResponseHead};
use weir_outbound::TrailerPath;

use crate::bodies::ResponsePump;
use crate::connection::Connection;

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
