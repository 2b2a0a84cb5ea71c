//! A client that sends each request when its time has come, whether earlier ones have been answered or not: a proxy that stands
//! still is felt by all requests that come meanwhile, as it is by people.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Connections, each with a request at a time. Requests that find none free wait, and their wait counts.
const CONNECTIONS: usize = 64;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent.
#[derive(Clone, Copy)]
pub struct Load {
    /// For how long.
    pub time: Duration,
    /// Requests a second.
    pub rate: u32,
    /// A header that one request in each span of this length has.
    pub poison: Option<(&'static str, Duration)>,
}

/// The answers to all requests but the poisonous ones.
#[derive(Default)]
pub struct Answers {
    /// From the time at which a request was due to the end of its answer.
    pub latencies: Vec<Duration>,
    /// Answers that a filter had seen.
    pub seen: usize,
    /// Number of poisonous requests.
    pub poisonous: usize,
}

impl Load {
    /// Loads a proxy.
    pub fn run(&self, proxy: SocketAddr) -> Result<Answers> {
        let next = AtomicU32::new(0);
        let begun = Instant::now();
        let parts = std::thread::scope(|scope| {
            let connection = || scope.spawn(|| self.run_connection(proxy, &next, begun));
            let connections: Vec<_> = (0..CONNECTIONS).map(|_| connection()).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Answers>>| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("a client panicked")))
            };
            connections.into_iter().map(join).collect::<Result<Vec<_>>>()
        })?;
        let mut answers = Answers::default();
        for part in parts {
            answers.latencies.extend(part.latencies);
            answers.seen += part.seen;
            answers.poisonous += part.poisonous;
        }
        Ok(answers)
    }

    fn run_connection(&self, proxy: SocketAddr, next: &AtomicU32, begun: Instant) -> Result<Answers> {
        let mut answers = Answers::default();
        let mut connection = None;
        let (gap, per_span) = (
            Duration::from_secs(1) / self.rate,
            self.poison.map(|(_, span)| span),
        );
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = gap * number;
            if due >= self.time {
                return Ok(answers);
            }
            let due = begun + due;
            wait_until(due);
            let poisonous =
                per_span.is_some_and(|span| (gap * number).as_nanos() % span.as_nanos() < gap.as_nanos());
            let header = self.poison.filter(|_| poisonous).map(|(header, _)| header);
            let proxied = match &mut connection {
                Some(connection) => connection,
                empty => empty.insert(connect(proxy)?),
            };
            let (head, stays) = exchange(proxied, header)?;
            if !stays {
                connection = None;
            }
            if poisonous {
                answers.poisonous += 1;
                continue;
            }
            ensure!(
                head.starts_with("HTTP/1.1 200 "),
                "another answer than expected:\n{head}"
            );
            answers.latencies.push(due.elapsed());
            answers.seen += usize::from(head.to_ascii_lowercase().contains("\r\nx-seen:"));
        }
    }
}

// This program has no streams that a sleep could stall.
#[allow(clippy::disallowed_methods)]
fn wait_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

fn connect(proxy: SocketAddr) -> Result<BufReader<TcpStream>> {
    let connection = TcpStream::connect(proxy).context("cannot connect")?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(connection))
}

/// Sends a request and reads its answer. Returns the answer's head, and whether the connection stays.
fn exchange(connection: &mut BufReader<TcpStream>, header: Option<&str>) -> Result<(String, bool)> {
    let header = header.map_or(String::new(), |name| format!("{name}: 1\r\n"));
    connection
        .get_mut()
        .write_all(format!("GET / HTTP/1.1\r\nHost: bench\r\n{header}\r\n").as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(connection.read_line(&mut head)? > 0, "the connection was closed");
    }
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok());
    let length: usize = length.context("an answer without a length")?;
    connection.read_exact(&mut vec![0; length])?;
    Ok((head, !lower.contains("\r\nconnection: close")))
}
