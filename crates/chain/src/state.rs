//! The state of one stream, shared by the pumps that move it and the handles that the VMs of its filters hold.

use std::sync::Arc;
use std::task::{Context, Waker};

use atomic_refcell::AtomicRefCell;
use smallvec::SmallVec;
use weir_account::{Charge, Charges};
use weir_host::LocalResponse;
use weir_meters::Meters;

use crate::messages::Messages;
use crate::notes::Notes;
use crate::pieces::Pieces;

/// A stream's state. Never borrowed across a call into a VM, because the guest's hostcalls borrow it.
pub type SharedState<M> = Arc<AtomicRefCell<StreamState<M>>>;

/// A direction of an HTTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client; filters in the order of the chain.
    Request,
    /// To the client; filters in reverse.
    Response,
}

/// The state of one stream.
pub struct StreamState<M> {
    /// The heads, trailers and facts.
    pub messages: M,
    /// One for each filter of the chain, in its order.
    pub filters: SmallVec<[FilterState; 2]>,
    /// The answer of a filter or of the proxy itself, if there is one.
    pub reply: Reply,
    /// True if the answer is a filter's.
    pub filter_replied: bool,
    /// The filter whose answer is pending or on its way; `None` for one of the proxy.
    pub(crate) replier: Option<usize>,
    /// The stream is to be reset; the reason, for the access log.
    pub reset: Option<&'static str>,
    /// True once the response's head has gone to the client; set by the proxy.
    pub response_sent: bool,
    /// True once all is over; set by [`Chain::finish`](crate::Chain::finish), or by a proxy that stops its pumps before.
    pub finished: bool,
    /// True if a filter asked for the route to be looked up again; cleared by the proxy.
    pub route_cleared: bool,
    /// True if a filter changed the path or the authority of the request; cleared by the proxy.
    pub target_changed: bool,
    /// The values that filters stored with `proxy_set_property`.
    pub notes: Notes,
    /// The charges of VMs for header lines that their filters have added.
    pub(crate) charges: Charges,
    /// A VM's charge for the answer of a filter. Whoever has the answer's body when the stream is over keeps a clone.
    pub reply_charge: Option<Arc<Charge>>,
    request_waker: Option<Waker>,
    response_waker: Option<Waker>,
    service_waker: Option<Waker>,
    /// Counted as begun and not as ended.
    counted: bool,
}

/// An answer that does not come from the upstream.
#[derive(Debug, Default)]
pub enum Reply {
    /// None.
    #[default]
    None,
    /// Asked for, and not taken up yet.
    Pending(Box<LocalResponse>),
    /// On its way. Another one takes its place until the head has gone to the client.
    Given,
}

/// One filter's part of a stream.
#[derive(Debug, Default)]
pub struct FilterState {
    /// Its part of the request.
    pub request: Side,
    /// Its part of the response.
    pub response: Side,
    /// Its VM has died.
    pub dead: bool,
}

/// One filter's part of one direction.
#[derive(Debug, Default)]
pub struct Side {
    /// Body that the filter may read and change now.
    pub body: Option<Box<Pieces>>,
    /// The body is complete.
    pub body_complete: bool,
    /// The head has gone on to the next filter.
    pub head_passed: bool,
    /// The trailers have come to the filter.
    pub trailers_here: bool,
    /// The trailers have gone on.
    pub trailers_passed: bool,
    /// The last bytes of a body without trailers are with the filter: it may add some.
    pub may_add_trailers: bool,
    /// The filter holds this direction.
    pub held: bool,
    /// The filter holds what it was given and waits for more, which the sender has not sent.
    pub waits_for_sender: bool,
    /// The filter asked for a held direction to go on.
    pub resume: bool,
    /// The filter wants to see no more of the body.
    pub declined: bool,
    /// An answer of the filter was refused in the callback under way. A filter that pauses after its answer waits for nothing.
    pub refused: bool,
}

impl FilterState {
    fn holds(&self) -> bool {
        let sides = [&self.request, &self.response];
        !self.dead && sides.iter().any(|side| side.held && !side.waits_for_sender)
    }
}

impl<M: Messages> StreamState<M> {
    /// Makes the state of a stream whose request has just come. `filters`: number of filters in its chain.
    pub fn new(messages: M, filters: usize) -> Self {
        let mut state = Self {
            messages,
            filters: SmallVec::new(),
            reply: Reply::None,
            filter_replied: false,
            replier: None,
            reset: None,
            response_sent: false,
            finished: false,
            route_cleared: false,
            target_changed: false,
            notes: Notes::default(),
            charges: Charges::default(),
            reply_charge: None,
            request_waker: None,
            response_waker: None,
            service_waker: None,
            counted: false,
        };
        state.filters.resize_with(filters, FilterState::default);
        state
    }

    /// Makes room for the filters of a chain that has been extended to this number of filters. Counts the stream once it has
    /// any.
    pub fn extend(&mut self, filters: usize, meters: &Meters) {
        self.filters.resize_with(filters, FilterState::default);
        if filters > 0 && !self.counted {
            self.counted = true;
            meters.streams.increment();
        }
    }

    /// Ends the stream, and counts its end and its fate if its begin was counted.
    pub(crate) fn end(&mut self, meters: &Meters) {
        self.finished = true;
        if !std::mem::take(&mut self.counted) {
            return;
        }
        meters.streams_ended.increment();
        if self.filter_replied {
            meters.local_responses.increment();
        }
        if self.filters.iter().any(|filter| filter.dead) {
            let refused = self.reset.is_some() || (self.is_local() && !self.filter_replied);
            if refused {
                meters.fail_closed.increment();
            } else {
                meters.fail_open.increment();
            }
        }
    }

    /// Returns true if the response came from a filter or from the proxy itself.
    pub fn is_local(&self) -> bool {
        matches!(self.reply, Reply::Given)
    }

    /// Moves the state to where pumps and VMs share it.
    pub fn share(self) -> SharedState<M> {
        Arc::new(AtomicRefCell::new(self))
    }

    /// Returns one filter's part of one direction.
    pub fn side(&mut self, filter: usize, direction: Direction) -> &mut Side {
        let filter = &mut self.filters[filter];
        match direction {
            Direction::Request => &mut filter.request,
            Direction::Response => &mut filter.response,
        }
    }

    /// Returns true if nothing moves in a direction any more: the stream is answered, reset or finished.
    pub fn stopped(&self, direction: Direction) -> bool {
        self.finished
            || self.reset.is_some()
            || match direction {
                Direction::Request => !matches!(self.reply, Reply::None),
                Direction::Response => matches!(self.reply, Reply::Pending(_)),
            }
    }

    /// Returns true if an answer can still be given, also in the place of one that is on its way.
    pub fn can_reply(&self) -> bool {
        !matches!(self.reply, Reply::Pending(_))
            && !self.response_sent
            && !self.finished
            && self.reset.is_none()
    }

    /// Answers instead of the upstream. `false`: too late, and nothing has happened.
    pub fn reply_with(&mut self, response: LocalResponse) -> bool {
        if !self.can_reply() {
            return false;
        }
        self.reply = Reply::Pending(Box::new(response));
        self.replier = None;
        self.wake_all();
        true
    }

    /// Answers if that is still possible, else resets the stream.
    pub fn reply_or_reset(&mut self, response: LocalResponse, reason: &'static str) {
        if !self.reply_with(response) {
            self.reset_with(reason);
        }
    }

    /// Resets the stream. The first reason stays.
    pub fn reset_with(&mut self, reason: &'static str) {
        self.reset.get_or_insert(reason);
        self.wake_all();
    }

    /// The sender of a direction broke off: the stream is reset.
    pub fn source_failed(&mut self, direction: Direction) {
        self.messages.source_failed(direction);
        self.reset_with(match direction {
            Direction::Request => "downstream_remote_disconnect",
            Direction::Response => "upstream_reset_after_response_started",
        });
    }

    /// Returns true if a filter holds a direction.
    pub fn is_held(&self) -> bool {
        self.filters
            .iter()
            .any(|filter| filter.request.held || filter.response.held)
    }

    /// Returns true if a filter holds a direction that nobody else holds up: neither the sender nor an earlier filter.
    pub fn is_held_by_filter(&self) -> bool {
        self.filters.iter().any(FilterState::holds)
    }

    /// Gives the filters of which [`StreamState::is_held_by_filter`] speaks up, as if their VMs had died: the stream gets
    /// their fail policies. Returns the indices of those filters in the chain.
    pub fn give_up_held(&mut self) -> SmallVec<[usize; 2]> {
        let mut given_up = SmallVec::new();
        for (index, filter) in self.filters.iter_mut().enumerate() {
            if filter.holds() {
                filter.dead = true;
                given_up.push(index);
            }
        }
        self.wake_all();
        given_up
    }

    /// Takes the answer of a filter or of the proxy, to be made the response
    /// ([`local_reply::render`](crate::local_reply::render)). `None`: there is none, the stream was reset.
    pub fn take_reply(&mut self) -> Option<LocalResponse> {
        match std::mem::replace(&mut self.reply, Reply::Given) {
            Reply::Pending(response) => Some(*response),
            other => {
                self.reply = other;
                None
            }
        }
    }

    /// Has the task that polls a direction woken when something changes.
    pub fn register(&mut self, direction: Direction, cx: &Context<'_>) {
        let place = match direction {
            Direction::Request => &mut self.request_waker,
            Direction::Response => &mut self.response_waker,
        };
        register(place, cx);
    }

    /// Has the task that waits for an answer or a reset woken by it.
    pub fn register_service(&mut self, cx: &Context<'_>) {
        register(&mut self.service_waker, cx);
    }

    /// Wakes the task that polls a direction.
    pub fn wake(&self, direction: Direction) {
        let waker = match direction {
            Direction::Request => &self.request_waker,
            Direction::Response => &self.response_waker,
        };
        if let Some(waker) = waker {
            waker.wake_by_ref();
        }
    }

    /// Wakes all tasks that wait for the stream.
    pub fn wake_all(&self) {
        for waker in [&self.request_waker, &self.response_waker, &self.service_waker]
            .into_iter()
            .flatten()
        {
            waker.wake_by_ref();
        }
    }
}

fn register(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}
