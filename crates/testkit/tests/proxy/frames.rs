//! HTTP/2 frame by frame, for peers that no library would make.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use weir_testkit::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
/// On DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// On SETTINGS.
pub const ACK: u8 = 1;
/// On HEADERS: nothing continues them.
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that has come.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection.
pub struct Frames(pub TcpStream);

impl Frames {
    /// Connects as a client, whose streams' window begins with so many bytes.
    pub fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut frames = Self(stream);
        frames.0.write_all(PREFACE).unwrap();
        frames.settings(4, window);
        frames
    }

    /// Takes a client's connection.
    pub fn accept(stream: TcpStream) -> Self {
        let mut frames = Self(stream);
        let mut preface = [0; PREFACE.len()];
        let _ = frames.0.read_exact(&mut preface);
        frames
    }

    /// Sends one setting.
    pub fn settings(&mut self, id: u16, value: u32) {
        let setting = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        self.send(SETTINGS, 0, 0, &setting);
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.write_all(&encode(kind, flags, stream, payload)).unwrap();
    }

    /// Sends the head of a request: fields that need no table.
    pub fn request(&mut self, method: &str, path: &str, stream: u32, ends: bool) {
        let mut block = vec![0x86];
        for (name, value) in [(2, method), (4, path), (1, "weir.test")] {
            block.extend([0x40 | name, value.len() as u8]);
            block.extend(value.as_bytes());
        }
        self.send(HEADERS, END_HEADERS | u8::from(ends), stream, &block);
    }

    /// The next frame; `None` at the end.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        if kind == SETTINGS && flags & ACK == 0 {
            self.send(SETTINGS, ACK, 0, b"");
        }
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }

    /// The status of a stream's response, or the code of what ended the connection before.
    pub fn status(&mut self, stream: u32) -> Result<u16, u32> {
        while let Some(frame) = self.next() {
            match frame.kind {
                HEADERS if frame.stream == stream => {
                    // Those of the static table.
                    return Ok(match frame.payload[..] {
                        [0x88, ..] => 200,
                        [0x89, ..] => 204,
                        [0x8c, ..] => 400,
                        [0x8d, ..] => 404,
                        _ => 0,
                    });
                }
                GOAWAY => {
                    let code = frame.payload[4..8].try_into().unwrap();
                    return Err(u32::from_be_bytes(code));
                }
                _ => {}
            }
        }
        Err(u32::MAX)
    }
}

/// A frame's bytes.
pub fn encode(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
