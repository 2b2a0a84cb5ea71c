//! The wishes of a request to the origin, in its query.

use std::time::Duration;

use crate::client::Fields;

/// The response that a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) status: Option<u16>,
    pub(crate) headers: Fields,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Fields,
    pub(crate) delay: Duration,
    pub(crate) etag: Option<String>,
    /// The status of the response to a request that names the tag.
    pub(crate) revalidate: Option<u16>,
    /// A part of the body is sent to a request that wants one.
    pub(crate) ranges: bool,
    pub(crate) early: bool,
    pub(crate) abort: bool,
}

impl Script {
    /// Reads a query. What is no word of the origin's is not for it.
    pub(crate) fn parse(query: &str) -> Self {
        let mut script = Self::default();
        for part in query.split('&') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = decoded(value);
            let number = || String::from_utf8_lossy(&value).parse().ok();
            match key {
                "status" => script.status = number().and_then(|status| u16::try_from(status).ok()),
                "header" => script.headers.extend(field(&value)),
                "body" => script.body = Some(value),
                "size" => script.size = number(),
                "chunk" => script.chunks.push(value),
                "trailer" => script.trailers.extend(field(&value)),
                "delay" => script.delay = Duration::from_millis(number().unwrap_or(0)),
                "etag" => script.etag = Some(format!("\"{}\"", String::from_utf8_lossy(&value))),
                "revalidate" => script.revalidate = number().and_then(|status| u16::try_from(status).ok()),
                "ranges" => script.ranges = true,
                "early" => script.early = true,
                "abort" => script.abort = true,
                _ => {}
            }
        }
        script
    }
}

fn field(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    Some((
        String::from_utf8(text[..colon].to_vec()).ok()?,
        text[colon + 1..].to_vec(),
    ))
}

/// Percent-encoding undone; a percent sign that begins none stays.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let byte = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read() {
        let script = Script::parse(
            "status=404&etag=e&header=x:1:2&header=y:%e9&chunk=a&chunk=b%20c&delay=7&abort&other=1&size=%",
        );
        let expected = Script {
            status: Some(404),
            headers: vec![("x".into(), b"1:2".to_vec()), ("y".into(), b"\xe9".to_vec())],
            chunks: vec![b"a".to_vec(), b"b c".to_vec()],
            delay: Duration::from_millis(7),
            etag: Some("\"e\"".to_owned()),
            abort: true,
            ..Script::default()
        };
        assert_eq!(script, expected);
    }
}
