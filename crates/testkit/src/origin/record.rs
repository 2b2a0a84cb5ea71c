//! Requests that have arrived.

use std::fmt;

use http::request::Parts;
use http::{HeaderMap, Version};

use crate::client::Fields;

/// Bytes of a body that are kept; of longer ones only the length is.
const KEPT: usize = 1 << 20;

/// A request, as it arrived.
#[derive(Clone)]
pub struct Record {
    /// The method, such as `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The version, such as `HTTP/1.1`.
    pub version: String,
    /// Field lines; `host` is there in HTTP/2 too.
    pub headers: Fields,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Length of the body.
    pub length: u64,
    /// Field lines after the body.
    pub trailers: Fields,
}

impl Record {
    pub(crate) fn new(head: &Parts) -> Self {
        let mut headers = fields(&head.headers);
        if head.version == Version::HTTP_2
            && let Some(authority) = head.uri.authority()
        {
            headers.insert(0, ("host".to_owned(), authority.as_str().as_bytes().to_vec()));
        }
        Self {
            method: head.method.to_string(),
            path: head
                .uri
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            version: format!("{:?}", head.version),
            headers,
            body: Vec::new(),
            length: 0,
            trailers: Vec::new(),
        }
    }

    pub(crate) fn data(&mut self, data: &[u8]) {
        self.length += data.len() as u64;
        let room = KEPT.saturating_sub(self.body.len());
        self.body.extend(&data[..data.len().min(room)]);
    }

    /// The values of all field lines of a name.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        crate::client::values(&self.headers, name)
    }
}

/// As it was on the wire, more or less.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            path,
            version,
            ..
        } = self;
        writeln!(f, "{method} {path} {version}")?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        match self.length {
            0..=4096 => writeln!(f, "\n{}", self.body.escape_ascii())?,
            long => writeln!(f, "\n({long} bytes)")?,
        }
        for (name, value) in &self.trailers {
            writeln!(f, "{name}: {} (trailer)", value.escape_ascii())?;
        }
        Ok(())
    }
}

pub(crate) fn fields(map: &HeaderMap) -> Fields {
    map.iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}
