//! Requests that are sent, and their outcomes.

use std::fmt;

/// Field lines in order: names in lower case where they were received.
pub type Fields = Vec<(String, Vec<u8>)>;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The authority; `Host` in HTTP/1.1.
    pub authority: String,
    /// Further field lines.
    pub headers: Fields,
    /// The body.
    pub content: Content,
    /// Field lines after the body; they need [`Content::Chunks`].
    pub trailers: Fields,
}

/// A body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// None.
    Empty,
    /// One whose length is announced.
    Sized(Vec<u8>),
    /// One whose length is not, in these pieces.
    Chunks(Vec<Vec<u8>>),
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            authority: "weir.test".to_owned(),
            headers: Vec::new(),
            content: Content::Empty,
            trailers: Vec::new(),
        }
    }

    /// `GET path`
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// `POST path` with a body whose length is announced.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            content: Content::Sized(body.into()),
            ..Self::new("POST", path)
        }
    }

    /// With a further field line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }
}

/// A response that came to its end.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Interim statuses (1xx) that came before.
    pub interim: Vec<u16>,
    /// Field lines.
    pub headers: Fields,
    /// The body.
    pub body: Vec<u8>,
    /// Field lines after the body.
    pub trailers: Fields,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole response.
    Response(Response),
    /// The connection or stream was closed before a whole response had come.
    Reset,
}

impl Outcome {
    /// The response.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn response(self) -> anyhow::Result<Response> {
        match self {
            Self::Response(response) => Ok(response),
            Self::Reset => anyhow::bail!("closed before a whole response had come"),
        }
    }
}

impl Response {
    /// The values of all field lines of a name.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        values(&self.headers, name)
    }

    /// The first value of a name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.values(name)
            .first()
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The values of all field lines of a name.
pub(crate) fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let same = fields
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name));
    same.map(|(_, value)| value.as_slice()).collect()
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        match self.body.len() {
            0..=4096 => write!(f, "\n{}", String::from_utf8_lossy(&self.body))?,
            long => write!(f, "\n({long} bytes)")?,
        }
        for (name, value) in &self.trailers {
            write!(f, "\n{name}: {} (trailer)", value.escape_ascii())?;
        }
        Ok(())
    }
}
