//! A stream that carries a message: headers that can be changed, and a body.

use weir_abi::{BufferType, MapType, StreamType};
use weir_host::{BufferStatus, Edit, Fact, FactValue, HeaderEdit, LocalResponse, Lookup, Stream};

use crate::HEADERS;

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// The stream. All its maps begin with the same lines.
pub struct Message {
    request: Lines,
    response: Lines,
    body: Vec<u8>,
}

impl Message {
    /// The request of every bench, with a body.
    pub fn new(body: Vec<u8>) -> Self {
        let line = |(name, value): &(&[u8], &[u8])| (name.to_vec(), value.to_vec());
        let lines: Lines = HEADERS.iter().map(line).collect();
        Self {
            request: lines.clone(),
            response: lines,
            body,
        }
    }

    fn lines(&self, map: MapType) -> &Lines {
        match map {
            MapType::HttpResponseHeaders | MapType::HttpResponseTrailers => &self.response,
            _ => &self.request,
        }
    }
}

impl Stream for Message {
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        match self.lines(map).iter().find(|(key, _)| key == name) {
            Some((_, value)) => {
                out.extend_from_slice(value);
                Lookup::Found
            }
            None => Lookup::Missing,
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        self.lines(map)
            .iter()
            .for_each(|(name, value)| visit(name, value));
        Lookup::Found
    }

    fn edit_headers(&mut self, map: MapType, edit: HeaderEdit<'_>) -> Edit {
        let lines = match map {
            MapType::HttpResponseHeaders | MapType::HttpResponseTrailers => &mut self.response,
            _ => &mut self.request,
        };
        if let HeaderEdit::Remove(name) | HeaderEdit::Replace(name, _) = edit {
            lines.retain(|(key, _)| key != name);
        }
        if let HeaderEdit::Add(name, value) | HeaderEdit::Replace(name, value) = edit {
            lines.push((name.to_vec(), value.to_vec()));
        }
        Edit::Done
    }

    fn buffer(&self, _buffer: BufferType) -> Option<BufferStatus> {
        Some(BufferStatus {
            len: self.body.len(),
            end_of_stream: true,
        })
    }

    fn read_buffer(&self, _buffer: BufferType, start: usize, out: &mut [u8]) {
        let end = start.saturating_add(out.len());
        if let Some(bytes) = self.body.get(start..end) {
            out.copy_from_slice(bytes);
        }
    }

    fn splice_buffer(&mut self, _buffer: BufferType, _start: usize, _len: usize, _data: &[u8]) -> Edit {
        Edit::Done
    }

    fn fact(&self, _fact: Fact) -> Option<FactValue> {
        None
    }

    fn filter_state(&self, _path: &[u8], _out: &mut Vec<u8>) -> bool {
        false
    }

    fn set_filter_state(&mut self, _path: &[u8], _value: &[u8]) -> bool {
        false
    }

    fn resume(&mut self, _direction: StreamType) {}

    fn close(&mut self, _direction: StreamType) {}

    fn send_local_response(&mut self, _response: LocalResponse) -> bool {
        false
    }

    fn vm_died(&mut self) {}
}
