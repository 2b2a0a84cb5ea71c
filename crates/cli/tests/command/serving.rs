//! A `weir serve` that runs, and ends with its value.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};

/// A proxy that serves until this is dropped.
pub struct Serving {
    pub child: Child,
    pub lines: BufReader<ChildStderr>,
    pub log: String,
}

impl Serving {
    /// Starts it, with this on its standard input, and waits until it listens.
    pub fn start(command: &mut Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let log = String::new();
        let mut serving = Self { child, lines, log };
        serving.wait_for("listening");
        serving
    }

    /// Waits for a line of the log.
    pub fn wait_for(&mut self, text: &str) {
        while !self.log.contains(text) {
            let read = self.lines.read_line(&mut self.log).unwrap();
            assert!(read > 0, "no `{text}`:\n{}", self.log);
        }
    }

    /// The status line of its answer.
    pub fn get(&self) -> String {
        let line = self.log.lines().find(|line| line.contains("listening")).unwrap();
        let address = line.rsplit("address=").next().unwrap().trim();
        get_from(address)
    }
}

/// The status line of the answer from an address.
pub fn get_from(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}
