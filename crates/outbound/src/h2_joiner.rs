//! Joins small DATA frames of HTTP/2 before the library sees them.
//!
//! `h2` keeps each DATA frame that waits for its reader apart, charges frames below 256 bytes to a budget of their
//! connection, and ends the connection with all its streams when the budget is used up. The peer does nothing wrong: an
//! event stream sends short lines, and only one reader is slow. The joiner makes few large frames of many small ones:
//!
//! - Frames that come together are joined at once.
//! - Once a third of a stream's window waits for its reader, small frames of that stream are kept back until there are
//!   [`JOINED`] bytes of them, its reader takes what waits, or the stream ends.
//!
//! A third, because `h2` gives window back when what has been read comes to half of what is left of the window: of a
//! third that is all read it certainly has. So a stream that is kept back is one whose reader has not read. What is kept
//! back is bounded by the stream's own window.

use std::collections::HashMap;

/// What a client says first on a connection of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame's head.
const HEAD: usize = 9;
/// Below this many bytes `h2` charges a DATA frame to its budget.
const SMALL: usize = 256;
/// Kept-back bytes are given on as one frame when there are so many.
const JOINED: usize = 4 << 10;
/// The largest frame that a peer may send unless it was told otherwise.
const MAX_FRAME: usize = 16 << 10;
/// Streams that are looked after at the same time; those beyond are passed by. More than a connection has open.
const MAX_STREAMS: usize = 4096;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const PADDED: u8 = 8;

/// The frames of one connection, in both directions.
#[derive(Debug)]
pub(crate) struct Joiner {
    /// From so many bytes on that wait for a stream's reader its small frames are kept back.
    keep_from: usize,
    mode: Mode,
    /// The part of a frame's head that has come.
    head: [u8; HEAD],
    head_len: usize,
    payload: Payload,
    streams: HashMap<u32, Flow>,
    /// Streams whose kept bytes are to be given on at the next border between frames.
    due: Vec<u32>,
    /// Bytes that go to the reader before any that have not been read yet.
    out: Vec<u8>,
    /// The small frame that was given on last, while its head can still be changed.
    last: Option<Last>,
    written: Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// So many bytes of the preface have come.
    Preface(usize),
    Frames,
    /// Not HTTP/2: nothing is looked at.
    Foreign,
}

/// The frame whose payload is coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    Border,
    Pass { left: usize },
    Keep { stream: u32, left: usize },
}

/// What is known of a stream that has had small frames.
#[derive(Debug, Default)]
struct Flow {
    /// Bytes given on and not given back as window.
    unread: usize,
    kept: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    stream: u32,
    /// Where the head is.
    at: Place,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the bytes that are being read.
    Input(usize),
    /// In `out`.
    Out(usize),
}

/// The frames that are written.
#[derive(Debug, Default)]
struct Written {
    /// What is left of the preface.
    preface: usize,
    head: [u8; HEAD],
    head_len: usize,
    left: usize,
    /// The first bytes of the payload of a frame that is looked at.
    value: [u8; 4],
    value_len: usize,
}

impl Joiner {
    /// The server's end of a connection of which the first bytes will tell whether it is HTTP/2. `window`: the window of its
    /// streams.
    pub(crate) fn server(window: u32) -> Self {
        Self::new(window, Mode::Preface(0), 0)
    }

    /// The client's end of a connection of HTTP/2.
    pub(crate) fn client(window: u32) -> Self {
        Self::new(window, Mode::Frames, PREFACE.len())
    }

    fn new(window: u32, mode: Mode, preface: usize) -> Self {
        Self {
            keep_from: window as usize / 3 + 1,
            mode,
            head: [0; HEAD],
            head_len: 0,
            payload: Payload::Border,
            streams: HashMap::new(),
            due: Vec::new(),
            out: Vec::new(),
            last: None,
            written: Written {
                preface,
                ..Written::default()
            },
        }
    }

    /// Returns true if the connection is not one of HTTP/2, so that nothing is to be looked at.
    pub(crate) fn is_foreign(&self) -> bool {
        self.mode == Mode::Foreign
    }

    /// Bytes for the reader that come before all that has not been read yet. The caller removes what it has taken.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        if self.payload == Payload::Border && !self.due.is_empty() {
            self.release_due();
        }
        &mut self.out
    }

    /// Takes bytes that have been read, with [`Joiner::out`] empty. Returns how many of them, at the beginning of `data`,
    /// go to the reader; `out` comes after them.
    pub(crate) fn read(&mut self, data: &mut [u8]) -> usize {
        let mut at = 0;
        if let Mode::Preface(matched) = self.mode {
            let come = data.len().min(PREFACE.len() - matched);
            if data[..come] != PREFACE[matched..matched + come] {
                self.mode = Mode::Foreign;
                return data.len();
            }
            at = come;
            self.mode = if matched + come == PREFACE.len() {
                Mode::Frames
            } else {
                Mode::Preface(matched + come)
            };
        }
        if self.mode != Mode::Frames {
            return data.len();
        }
        self.last = None;
        let mut input = Input { data, at, kept: at };
        while input.at < input.data.len() {
            self.step(&mut input);
        }
        self.last = None;
        input.kept
    }

    /// The other side has closed: what was kept back goes to the reader.
    pub(crate) fn read_end(&mut self) {
        if self.payload == Payload::Border {
            self.due = self.streams.keys().copied().collect();
            self.release_due();
        }
    }

    /// Looks at bytes that have been written. Returns true if there is something new for the reader.
    pub(crate) fn wrote(&mut self, mut data: &[u8]) -> bool {
        if self.mode != Mode::Frames || (self.streams.is_empty() && self.written.skip_whole(data)) {
            return false;
        }
        let due_before = self.due.len();
        while let Some((kind, stream, value)) = self.written.next(&mut data) {
            let Some(flow) = self.streams.get_mut(&stream) else {
                continue;
            };
            if kind == WINDOW_UPDATE {
                flow.unread = flow.unread.saturating_sub(value as usize);
            }
            // The bytes of a stream that was reset count for the connection's window.
            let go = kind == RST_STREAM || flow.unread < self.keep_from;
            if go && !flow.kept.is_empty() {
                self.due.push(stream);
            } else if kind == RST_STREAM {
                self.streams.remove(&stream);
            }
        }
        self.due.len() > due_before
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match self.payload {
            Payload::Pass { left } => {
                let come = left.min(input.left());
                self.pass(input, come);
                self.payload = Payload::Pass { left: left - come };
            }
            Payload::Keep { stream, left } => {
                let come = left.min(input.left());
                let bytes = &input.data[input.at..input.at + come];
                let flow = self.streams.entry(stream).or_default();
                flow.kept.extend_from_slice(bytes);
                let full = flow.kept.len() >= JOINED;
                input.at += come;
                self.payload = Payload::Keep {
                    stream,
                    left: left - come,
                };
                if full && left == come {
                    self.release(stream);
                }
            }
            Payload::Border => {
                if !self.due.is_empty() {
                    self.release_due();
                }
                let come = (HEAD - self.head_len).min(input.left());
                self.head[self.head_len..self.head_len + come]
                    .copy_from_slice(&input.data[input.at..input.at + come]);
                self.head_len += come;
                input.at += come;
                if self.head_len == HEAD {
                    self.head_len = 0;
                    // A head that began in bytes read before has no place in these.
                    self.begin(input, come == HEAD);
                }
            }
        }
        let (Payload::Pass { left } | Payload::Keep { left, .. }) = self.payload else {
            return;
        };
        if left == 0 {
            self.payload = Payload::Border;
        }
    }

    /// A frame begins, whose head is complete.
    fn begin(&mut self, input: &mut Input<'_>, in_place: bool) {
        let frame = Frame::parse(&self.head);
        let last = self.last.take();
        let ends = frame.flags & END_STREAM != 0;
        let plain = frame.kind == DATA && frame.flags & (PADDED | END_STREAM) == 0;
        self.payload = Payload::Pass { left: frame.len };
        if plain && frame.len == 0 {
            // Says nothing, and the library takes only a few of them.
            return;
        }
        if plain && frame.len < SMALL && self.looks_after(frame.stream) {
            let flow = self.streams.entry(frame.stream).or_default();
            if !flow.kept.is_empty() || flow.unread >= self.keep_from {
                self.payload = Payload::Keep {
                    stream: frame.stream,
                    left: frame.len,
                };
                self.last = last;
                return;
            }
            flow.unread += frame.len;
            if let Some(last) = last
                && last.stream == frame.stream
                && last.len + frame.len <= MAX_FRAME
            {
                let joined = Last {
                    len: last.len + frame.len,
                    ..last
                };
                self.lengthen(input, joined);
                self.last = Some(joined);
                return;
            }
            let at = self.pass_head(input, in_place);
            self.last = Some(Last {
                stream: frame.stream,
                at,
                len: frame.len,
            });
            return;
        }
        if matches!(frame.kind, DATA | HEADERS | RST_STREAM) && !self.streams.is_empty() {
            self.release(frame.stream);
            if frame.kind == RST_STREAM || ends {
                self.streams.remove(&frame.stream);
            } else if frame.kind == DATA
                && let Some(flow) = self.streams.get_mut(&frame.stream)
            {
                flow.unread += frame.len;
            }
        }
        self.pass_head(input, in_place);
    }

    /// Makes room for a stream. The count of what waits is lost for those of which nothing is kept back, so that streams which
    /// ended without a word leave nothing behind.
    fn looks_after(&mut self, stream: u32) -> bool {
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&stream) {
            self.streams.retain(|_, flow| !flow.kept.is_empty());
        }
        self.streams.len() < MAX_STREAMS
    }

    /// Gives the head on. Returns where it is now.
    fn pass_head(&mut self, input: &mut Input<'_>, in_place: bool) -> Place {
        if in_place && self.out.is_empty() {
            let at = input.kept;
            input.data[at..at + HEAD].copy_from_slice(&self.head);
            input.kept += HEAD;
            Place::Input(at)
        } else {
            let at = self.out.len();
            self.out.extend_from_slice(&self.head);
            Place::Out(at)
        }
    }

    fn pass(&mut self, input: &mut Input<'_>, len: usize) {
        let (from, to) = (input.at, input.at + len);
        if self.out.is_empty() {
            if input.kept != from {
                input.data.copy_within(from..to, input.kept);
            }
            input.kept += len;
        } else {
            self.out.extend_from_slice(&input.data[from..to]);
        }
        input.at = to;
    }

    fn lengthen(&mut self, input: &mut Input<'_>, last: Last) {
        let head = match last.at {
            Place::Input(at) => &mut input.data[at..at + 3],
            Place::Out(at) => &mut self.out[at..at + 3],
        };
        head.copy_from_slice(&length(last.len));
    }

    fn release_due(&mut self) {
        for stream in std::mem::take(&mut self.due) {
            self.release(stream);
        }
    }

    /// Gives on what is kept back of a stream.
    fn release(&mut self, stream: u32) {
        let Some(flow) = self.streams.get_mut(&stream) else {
            return;
        };
        let kept = std::mem::take(&mut flow.kept);
        flow.unread += kept.len();
        for part in kept.chunks(MAX_FRAME) {
            self.out.extend_from_slice(&length(part.len()));
            self.out.extend_from_slice(&[DATA, 0]);
            self.out.extend_from_slice(&stream.to_be_bytes());
            self.out.extend_from_slice(part);
            self.last = None;
        }
    }
}

/// Bytes that are being read.
struct Input<'a> {
    data: &'a mut [u8],
    /// Those before have been looked at.
    at: usize,
    /// So many of them, moved to the beginning, go to the reader.
    kept: usize,
}

impl Input<'_> {
    fn left(&self) -> usize {
        self.data.len() - self.at
    }
}

struct Frame {
    len: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    fn parse(head: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *head;
        Self {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }
}

impl Written {
    /// Passes over bytes that end where a frame ends or within one that is not looked at. False: they have to be gone
    /// through.
    fn skip_whole(&mut self, data: &[u8]) -> bool {
        let skips = self.preface == 0 && self.head_len == 0 && self.left >= data.len() && self.value_len == 0;
        if skips {
            self.left -= data.len();
        }
        skips
    }

    /// The next frame that says something of a stream's window or end: its type, its stream, and its first four bytes.
    fn next(&mut self, data: &mut &[u8]) -> Option<(u8, u32, u32)> {
        while !data.is_empty() {
            if self.preface > 0 {
                let come = self.preface.min(data.len());
                self.preface -= come;
                *data = &data[come..];
            } else if self.left > 0 {
                let come = self.left.min(data.len());
                let frame = Frame::parse(&self.head);
                let speaks = matches!(frame.kind, WINDOW_UPDATE | RST_STREAM) && frame.stream != 0;
                if speaks {
                    let wanted = come.min(4 - self.value_len);
                    self.value[self.value_len..self.value_len + wanted].copy_from_slice(&data[..wanted]);
                    self.value_len += wanted;
                }
                self.left -= come;
                *data = &data[come..];
                if self.left == 0 && std::mem::take(&mut self.value_len) == 4 {
                    return Some((frame.kind, frame.stream, u32::from_be_bytes(self.value)));
                }
            } else {
                let come = (HEAD - self.head_len).min(data.len());
                self.head[self.head_len..self.head_len + come].copy_from_slice(&data[..come]);
                self.head_len += come;
                *data = &data[come..];
                if self.head_len == HEAD {
                    self.head_len = 0;
                    self.left = Frame::parse(&self.head).len;
                }
            }
        }
        None
    }
}

fn length(len: usize) -> [u8; 3] {
    [(len >> 16) as u8, (len >> 8) as u8, len as u8]
}

#[cfg(test)]
mod tests;
