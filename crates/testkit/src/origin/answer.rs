//! The response to a request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::record::fields;
use super::script::Script;
use super::{Kept, Record};

/// Bytes of a body that is made as it is sent, in one piece.
const PIECE: usize = 64 << 10;

/// Receives a request and answers it.
pub(crate) async fn answer(request: Request<Incoming>, kept: Arc<Kept>) -> Response<Outgoing> {
    let (head, body) = request.into_parts();
    let mut script = Script::parse(head.uri.query().unwrap_or_default());
    let record = Record::new(&head);
    if let Some(etag) = &script.etag {
        script
            .headers
            .push(("etag".to_owned(), etag.clone().into_bytes()));
        if record.values("if-none-match").contains(&etag.as_bytes()) {
            script = Script {
                status: Some(script.revalidate.unwrap_or(304)),
                headers: script.headers,
                delay: script.delay,
                ..Script::default()
            };
        }
    }
    if script.ranges {
        select_part(&mut script, &record);
    }
    let received = if script.early {
        tokio::spawn(receive(record, body, kept));
        Vec::new()
    } else {
        receive(record, body, kept).await
    };
    sleep(script.delay).await;
    respond(script, received)
}

/// Makes the body the part that a request wants of it: `bytes=FIRST-LAST`, where the end may be missing.
fn select_part(script: &mut Script, record: &Record) {
    let Some(body) = &script.body else { return };
    let total = body.len();
    script
        .headers
        .push(("accept-ranges".to_owned(), b"bytes".to_vec()));
    let wanted = record.values("range").first().copied().unwrap_or_default();
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
    let range = wanted.strip_prefix(b"bytes=").and_then(|range| {
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let last = number(&range[dash + 1..]).unwrap_or(usize::MAX);
        Some((number(&range[..dash])?, last.min(total.saturating_sub(1))))
    });
    if let Some((first, last)) = range.filter(|(first, last)| first <= last) {
        let part = format!("bytes {first}-{last}/{total}");
        script.body = Some(body[first..=last].to_vec());
        script.status = Some(206);
        script
            .headers
            .push(("content-range".to_owned(), part.into_bytes()));
    }
}

/// Receives the body; gives its beginning.
async fn receive(mut record: Record, mut body: Incoming, kept: Arc<Kept>) -> Vec<u8> {
    while let Some(frame) = body.frame().await {
        // A request that breaks off has not arrived.
        let Ok(frame) = frame else { return Vec::new() };
        match frame.into_data() {
            Ok(data) => record.data(&data),
            Err(frame) => record
                .trailers
                .extend(frame.trailers_ref().map(fields).unwrap_or_default()),
        }
    }
    let received = record.body.clone();
    kept.keep(record);
    received
}

fn respond(mut script: Script, received: Vec<u8>) -> Response<Outgoing> {
    let pieces = std::mem::take(&mut script.chunks);
    let sized = pieces.is_empty() && script.size.is_none() && script.trailers.is_empty() && !script.abort;
    let whole = match script.body.take() {
        Some(body) => body,
        None if !pieces.is_empty() || script.size.is_some() => Vec::new(),
        None if matches!(script.status, Some(204 | 304)) => Vec::new(),
        None if received.is_empty() => b"hello from the origin".to_vec(),
        None => received,
    };
    let mut response = Response::new(Outgoing::Whole(None));
    *response.status_mut() = script
        .status
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert("x-origin", HeaderValue::from_static("1"));
    for (name, value) in header_map(&script.headers).iter() {
        headers.append(name, value.clone());
    }
    for (name, _) in &script.trailers {
        if let Ok(name) = HeaderValue::from_str(name) {
            headers.append(header::TRAILER, name);
        }
    }
    *response.body_mut() = if sized {
        Outgoing::Whole((!whole.is_empty()).then(|| Bytes::from(whole)))
    } else {
        let (sender, receiver) = mpsc::channel(4);
        let first = (!whole.is_empty()).then_some(whole);
        tokio::spawn(send(script, first.into_iter().chain(pieces).collect(), sender));
        Outgoing::Pieces(receiver)
    };
    response
}

/// Sends a body piece by piece. Where nobody wants it any more, sending fails and that is its end.
async fn send(script: Script, pieces: Vec<Vec<u8>>, sender: mpsc::Sender<io::Result<Frame<Bytes>>>) {
    for piece in pieces {
        if sender.send(Ok(Frame::data(Bytes::from(piece)))).await.is_err() {
            return;
        }
        sleep(script.delay).await;
    }
    let piece = Bytes::from_static(&[b'x'; PIECE]);
    let mut left = script.size.unwrap_or(0);
    while left > 0 {
        let now = left.min(PIECE as u64);
        if sender
            .send(Ok(Frame::data(piece.slice(..now as usize))))
            .await
            .is_err()
        {
            return;
        }
        left -= now;
    }
    let end = if script.abort {
        Some(Err(io::Error::other("asked to break off")))
    } else {
        (!script.trailers.is_empty()).then(|| Ok(Frame::trailers(header_map(&script.trailers))))
    };
    if let Some(end) = end {
        let _ = sender.send(end).await;
    }
}

fn header_map(fields: &[(String, Vec<u8>)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            map.append(name, value);
        }
    }
    map
}

/// A response's body.
pub(crate) enum Outgoing {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<io::Result<Frame<Bytes>>>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces(receiver) => receiver.poll_recv(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
