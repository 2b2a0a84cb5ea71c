//! The built-in upstream that answers with what it was sent.
//!
//! The answer is 200, `text/plain`: the request line and the field lines as an HTTP/1.1 upstream would see them, an empty
//! line, and the request's body, which streams back as it comes. Trailers of the request come back as trailers. The head
//! is given once something of the body is there (or its end), so that a filter that refuses a body can still do so.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};

use crate::bodies::{BodyError, RequestBody};

/// Body bytes that are taken in before the head is given, as long as they are there already.
const AHEAD: u64 = 64 << 10;

/// Answers a request. An error is that of the request's body.
pub(crate) async fn answer(request: Request<RequestBody>) -> Result<Response<EchoBody>, BodyError> {
    let (parts, mut body) = request.into_parts();
    let mut text = BytesMut::with_capacity(256);
    text.put_slice(parts.method.as_str().as_bytes());
    text.put_u8(b' ');
    text.put_slice(
        parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .as_bytes(),
    );
    text.put_slice(b" HTTP/1.1\n");
    let host = parts.headers.get(header::HOST).map(|host| (header::HOST, host));
    let rest = parts.headers.iter().filter(|(name, _)| **name != header::HOST);
    for (name, value) in host.iter().map(|(name, value)| (name, *value)).chain(rest) {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_u8(b'\n');
    }
    text.put_u8(b'\n');
    let body_left = body.size_hint().exact();
    let (ahead, trailers) = read_ahead(&mut body).await?;
    let length = body_left.map(|left| left + text.len() as u64);
    text.extend_from_slice(&ahead);
    let mut response = Response::new(EchoBody {
        first: Some(text.freeze()),
        body,
        trailers,
        left: length,
    });
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}

/// Takes what is there of the body, at least something.
async fn read_ahead(body: &mut RequestBody) -> Result<(BytesMut, Option<HeaderMap>), BodyError> {
    let mut ahead = BytesMut::new();
    loop {
        if body.is_end_stream() || ahead.len() as u64 >= AHEAD {
            return Ok((ahead, None));
        }
        let something = !ahead.is_empty();
        let frame = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending if something => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
        });
        match frame.await {
            None | Some(None) => return Ok((ahead, None)),
            Some(Some(frame)) => match frame?.into_data() {
                Ok(data) => ahead.extend_from_slice(&data),
                Err(frame) => return Ok((ahead, frame.into_trailers().ok())),
            },
        }
    }
}

/// The text about the head, then the request's body.
pub(crate) struct EchoBody {
    first: Option<Bytes>,
    body: RequestBody,
    trailers: Option<HeaderMap>,
    left: Option<u64>,
}

impl Body for EchoBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = match this.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => match this.trailers.take() {
                Some(trailers) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                None => Pin::new(&mut this.body).poll_frame(cx),
            },
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(left)) = (&frame, &mut this.left)
            && let Some(data) = frame.data_ref()
        {
            *left = left.saturating_sub(data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.trailers.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
