//! A stream as one filter's VM holds it.

use bytes::Bytes;
use http::HeaderMap;
use weir_abi::{BufferType, MapType, StreamType};
use weir_host::{BufferStatus, Edit, Fact, FactValue, HeaderEdit, LocalResponse, Lookup, Stream};

use crate::stream::facts;
use crate::stream::head::FieldLines;
use crate::stream::state::{Direction, SharedState, StreamState};

/// One filter's handle on a stream. What the guest asks for is noted in the state; the pumps carry it out once the
/// callback has returned.
pub(crate) struct StreamHandle {
    state: SharedState,
    filter: usize,
}

impl StreamHandle {
    /// The handle of the filter with this place in the chain.
    pub fn new(state: SharedState, filter: usize) -> Self {
        Self { state, filter }
    }
}

impl Stream for StreamHandle {
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        match lines(&self.state.borrow(), self.filter, map) {
            Some(lines) => lines.value(name, out),
            None => Lookup::NoMap,
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        match lines(&self.state.borrow(), self.filter, map) {
            Some(lines) => {
                lines.visit(visit);
                Lookup::Found
            }
            None => Lookup::NoMap,
        }
    }

    fn edit_headers(&mut self, map: MapType, edit: HeaderEdit<'_>) -> Edit {
        let state = &mut *self.state.borrow_mut();
        let finished = state.finished;
        let filter = &mut state.filters[self.filter];
        match map {
            MapType::HttpRequestHeaders if filter.request.head_passed || finished => Edit::TooLate,
            MapType::HttpRequestHeaders => state.request.edit(edit),
            MapType::HttpResponseHeaders => match &mut state.response {
                None => Edit::Absent,
                Some(_) if filter.response.head_passed || finished => Edit::TooLate,
                Some(head) => head.edit(edit),
            },
            MapType::HttpRequestTrailers => self.filter_trailers(state, Direction::Request, edit),
            MapType::HttpResponseTrailers => self.filter_trailers(state, Direction::Response, edit),
            _ => Edit::Absent,
        }
    }

    fn buffer(&self, buffer: BufferType) -> Option<BufferStatus> {
        let direction = direction_of(buffer)?;
        let mut state = self.state.borrow_mut();
        let side = state.side(self.filter, direction);
        let body = side.body.as_ref()?;
        Some(BufferStatus {
            len: body.len(),
            end_of_stream: side.body_complete,
        })
    }

    fn read_buffer(&self, buffer: BufferType, start: usize, out: &mut [u8]) {
        let Some(direction) = direction_of(buffer) else {
            return;
        };
        if let Some(body) = &self.state.borrow_mut().side(self.filter, direction).body {
            body.read(start, out);
        }
    }

    fn splice_buffer(&mut self, buffer: BufferType, start: usize, len: usize, data: &[u8]) -> Edit {
        let Some(direction) = direction_of(buffer) else {
            return Edit::Absent;
        };
        match &mut self.state.borrow_mut().side(self.filter, direction).body {
            Some(body) => {
                body.splice(start, len, Bytes::copy_from_slice(data));
                Edit::Done
            }
            None => Edit::Absent,
        }
    }

    fn fact(&self, fact: Fact) -> Option<FactValue> {
        facts::fact(&self.state.borrow(), fact)
    }

    fn filter_state(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        self.state.borrow().notes.read(path, out)
    }

    fn set_filter_state(&mut self, path: &[u8], value: &[u8]) -> bool {
        self.state.borrow_mut().notes.write(path, value)
    }

    fn resume(&mut self, direction: StreamType) {
        let direction = match direction {
            StreamType::HttpRequest => Direction::Request,
            StreamType::HttpResponse => Direction::Response,
            StreamType::Downstream | StreamType::Upstream => return,
        };
        let mut state = self.state.borrow_mut();
        let side = state.side(self.filter, direction);
        if side.held {
            side.resume = true;
            state.wake(direction);
        }
    }

    fn close(&mut self, _direction: StreamType) {
        // An HTTP exchange cannot lose one direction and keep the other.
        let mut state = self.state.borrow_mut();
        state.reset_with("wasm_close_stream");
    }

    fn send_local_response(&mut self, response: LocalResponse) -> bool {
        let mut state = self.state.borrow_mut();
        if state.response_sent && !state.finished && state.reset.is_none() {
            // Envoy resets here, and filters rely on it: what they object to must not go on to the client.
            state.reset_with("local_response_too_late");
            return true;
        }
        state.reply_with(response)
    }

    fn clear_route_cache(&mut self) {
        self.state.borrow_mut().route_cleared = true;
    }

    fn vm_died(&mut self) {
        let mut state = self.state.borrow_mut();
        state.filters[self.filter].dead = true;
        state.wake_all();
    }
}

impl StreamHandle {
    fn filter_trailers(&self, state: &mut StreamState, direction: Direction, edit: HeaderEdit<'_>) -> Edit {
        let side = state.side(self.filter, direction);
        let (here, passed, may_add) = (side.trailers_here, side.trailers_passed, side.may_add_trailers);
        let trailers = state.trailers(direction);
        match trailers {
            Some(_) if passed => Edit::TooLate,
            Some(trailers) if here || may_add => FieldLines::edit(trailers, edit),
            None if may_add => {
                let mut new = HeaderMap::new();
                let outcome = FieldLines::edit(&mut new, edit);
                if !new.is_empty() {
                    *trailers = Some(new);
                }
                outcome
            }
            _ => Edit::Absent,
        }
    }
}

/// The map that a filter sees now.
fn lines(state: &StreamState, filter: usize, map: MapType) -> Option<&dyn FieldLines> {
    let filter = state.filters.get(filter)?;
    match map {
        MapType::HttpRequestHeaders => Some(&state.request),
        MapType::HttpResponseHeaders => state.response.as_ref().map(|head| head as &dyn FieldLines),
        MapType::HttpRequestTrailers => visible(&filter.request, state.request_trailers.as_ref()),
        MapType::HttpResponseTrailers => visible(&filter.response, state.response_trailers.as_ref()),
        _ => None,
    }
}

fn visible<'a>(
    side: &crate::stream::state::Side,
    trailers: Option<&'a HeaderMap>,
) -> Option<&'a dyn FieldLines> {
    let trailers = trailers?;
    (side.trailers_here || side.may_add_trailers).then_some(trailers as &dyn FieldLines)
}

fn direction_of(buffer: BufferType) -> Option<Direction> {
    match buffer {
        BufferType::HttpRequestBody => Some(Direction::Request),
        BufferType::HttpResponseBody => Some(Direction::Response),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::state;

    #[test]
    fn a_head_that_has_gone_on_cannot_be_changed_but_read() {
        let state = state(1);
        let mut handle = StreamHandle::new(state.clone(), 0);
        assert_eq!(
            handle.edit_headers(MapType::HttpRequestHeaders, HeaderEdit::Add(b"x", b"1")),
            Edit::Done
        );
        state.borrow_mut().side(0, Direction::Request).head_passed = true;
        assert_eq!(
            handle.edit_headers(MapType::HttpRequestHeaders, HeaderEdit::Add(b"x", b"2")),
            Edit::TooLate
        );
        let mut value = Vec::new();
        assert_eq!(
            handle.header(MapType::HttpRequestHeaders, b"x", &mut value),
            Lookup::Found
        );
        assert_eq!(value, b"1");
        assert_eq!(
            handle.edit_headers(MapType::HttpResponseHeaders, HeaderEdit::Remove(b"x")),
            Edit::Absent
        );
    }

    #[test]
    fn trailers_are_made_only_at_the_end_of_a_body() {
        let state = state(1);
        let mut handle = StreamHandle::new(state.clone(), 0);
        let edit = HeaderEdit::Add(b"x-hash", b"1");
        assert_eq!(
            handle.edit_headers(MapType::HttpResponseTrailers, edit),
            Edit::Absent
        );
        state.borrow_mut().side(0, Direction::Response).may_add_trailers = true;
        assert_eq!(
            handle.edit_headers(MapType::HttpResponseTrailers, edit),
            Edit::Done
        );
        assert_eq!(
            state.borrow().response_trailers.as_ref().map(HeaderMap::len),
            Some(1)
        );
    }

    #[test]
    fn the_first_reply_wins() {
        let state = state(2);
        let mut first = StreamHandle::new(state.clone(), 0);
        let mut second = StreamHandle::new(state.clone(), 1);
        let reply = |status| LocalResponse {
            status,
            details: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            grpc_status: None,
        };
        assert!(first.send_local_response(reply(403)));
        assert!(!second.send_local_response(reply(500)));
        assert_eq!(
            state.borrow_mut().take_reply().map(|reply| reply.status),
            Some(403)
        );
        assert!(!second.send_local_response(reply(500)));
    }

    #[test]
    fn resuming_what_is_not_held_does_nothing() {
        let state = state(1);
        let mut handle = StreamHandle::new(state.clone(), 0);
        handle.resume(StreamType::HttpRequest);
        assert!(!state.borrow_mut().side(0, Direction::Request).resume);
        state.borrow_mut().side(0, Direction::Request).held = true;
        handle.resume(StreamType::HttpRequest);
        assert!(state.borrow_mut().side(0, Direction::Request).resume);
    }
}
