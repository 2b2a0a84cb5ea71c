//! HTTP/1.1, byte by byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::message::{Content, Fields, Outcome, Request, Response, values};
use crate::PATIENCE;

/// A connection.
pub struct Http1 {
    stream: BufReader<Transport>,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Http1 {
    /// Connects in clear text.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            stream: BufReader::new(Transport::Plain(tcp(address)?)),
        })
    }

    /// Connects under TLS; `name` is sent (SNI) and must be in the certificate.
    ///
    /// # Errors
    ///
    /// Nobody listens there. The handshake happens with the first bytes.
    pub fn connect_tls(address: SocketAddr, config: Arc<ClientConfig>, name: &str) -> Result<Self> {
        let session = ClientConnection::new(config, ServerName::try_from(name.to_owned())?)?;
        let stream = StreamOwned::new(session, tcp(address)?);
        Ok(Self {
            stream: BufReader::new(Transport::Tls(Box::new(stream))),
        })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        self.stream.get_mut().flush()
    }

    /// Sends a request and receives the response to it.
    ///
    /// # Errors
    ///
    /// The answer is no HTTP, or none came in time.
    pub fn request(&mut self, request: &Request) -> Result<Outcome> {
        // A server that refuses a request may close before all of it was sent; its answer is there to be read.
        let _ = self.send_request(request);
        self.outcome(&request.method)
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub fn send_request(&mut self, request: &Request) -> io::Result<()> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            request.method, request.path, request.authority
        );
        match &request.content {
            Content::Empty => {}
            Content::Sized(body) => head.push_str(&format!("content-length: {}\r\n", body.len())),
            Content::Chunks(_) => head.push_str("transfer-encoding: chunked\r\n"),
        }
        let mut bytes = head.into_bytes();
        write_fields(&mut bytes, &request.headers);
        self.send(&bytes)?;
        match &request.content {
            Content::Empty => Ok(()),
            Content::Sized(body) => self.send(body),
            Content::Chunks(chunks) => {
                for chunk in chunks {
                    self.send_chunk(chunk)?;
                }
                let mut end = b"0\r\n".to_vec();
                write_fields(&mut end, &request.trailers);
                self.send(end)
            }
        }
    }

    /// Sends one chunk of a chunked body.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub fn send_chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
    }

    /// Receives the response to a request of that method.
    ///
    /// # Errors
    ///
    /// The answer is no whole response.
    pub fn response(&mut self, method: &str) -> Result<Response> {
        self.outcome(method)?.response()
    }

    /// Receives the response to a request of that method, or sees the connection closed.
    ///
    /// # Errors
    ///
    /// The answer is no HTTP, or none came in time.
    pub fn outcome(&mut self, method: &str) -> Result<Outcome> {
        match self.read_response(method) {
            Ok(response) => Ok(Outcome::Response(response)),
            Err(error) if error.chain().any(is_reset) => Ok(Outcome::Reset),
            Err(error) => Err(error),
        }
    }

    /// Receives the head of a response: its status and field lines. The body is left to [`Http1::read_exact`].
    ///
    /// # Errors
    ///
    /// The answer is no HTTP.
    pub fn head(&mut self) -> Result<Response> {
        let line = self.line()?;
        let mut words = line.split(' ');
        ensure!(words.next() == Some("HTTP/1.1"), "no status line: {line:?}");
        let status = words.next().and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status: {line:?}"))?;
        Ok(Response {
            status,
            headers: self.fields()?,
            ..Response::default()
        })
    }

    /// Receives that many bytes.
    ///
    /// # Errors
    ///
    /// The connection was closed before.
    pub fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns true if the other side has closed the connection; waits for that or for bytes.
    pub fn is_closed(&mut self) -> bool {
        self.stream.fill_buf().map_or_else(
            |error| error.kind() != io::ErrorKind::WouldBlock,
            <[u8]>::is_empty,
        )
    }

    fn read_response(&mut self, method: &str) -> Result<Response> {
        let mut interim = Vec::new();
        let mut response = loop {
            let head = self.head()?;
            match head.status {
                100..=199 if head.status != 101 => interim.push(head.status),
                _ => break head,
            }
        };
        response.interim = interim;
        let bodyless = method == "HEAD" || matches!(response.status, 101 | 204 | 304);
        if bodyless {
            return Ok(response);
        }
        let coding = values(&response.headers, "transfer-encoding");
        let length = values(&response.headers, "content-length");
        if !coding.is_empty() {
            ensure!(
                coding == [b"chunked"] && length.is_empty(),
                "framed oddly: {response:?}"
            );
            (response.body, response.trailers) = self.chunked()?;
        } else if let [length] = length.as_slice() {
            let length = std::str::from_utf8(length)?.parse()?;
            response.body = self.read_exact(length)?;
        } else if method != "CONNECT" {
            ensure!(length.is_empty(), "two lengths: {response:?}");
            self.stream.read_to_end(&mut response.body)?;
        }
        Ok(response)
    }

    fn chunked(&mut self) -> Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let size =
                usize::from_str_radix(digits, 16).with_context(|| format!("no chunk size: {line:?}"))?;
            if size == 0 {
                return Ok((body, self.fields()?));
            }
            body.extend(self.read_exact(size)?);
            ensure!(self.read_exact(2)? == b"\r\n", "a chunk is longer than it said");
        }
    }

    fn fields(&mut self) -> Result<Fields> {
        let mut fields = Vec::new();
        loop {
            let line = self.raw_line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let colon = colon.with_context(|| format!("no field line: {}", line.escape_ascii()))?;
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    fn line(&mut self) -> Result<String> {
        Ok(String::from_utf8(self.raw_line()?)?)
    }

    fn raw_line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        line.pop();
        if line.pop() != Some(b'\r') {
            bail!("a line that does not end in CR LF: {}", line.escape_ascii());
        }
        Ok(line)
    }
}

fn write_fields(bytes: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
}

fn tcp(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn is_reset(cause: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    )
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
