//! A stream as one filter's VM holds it.

use bytes::Bytes;
use weir_abi::{BufferType, MapType, StreamType};
use weir_host::{BufferStatus, Edit, Fact, FactValue, HeaderEdit, LocalResponse, Lookup, Stream};

use crate::messages::Messages;
use crate::state::{Direction, SharedState, Side, StreamState};

/// One filter's handle on a stream. What the guest asks for is noted in the state; the pumps carry it out once the
/// callback has returned.
pub struct StreamHandle<M> {
    state: SharedState<M>,
    filter: usize,
}

impl<M> StreamHandle<M> {
    /// The handle of the filter with this index in the chain.
    pub fn new(state: SharedState<M>, filter: usize) -> Self {
        Self { state, filter }
    }

    /// The stream's state, for foreign functions of the proxy.
    pub fn state(&self) -> &SharedState<M> {
        &self.state
    }
}

impl<M: Messages> Stream for StreamHandle<M> {
    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        let state = self.state.borrow();
        if state.shows(self.filter, map) {
            state.messages.header(map, name, out)
        } else {
            Lookup::NoMap
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        let state = self.state.borrow();
        if state.shows(self.filter, map) {
            state.messages.headers(map, visit)
        } else {
            Lookup::NoMap
        }
    }

    fn edit_headers(&mut self, map: MapType, edit: HeaderEdit<'_>) -> Edit {
        let state = &mut *self.state.borrow_mut();
        match map {
            MapType::HttpRequestHeaders => state.edit_head(self.filter, Direction::Request, map, edit),
            MapType::HttpResponseHeaders => state.edit_head(self.filter, Direction::Response, map, edit),
            MapType::HttpRequestTrailers => state.edit_trailers(self.filter, Direction::Request, map, edit),
            MapType::HttpResponseTrailers => state.edit_trailers(self.filter, Direction::Response, map, edit),
            _ => Edit::Absent,
        }
    }

    fn buffer(&self, buffer: BufferType) -> Option<BufferStatus> {
        let direction = direction_of_buffer(buffer)?;
        let mut state = self.state.borrow_mut();
        let side = state.side(self.filter, direction);
        let body = side.body.as_ref()?;
        Some(BufferStatus {
            len: body.len(),
            end_of_stream: side.body_complete,
        })
    }

    fn read_buffer(&self, buffer: BufferType, start: usize, out: &mut [u8]) {
        let Some(direction) = direction_of_buffer(buffer) else {
            return;
        };
        if let Some(body) = &self.state.borrow_mut().side(self.filter, direction).body {
            body.read(start, out);
        }
    }

    fn splice_buffer(&mut self, buffer: BufferType, start: usize, len: usize, data: &[u8]) -> Edit {
        let Some(direction) = direction_of_buffer(buffer) else {
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
        self.state.borrow().messages.fact(fact)
    }

    fn custom_property(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        self.state.borrow().messages.custom_property(path, out)
    }

    fn filter_state(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        self.state.borrow().notes.read(path, out)
    }

    fn set_filter_state(&mut self, path: &[u8], value: &[u8]) -> bool {
        self.state.borrow_mut().notes.write(path, value)
    }

    fn resume(&mut self, direction: StreamType) {
        let Some(direction) = direction_of_stream(direction) else {
            return;
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
        let taken = state.reply_with(response);
        state.filter_replied |= taken;
        taken
    }

    fn clear_route_cache(&mut self) {
        self.state.borrow_mut().route_cleared = true;
    }

    fn decline_body(&mut self, direction: StreamType) {
        if let Some(direction) = direction_of_stream(direction) {
            self.state.borrow_mut().side(self.filter, direction).declined = true;
        }
    }

    fn vm_died(&mut self) {
        let mut state = self.state.borrow_mut();
        state.filters[self.filter].dead = true;
        state.wake_all();
    }
}

impl<M: Messages> StreamState<M> {
    /// Whether a filter sees a map now, if there is one.
    fn shows(&self, filter: usize, map: MapType) -> bool {
        let Some(filter) = self.filters.get(filter) else {
            return false;
        };
        let shows_trailers = |side: &Side| side.trailers_here || side.may_add_trailers;
        match map {
            MapType::HttpRequestHeaders | MapType::HttpResponseHeaders => true,
            MapType::HttpRequestTrailers => shows_trailers(&filter.request),
            MapType::HttpResponseTrailers => shows_trailers(&filter.response),
            _ => false,
        }
    }

    fn edit_head(&mut self, filter: usize, direction: Direction, map: MapType, edit: HeaderEdit<'_>) -> Edit {
        let late = self.finished || self.side(filter, direction).head_passed;
        if late {
            let exists = self.messages.head_count(direction) > 0;
            return if exists { Edit::TooLate } else { Edit::Absent };
        }
        self.messages.edit(map, edit, false)
    }

    fn edit_trailers(
        &mut self,
        filter: usize,
        direction: Direction,
        map: MapType,
        edit: HeaderEdit<'_>,
    ) -> Edit {
        let exist = self.messages.trailers_count(direction).is_some();
        let side = self.side(filter, direction);
        let (here, passed, may_add) = (side.trailers_here, side.trailers_passed, side.may_add_trailers);
        if exist && passed {
            Edit::TooLate
        } else if may_add || (exist && here) {
            self.messages.edit(map, edit, may_add)
        } else {
            Edit::Absent
        }
    }
}

fn direction_of_buffer(buffer: BufferType) -> Option<Direction> {
    match buffer {
        BufferType::HttpRequestBody => Some(Direction::Request),
        BufferType::HttpResponseBody => Some(Direction::Response),
        _ => None,
    }
}

fn direction_of_stream(stream: StreamType) -> Option<Direction> {
    match stream {
        StreamType::HttpRequest => Some(Direction::Request),
        StreamType::HttpResponse => Some(Direction::Response),
        StreamType::Downstream | StreamType::Upstream => None,
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
            state.borrow().messages.trailers_count(Direction::Response),
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
