//! A stream as one filter's VM holds it.

use std::sync::Arc;

use bytes::Bytes;
use weir_abi::{BufferType, MapType, StreamType};
use weir_account::{Account, line_cost};
use weir_host::{BufferStatus, Edit, Fact, FactValue, HeaderEdit, LocalResponse, Lookup, Stream};

use crate::local_reply;
use crate::messages::Messages;
use crate::pump::too_large;
use crate::state::{Direction, SharedState, Side, StreamState};

/// A filter's handle on a stream. The guest's requests are noted in the state; the pumps carry them out once the
/// callback has returned.
pub struct StreamHandle<M> {
    state: SharedState<M>,
    filter: usize,
    /// Pays for what the filter adds to the stream.
    account: Option<Arc<Account>>,
}

impl<M> StreamHandle<M> {
    /// The handle of the filter with this index in the chain.
    pub fn new(state: SharedState<M>, filter: usize) -> Self {
        Self {
            state,
            filter,
            account: None,
        }
    }

    /// The handle of a filter in a VM that has this account.
    #[must_use]
    pub fn paid_by(mut self, account: Option<&Arc<Account>>) -> Self {
        self.account = account.cloned();
        self
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
        let cost = cost(&edit);
        if let Some(account) = &self.account
            && let Err(full) = state.charges.charge(account, cost)
        {
            state.end_for_room(map);
            return Edit::Full(full);
        }
        let outcome = match map {
            MapType::HttpRequestHeaders => state.edit_head(self.filter, Direction::Request, map, edit),
            MapType::HttpResponseHeaders => state.edit_head(self.filter, Direction::Response, map, edit),
            MapType::HttpRequestTrailers => state.edit_trailers(self.filter, Direction::Request, map, edit),
            MapType::HttpResponseTrailers => state.edit_trailers(self.filter, Direction::Response, map, edit),
            _ => Edit::Absent,
        };
        if outcome != Edit::Done
            && let Some(account) = &self.account
        {
            state.charges.credit(account, cost);
        }
        outcome
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
        let mut state = self.state.borrow_mut();
        let Some(body) = &mut state.side(self.filter, direction).body else {
            return Edit::Absent;
        };
        if let Some(account) = &self.account
            && let Err(full) = body.charge_for(account, data.len())
        {
            too_large(&mut state, direction);
            return Edit::Full(full);
        }
        body.splice(start, len, Bytes::copy_from_slice(data));
        Edit::Done
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
        let account = self.account.as_ref();
        self.state.borrow_mut().notes.write(path, value, account)
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
        let cost = reply_cost(&response);
        let charge = |account: &Arc<Account>| account.charge(cost);
        let (response, charge) = match self.account.as_ref().map(charge) {
            Some(Err(_)) => (local_reply::plain(500, "host_memory", ""), None),
            Some(Ok(charge)) => (response, Some(Arc::new(charge))),
            None => (response, None),
        };
        // A filter that sees its own answer as a response has said what it has to say.
        let is_own = state.replier == Some(self.filter);
        let taken = !is_own && state.reply_with(response);
        if taken {
            state.replier = Some(self.filter);
            state.reply_charge = charge;
        }
        state.filter_replied |= taken;
        if !taken {
            // The filter waits for nothing: what it holds, or is about to hold, goes on.
            for direction in [Direction::Request, Direction::Response] {
                let side = state.side(self.filter, direction);
                side.refused = true;
                side.resume |= side.held;
            }
            state.wake_all();
        }
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

    fn is_held(&self) -> bool {
        let mut state = self.state.borrow_mut();
        [Direction::Request, Direction::Response]
            .into_iter()
            .any(|direction| {
                let side = state.side(self.filter, direction);
                side.held && !side.resume && !state.stopped(direction)
            })
    }

    fn vm_died(&mut self) {
        let mut state = self.state.borrow_mut();
        state.filters[self.filter].dead = true;
        state.wake_all();
    }
}

impl<M: Messages> StreamState<M> {
    /// Ends the stream whose head or trailers would have grown beyond what the VM may have the host hold.
    #[cold]
    fn end_for_room(&mut self, map: MapType) {
        let status = match map {
            MapType::HttpRequestHeaders | MapType::HttpRequestTrailers => 431,
            _ => 500,
        };
        self.reply_or_reset(local_reply::phrase(status, "host_memory"), "host_memory");
    }

    /// Returns true if a filter sees a map now, if there is one.
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
        let routes = direction == Direction::Request && chooses_route(&edit);
        let outcome = self.messages.edit(map, edit, false);
        self.target_changed |= routes && outcome == Edit::Done;
        outcome
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

/// Returns true if a change of a request's head may be one of what routes are chosen by.
#[inline]
fn chooses_route(edit: &HeaderEdit<'_>) -> bool {
    match edit {
        HeaderEdit::Add(name, _) | HeaderEdit::Replace(name, _) => {
            matches!(*name, b":path" | b":authority" | b"host")
        }
        HeaderEdit::Remove(_) => false,
        HeaderEdit::SetAll(_) => true,
    }
}

/// The most bytes that a change adds to a map.
#[inline]
fn cost(edit: &HeaderEdit<'_>) -> usize {
    match edit {
        HeaderEdit::Add(name, value) | HeaderEdit::Replace(name, value) => line_cost(name.len(), value.len()),
        HeaderEdit::Remove(_) => 0,
        HeaderEdit::SetAll(lines) => lines_cost(lines.iter().map(|(name, value)| (*name, *value))),
    }
}

fn reply_cost(response: &LocalResponse) -> usize {
    let lines = response.headers.iter();
    response.body.len() + lines_cost(lines.map(|(name, value)| (name.as_slice(), value.as_slice())))
}

fn lines_cost<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    lines
        .map(|(name, value)| line_cost(name.len(), value.len()))
        .sum()
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
    use weir_account::{Ceiling, Full, HOST_MEMORY_ITEM};

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

    /// A handle whose filter has this account.
    fn handle(
        state: &SharedState<crate::testing::Maps>,
        account: &Arc<Account>,
    ) -> StreamHandle<crate::testing::Maps> {
        StreamHandle::new(state.clone(), 0).paid_by(Some(account))
    }

    #[test]
    fn lines_are_paid_for_until_the_stream_is_gone() {
        let (state, account) = (state(1), Account::new(1000, &Ceiling::default()));
        let mut handle = handle(&state, &account);
        let map = MapType::HttpRequestHeaders;
        let add = HeaderEdit::Add(b"x", &[b'v'; 400]);
        let cost = line_cost(1, 400);
        assert_eq!(handle.edit_headers(map, add), Edit::Done);
        assert_eq!(handle.edit_headers(map, HeaderEdit::Remove(b"y")), Edit::Done);
        assert_eq!(
            handle.edit_headers(MapType::HttpResponseHeaders, add),
            Edit::Absent
        );
        assert_eq!(account.held(), cost, "nothing was added to what is not there");
        assert_eq!(
            handle.edit_headers(map, HeaderEdit::Replace(b"x", b"")),
            Edit::Done
        );
        assert_eq!(
            handle.edit_headers(map, add),
            Edit::Full(Full::Account { limit: 1000 })
        );
        assert_eq!(
            state.borrow_mut().take_reply().map(|reply| reply.status),
            Some(431)
        );
        drop((handle, state));
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn bodies_are_paid_for_until_they_have_gone_on() {
        let (state, account) = (state(1), Account::new(10_000, &Ceiling::default()));
        let mut handle = handle(&state, &account);
        let buffer = BufferType::HttpResponseBody;
        state.borrow_mut().side(0, Direction::Response).body = Some(Box::default());
        assert_eq!(handle.splice_buffer(buffer, 0, 0, &[0; 5000]), Edit::Done);
        assert_eq!(handle.splice_buffer(buffer, 0, 5000, &[0; 4000]), Edit::Done);
        assert!(
            (4000..4000 + 2 * HOST_MEMORY_ITEM).contains(&account.held()),
            "{}",
            account.held()
        );
        assert!(matches!(
            handle.splice_buffer(buffer, 0, 0, &[0; 8000]),
            Edit::Full(_)
        ));
        assert_eq!(
            state.borrow_mut().take_reply().map(|reply| reply.status),
            Some(500)
        );
        let body = state.borrow_mut().side(0, Direction::Response).body.take();
        let piece = body.unwrap().pop();
        assert_eq!((piece.map(|piece| piece.len()), account.held()), (Some(4000), 0));
    }

    #[test]
    fn a_reply_that_finds_no_room_is_a_bare_500() {
        let account = Account::new(1000, &Ceiling::default());
        let mut large = local_reply::plain(403, "", "");
        large.body = vec![0; 900];
        for (other, status) in [(0, 403), (200, 500)] {
            let _other = account.charge(other).unwrap();
            let state = state(1);
            assert!(handle(&state, &account).send_local_response(large.clone()));
            let reply = state.borrow_mut().take_reply().unwrap();
            assert_eq!(
                (reply.status, reply.body.len()),
                (status, if status == 403 { 900 } else { 0 })
            );
        }
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
    fn the_first_reply_of_a_moment_wins_and_a_later_one_takes_its_place() {
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
        // For other filters a reply on its way is a response like any other, until its head has gone.
        assert!(!first.send_local_response(reply(401)));
        assert!(second.send_local_response(reply(500)));
        assert!(state.borrow().stopped(Direction::Response));
        assert_eq!(
            state.borrow_mut().take_reply().map(|reply| reply.status),
            Some(500)
        );
        state.borrow_mut().response_sent = true;
        assert!(first.send_local_response(reply(501)));
        assert_eq!(state.borrow().reset, Some("local_response_too_late"));
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
