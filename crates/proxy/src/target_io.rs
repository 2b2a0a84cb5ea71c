//! A client's connection on which hyper reads request targets that it would refuse.
//!
//! hyper answers 400 to targets with raw `"`, `<`, `>`, backticks or bytes beyond ASCII, before any filter or log sees them, and
//! drops a fragment. [`TargetIo`] lies below hyper and writes each such byte as a stand-in, a character of Unicode's private
//! area, which hyper's URIs take; [`written`] turns them back. Every byte beyond ASCII of a target is written so, and so no
//! target has a stand-in of its client's.
//!
//! Stand-ins are longer than what they stand for, so they may stand in request lines alone. Where a body begins and ends is
//! hyper's word ([`crate::watched_io::Activity::read_head`]), never a second opinion. While the layer does not know where it is, as
//! on a tunnel or in a chunked body, it changes nothing.

use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use weir_http_rules::request_path::is_foreign;

use crate::watched_io::{Activity, BodyLength};

/// The beginning of a connection of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// The end of a head, and of a chunked body without trailers.
const END: [u8; 4] = *b"\r\n\r\n";

/// The first byte of all stand-ins, U+E000 to U+E0FF in UTF-8.
const STAND_IN: u8 = 0xee;

/// A stream of bytes between hyper's server and a client.
pub(crate) struct TargetIo<T> {
    inner: T,
    activity: Arc<Activity>,
    place: Place,
    /// Bytes to hand out next, with their stand-ins. At most three times as many as hyper reads in one turn.
    ready: Vec<u8>,
    /// Bytes that came with the end of a head, which wait until hyper has read the head. At most one read of hyper's.
    behind: Vec<u8>,
}

/// The place in the stream of what is read next.
enum Place {
    /// So many bytes of the connection are those of HTTP/2's preface.
    Opening(usize),
    /// In a head.
    Head(Line),
    /// Behind a head, which hyper has not yet read.
    Behind,
    /// In a body with so many bytes left.
    Body(u64),
    /// Somewhere, after these last bytes.
    Unknown([u8; 4]),
    /// On a connection that is not of HTTP/1.
    Foreign,
}

/// The place in a head.
#[derive(Clone, Copy)]
enum Line {
    /// At lines before the request line, which servers skip.
    Before,
    Method,
    Target,
    /// In the rest of a line.
    Rest,
    Start,
    /// After a carriage return that begins a line.
    Return,
}

impl<T> TargetIo<T> {
    /// Wraps a connection from its beginning.
    pub fn new(inner: T, activity: Arc<Activity>) -> Self {
        Self {
            inner,
            activity,
            place: Place::Opening(0),
            ready: Vec::new(),
            behind: Vec::new(),
        }
    }

    /// Finds out where the next bytes belong.
    fn locate(&mut self) {
        match self.place {
            Place::Behind => {
                self.place = match self.activity.take_body_length() {
                    Some(BodyLength::Known(length)) => Place::Body(length),
                    Some(BodyLength::Unknown) | None => Place::Unknown([0; 4]),
                };
                self.locate();
            }
            Place::Body(0) => self.place = Place::Head(Line::Before),
            // hyper has read a head that this layer took for something else.
            Place::Unknown(_) if self.activity.take_body_length().is_some() => {
                self.place = Place::Unknown([0; 4]);
            }
            // hyper has read the last request to its end, and would have read a head that ended here.
            Place::Unknown(END) if self.activity.is_between_requests() => {
                self.place = Place::Head(Line::Before);
            }
            _ => {}
        }
    }

    /// Notes bytes that are next in the stream, and returns how many of them may go to hyper now, at least one, and whether
    /// there is something to change in them.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        match &mut self.place {
            Place::Foreign | Place::Behind => (bytes.len(), false),
            Place::Body(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                (count, false)
            }
            Place::Unknown(last) => {
                for byte in &bytes[bytes.len().saturating_sub(4)..] {
                    *last = [last[1], last[2], last[3], *byte];
                }
                (bytes.len(), false)
            }
            Place::Opening(matched) => {
                let rest = &PREFACE[*matched..];
                let same = rest.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                if same == rest.len() {
                    self.place = Place::Foreign;
                    return (bytes.len(), false);
                }
                if same == bytes.len() {
                    *matched += same;
                    return (bytes.len(), false);
                }
                let mut line = Line::Before;
                scan(&mut line, &PREFACE[..*matched]);
                self.place = Place::Head(line);
                self.advance(bytes)
            }
            Place::Head(line) => {
                let scanned = scan(line, bytes);
                if scanned.ended {
                    self.activity.take_body_length();
                    self.place = Place::Behind;
                }
                (scanned.count, scanned.foreign)
            }
        }
    }
}

struct Scanned {
    count: usize,
    ended: bool,
    foreign: bool,
}

/// Goes through bytes of a head, up to its end.
fn scan(line: &mut Line, bytes: &[u8]) -> Scanned {
    let mut foreign = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        *line = match (*line, byte) {
            (Line::Before, b'\r' | b'\n') => Line::Before,
            (Line::Start | Line::Return, b'\n') => {
                return Scanned {
                    count: at + 1,
                    ended: true,
                    foreign,
                };
            }
            (_, b'\n') => Line::Start,
            (Line::Before | Line::Method, b' ') => Line::Target,
            (Line::Before | Line::Method, _) => Line::Method,
            (Line::Target, b' ') => Line::Rest,
            (Line::Target, byte) => {
                foreign |= needs_stand_in(*byte);
                Line::Target
            }
            (Line::Start, b'\r') => Line::Return,
            _ => {
                // The rest of a line is of no interest.
                at += bytes[at..]
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(bytes.len() - at);
                *line = Line::Rest;
                continue;
            }
        };
        at += 1;
    }
    Scanned {
        count: bytes.len(),
        ended: false,
        foreign,
    }
}

fn needs_stand_in(byte: u8) -> bool {
    is_foreign(byte) || byte == b'#'
}

/// Returns the bytes of a head with stand-ins in its target. `line` is the place of the first byte.
fn with_stand_ins(mut line: Line, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 32);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(line, Line::Target) && needs_stand_in(*byte) {
            out.extend([STAND_IN, 0x80 | (byte >> 6), 0x80 | (byte & 0x3f)]);
        } else if matches!(line, Line::Rest | Line::Start) {
            out.extend_from_slice(&bytes[at..]);
            break;
        } else {
            out.push(*byte);
        }
        scan(&mut line, &bytes[at..=at]);
    }
    out
}

/// Returns a target of HTTP/1 as its client wrote it: without stand-ins. Allocates only where there are some.
pub(crate) fn written(target: &str) -> Cow<'_, [u8]> {
    let bytes = target.as_bytes();
    if bytes.is_ascii() {
        return Cow::Borrowed(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut left = bytes;
    while let [first, after @ ..] = left {
        left = match left {
            [STAND_IN, high @ 0x80..=0x83, low, after @ ..] => {
                plain.push((high << 6) | (low & 0x3f));
                after
            }
            _ => {
                plain.push(*first);
                after
            }
        };
    }
    Cow::Owned(plain)
}

impl<T: AsyncRead + Unpin> AsyncRead for TargetIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ready.is_empty() {
            hand_out(&mut this.ready, buf);
            return Poll::Ready(Ok(()));
        }
        this.locate();
        let before = buf.filled().len();
        let had_some = !this.behind.is_empty();
        if had_some {
            let count = this.behind.len().min(buf.remaining());
            buf.put_slice(&this.behind[..count]);
        } else {
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        }
        if buf.filled().len() == before {
            return Poll::Ready(Ok(()));
        }
        let line = match this.place {
            Place::Head(line) => line,
            // What was taken for a preface has no stand-in in it.
            Place::Opening(matched) => {
                let mut line = Line::Before;
                scan(&mut line, &PREFACE[..matched]);
                line
            }
            _ => Line::Rest,
        };
        let (count, foreign) = this.advance(&buf.filled()[before..]);
        if had_some {
            this.behind.drain(..count);
        } else {
            this.behind.extend_from_slice(&buf.filled()[before + count..]);
        }
        buf.set_filled(before + count);
        if foreign {
            this.ready = with_stand_ins(line, &buf.filled()[before..]);
            buf.set_filled(before);
            hand_out(&mut this.ready, buf);
        }
        Poll::Ready(Ok(()))
    }
}

fn hand_out(from: &mut Vec<u8>, buf: &mut ReadBuf<'_>) {
    let count = from.len().min(buf.remaining());
    buf.put_slice(&from[..count]);
    from.drain(..count);
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TargetIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Reads a stream as hyper would: after each head hyper says how long the body is, by `lengths`.
    fn read(stream: &[u8], piece: usize, lengths: &[BodyLength]) -> Vec<u8> {
        let activity = Activity::new();
        let mut io = TargetIo::new(stream, Arc::clone(&activity));
        let mut lengths = lengths.iter();
        let mut all = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut buf = vec![0; piece];
            loop {
                let count = io.read(&mut buf).await.unwrap();
                all.extend_from_slice(&buf[..count]);
                if count == 0 {
                    break;
                }
                if matches!(io.place, Place::Behind)
                    && io.ready.is_empty()
                    && let Some(length) = lengths.next()
                {
                    activity.read_head(*length);
                }
            }
        });
        all
    }

    fn shown(bytes: &[u8]) -> String {
        String::from_utf8_lossy(&written(std::str::from_utf8(bytes).unwrap())).into_owned()
    }

    #[test]
    fn targets_alone_have_stand_ins_however_the_bytes_come() {
        let first = "POST /a\"<>`#é HTTP/1.1\r\nx: \"é\"\r\n\r\n";
        let body = "/\"\r\n\r\nGET /\" HTTP";
        let second = "\r\nGET /é HTTP/1.1\n\n";
        let third = "PUT /> HTTP/1.1\r\n\r\n5\r\n>>>>>\r\n0\r\n\r\n";
        let stream = [first, body, second, third].concat();
        let lengths = [
            BodyLength::Known(body.len() as u64),
            BodyLength::Known(0),
            BodyLength::Unknown,
        ];
        for piece in [1, 2, 3, 7, 24, 1000] {
            let all = read(stream.as_bytes(), piece, &lengths);
            let text = std::str::from_utf8(&all).unwrap();
            let stands = text
                .chars()
                .filter(|char| ('\u{e000}'..='\u{e0ff}').contains(char));
            // Six and two bytes of the first target, two of the second, one of the third.
            assert_eq!(stands.count(), 7 + 2 + 1, "{piece}: {text:?}");
            assert_eq!(shown(&all), stream, "{piece}");
            let rest = text.split_once(" HTTP/1.1\r\nx: ").unwrap().1;
            assert!(
                rest.starts_with(&format!("\"é\"\r\n\r\n{body}")),
                "{piece}: {rest:?}"
            );
        }
    }

    #[test]
    fn what_hyper_has_not_framed_stays_as_it_is() {
        for stream in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /\" HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n",
        ] {
            for piece in [1, 5, 24, 1000] {
                assert_eq!(read(stream.as_bytes(), piece, &[]), stream.as_bytes());
            }
        }
        let requests = "GET / HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n";
        let tunnel = read(requests.as_bytes(), 1000, &[BodyLength::Unknown]);
        assert_eq!(tunnel, requests.as_bytes());
    }
}
