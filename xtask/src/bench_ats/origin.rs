//! An origin and a client of a few lines: what they send is always the same, byte for byte, so that instruction counts are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Bytes of the body.
const BODY: usize = 1024;

/// The longest that an answer may take, a first one under valgrind included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves an object that caches may keep for the length of any measurement, until this process ends.
pub struct Origin {
    /// The address of the origin.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// The requests that have come so far.
#[derive(Clone, Default)]
pub struct Seen {
    /// Number of requests.
    pub requests: usize,
    /// The head of the last one.
    pub last: String,
}

impl Origin {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let address = listener.local_addr()?;
        let seen = Arc::<Mutex<Seen>>::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let seen = Arc::clone(&noted);
                // One that breaks off is the server's business.
                std::thread::spawn(move || serve(&connection, &seen));
            }
        });
        Ok(Self { address, seen })
    }

    /// The requests that have come so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut connection: &TcpStream, seen: &Mutex<Seen>) -> Result<()> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nCache-Control: max-age=86400\r\n\
         Content-Length: {BODY}\r\n\r\n"
    );
    answer.push_str(&"a".repeat(BODY));
    let mut reader = BufReader::new(connection);
    loop {
        let head = read_head(&mut reader)?;
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.requests += 1;
            seen.last = head;
        }
        connection.write_all(answer.as_bytes())?;
    }
}

/// A client with one connection, one request after the other.
pub struct Client {
    connection: TcpStream,
    request: String,
}

impl Client {
    /// Connects.
    pub fn new(server: SocketAddr) -> Result<Self> {
        let connection = TcpStream::connect(server)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        // The head that curl sends.
        let request =
            format!("GET / HTTP/1.1\r\nHost: {server}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n");
        Ok(Self { connection, request })
    }

    /// Fetches the object so often; gives the head of the last answer.
    pub fn fetch(&self, times: usize) -> Result<String> {
        let mut connection = &self.connection;
        let mut reader = BufReader::new(connection);
        let mut head = String::new();
        for _ in 0..times {
            connection.write_all(self.request.as_bytes())?;
            head = read_head(&mut reader)?;
            ensure!(
                head.starts_with("HTTP/1.1 200 "),
                "another answer than expected:\n{head}"
            );
            reader.read_exact(&mut [0; BODY])?;
        }
        Ok(head)
    }
}

fn read_head(reader: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(reader.read_line(&mut head)? > 0, "the connection was closed");
    }
    Ok(head)
}
