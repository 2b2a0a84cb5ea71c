//! The filter chain of one stream, bound to VMs.

use std::sync::Arc;

use atomic_refcell::{AtomicRef, AtomicRefCell};
use smallvec::SmallVec;
use weir_abi::{Callback, FailPolicy};
use weir_account::Account;
use weir_host::{BodyAction, ContextId, Finish, HeadersAction, LiveVm, StreamAction, VmGone, VmSlot};
use weir_meters::Meters;

use crate::handle::StreamHandle;
use crate::messages::Messages;
use crate::pump::{FilterCalls, Interest, StagePlan};
use crate::state::{Direction, SharedState, StreamState};

/// The filters that see one stream, in the order in which they see its request. Made when the request arrives, and shared by
/// the pumps of the two directions, which need not be on one thread. Ended by [`Chain::finish`].
pub struct Chain {
    /// The chain that this one extends.
    base: Option<Arc<Self>>,
    /// Number of its filters.
    before: usize,
    /// The filters of the route; the members name some of them.
    filters: Arc<[ChainFilter]>,
    members: SmallVec<[Member; 2]>,
}

/// A filter of a route, shared by the chains of all its streams.
pub struct ChainFilter {
    /// `None` where the filter was refused at start.
    slot: Option<(Arc<VmSlot>, usize)>,
    fail_policy: FailPolicy,
    limit: usize,
}

/// A filter in the chain of one stream.
struct Member {
    /// Index among the filters of the route.
    plan: usize,
    /// The VM and the stream's context in it, once the request has come to the filter.
    stream: AtomicRefCell<Option<(Arc<LiveVm>, ContextId)>>,
}

impl ChainFilter {
    /// Makes a filter, once for each thread and configuration.
    ///
    /// - `slot`: the slot of the filter's VM, and the index of the filter's plugin in the VM's plan. `None` where the filter
    ///   was refused: every stream gets the fail policy.
    /// - `fail_policy`: the fate of streams while the filter's VM is dead. `Open`: they continue without the filter; `Closed`:
    ///   they are answered with 503, or reset once the response's head has gone out.
    /// - `limit`: bytes of a body that the filter may hold back. A longer request is answered with 413, a longer response
    ///   with 500.
    pub fn new(slot: Option<(Arc<VmSlot>, usize)>, fail_policy: FailPolicy, limit: usize) -> Self {
        Self {
            slot,
            fail_policy,
            limit,
        }
    }

    fn has(&self, callback: Callback) -> bool {
        self.slot.as_ref().is_some_and(|(slot, _)| slot.has(callback))
    }
}

impl Member {
    /// Returns true if the filter knows of the stream.
    fn is_begun(&self) -> bool {
        self.stream.borrow().is_some()
    }
}

impl Chain {
    /// Makes a chain of the filters of a route with the indices `seen`, in the order in which they see the request.
    pub fn new(filters: &Arc<[ChainFilter]>, seen: impl IntoIterator<Item = usize>) -> Arc<Self> {
        Self::behind(None, Arc::clone(filters), seen)
    }

    /// Makes a chain of the filters of `base`, which may know of the stream already, followed by filters of another route.
    pub fn extending(
        base: Arc<Self>,
        filters: &Arc<[ChainFilter]>,
        seen: impl IntoIterator<Item = usize>,
    ) -> Arc<Self> {
        Self::behind(Some(base), Arc::clone(filters), seen)
    }

    /// Makes a chain without filters.
    pub fn empty() -> Arc<Self> {
        Self::behind(None, Arc::new([]), [])
    }

    fn behind(
        base: Option<Arc<Self>>,
        filters: Arc<[ChainFilter]>,
        seen: impl IntoIterator<Item = usize>,
    ) -> Arc<Self> {
        let member = |plan| Member {
            plan,
            stream: AtomicRefCell::default(),
        };
        Arc::new(Self {
            before: base.as_ref().map_or(0, |base| base.len()),
            base,
            filters,
            members: seen.into_iter().map(member).collect(),
        })
    }

    /// Returns the number of filters.
    pub fn len(&self) -> usize {
        self.before + self.members.len()
    }

    /// Returns true if there are no filters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // The compiler takes it for recursive, and it is asked several times for each callback.
    #[inline(always)]
    fn get(&self, filter: usize) -> Option<(&ChainFilter, &Member)> {
        match filter.checked_sub(self.before) {
            Some(own) => {
                let member = self.members.get(own)?;
                Some((self.filters.get(member.plan)?, member))
            }
            None => self.get_before(filter),
        }
    }

    #[cold]
    fn get_before(&self, filter: usize) -> Option<(&ChainFilter, &Member)> {
        self.base.as_ref()?.get(filter)
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &ChainFilter, &Member)> {
        self.iter_from(0)
    }

    fn iter_from(&self, first: usize) -> impl DoubleEndedIterator<Item = (usize, &ChainFilter, &Member)> {
        (first..self.len()).filter_map(|index| {
            let (filter, member) = self.get(index)?;
            Some((index, filter, member))
        })
    }

    /// Returns the index in its route of a filter of the chain; `None` for an index beyond the chain.
    pub fn plan(&self, filter: usize) -> Option<usize> {
        self.get(filter).map(|(_, member)| member.plan)
    }

    /// Returns the stages of the request's pump. No filter is left out: the head is also when a filter learns of the stream.
    pub fn request_plans(&self) -> impl Iterator<Item = StagePlan> + '_ {
        self.request_plans_from(0)
    }

    /// Returns the stages of the request's pump without those of the first `first` filters.
    pub fn request_plans_from(&self, first: usize) -> impl Iterator<Item = StagePlan> + '_ {
        self.iter_from(first).map(|(index, filter, _)| {
            let has = |callback| filter.has(callback);
            StagePlan {
                filter: index,
                // Its coming is also when the filter learns of the stream, so no filter is left out.
                interest: Interest {
                    headers: true,
                    body: has(Callback::RequestBody),
                    trailers: has(Callback::RequestTrailers),
                },
                fail_policy: filter.fail_policy,
                limit: filter.limit,
            }
        })
    }

    /// Returns the stages of the response's pump, in reverse order: filters that know of the stream and have a callback for
    /// responses. Called when the response's head is there.
    pub fn response_plans(&self) -> impl Iterator<Item = StagePlan> + '_ {
        self.iter().rev().filter_map(|(index, filter, member)| {
            if !member.is_begun() {
                return None;
            }
            let interest = Interest {
                headers: filter.has(Callback::ResponseHeaders),
                body: filter.has(Callback::ResponseBody),
                trailers: filter.has(Callback::ResponseTrailers),
            };
            (interest != Interest::default()).then_some(StagePlan {
                filter: index,
                interest,
                fail_policy: filter.fail_policy,
                limit: filter.limit,
            })
        })
    }

    /// Returns true if any filter that knows of the stream wants body callbacks in a direction: the filter has the callback, has
    /// not declined it, and its VM is not known to be dead. A proxy that can leave bodies where they are asks once the head
    /// has come through.
    pub fn wants_body<M>(&self, direction: Direction, state: &StreamState<M>) -> bool {
        let (callback, declined): (_, fn(&crate::FilterState) -> bool) = match direction {
            Direction::Request => (Callback::RequestBody, |filter| filter.request.declined),
            Direction::Response => (Callback::ResponseBody, |filter| filter.response.declined),
        };
        self.iter()
            .zip(&state.filters)
            .any(|((_, filter, member), part)| {
                filter.has(callback) && member.is_begun() && !part.dead && !declined(part)
            })
    }

    /// Returns true if a filter has failed in this stream: its VM has died, or could not be entered when the request came to
    /// the filter. A proxy asks once the request's head has come through.
    pub fn has_failed<M>(&self, state: &StreamState<M>) -> bool {
        self.iter()
            .zip(&state.filters)
            .any(|((_, _, member), part)| part.dead || !member.is_begun())
    }

    /// Begins a stream whose request has just come: makes its state, and counts the stream in the process's meters where
    /// the chain has filters. [`Chain::finish`] is called with the state in the end, whatever becomes of the stream.
    pub fn begin<M: Messages>(&self, messages: M, meters: &Meters) -> SharedState<M> {
        let mut state = StreamState::new(messages, 0);
        state.extend(self.len(), meters);
        state.share()
    }

    /// Ends the stream: counts its end and its fate, then tells all filters, in the order of the chain: `proxy_on_done`,
    /// `proxy_on_log`, `proxy_on_delete`. Called once, on the thread that may enter the VMs, when no pump of the stream will
    /// be polled any more. The messages are read until this returns.
    pub fn finish<M: Messages>(&self, state: &SharedState<M>, meters: &Meters) {
        // Before a VM is entered: neither a death in `proxy_on_log` nor a panic changes the numbers.
        state.borrow_mut().end(meters);
        for (_, _, member) in self.iter() {
            let stream = member.stream.borrow();
            let Some((vm, context)) = &*stream else {
                continue;
            };
            if vm.enter(|vm| vm.finish_stream(*context)) == Ok(Finish::Deferred) {
                vm.await_done();
            }
        }
    }
}

/// The callbacks of a chain's filters for one stream, as a pump makes them. Owns its parts; see [`LentCalls`].
pub struct ChainCalls<M> {
    chain: Arc<Chain>,
    state: SharedState<M>,
}

impl<M: Messages> ChainCalls<M> {
    /// Makes the callbacks of `chain` for the stream with this state.
    pub fn new(chain: Arc<Chain>, state: SharedState<M>) -> Self {
        Self { chain, state }
    }

    fn lent(&self) -> LentCalls<'_, M> {
        LentCalls::new(&self.chain, &self.state)
    }
}

/// The callbacks of a chain's filters for one stream, with borrowed parts: for heads that pass without a pump.
pub struct LentCalls<'a, M> {
    chain: &'a Chain,
    state: &'a SharedState<M>,
}

impl<'a, M: Messages> LentCalls<'a, M> {
    /// Makes the callbacks of `chain` for the stream with this state.
    pub fn new(chain: &'a Chain, state: &'a SharedState<M>) -> Self {
        Self { chain, state }
    }

    /// Creates the stream's context in a filter, and calls it with the request's headers.
    fn begin(&self, index: usize, count: usize, end_of_stream: bool) -> Result<HeadersAction, VmGone> {
        let (filter, member) = self.chain.get(index).ok_or(VmGone)?;
        let (slot, plugin) = filter.slot.as_ref().ok_or(VmGone)?;
        let vm = slot.live().ok_or(VmGone)?;
        let plugin = vm.context(*plugin).ok_or(VmGone)?;
        let handle = StreamHandle::new(self.state.clone(), index).paid_by(vm.account());
        let (context, action) = vm.enter(|vm| {
            let context = vm.create_stream(plugin, Box::new(handle))?;
            Ok((context, vm.on_request_headers(context, count, end_of_stream)?))
        })?;
        // Only now: what died in its first callback has nothing more to hear.
        let mut stream = member.stream.borrow_mut();
        let (vm, _) = &*stream.insert((vm, context));
        if action != HeadersAction::Continue {
            vm.stream_waits();
        }
        Ok(action)
    }

    fn stream(&self, filter: usize) -> Result<AtomicRef<'a, (Arc<LiveVm>, ContextId)>, VmGone> {
        let (_, member) = self.chain.get(filter).ok_or(VmGone)?;
        AtomicRef::filter_map(member.stream.borrow(), Option::as_ref).ok_or(VmGone)
    }
}

impl<M: Messages> FilterCalls for ChainCalls<M> {
    fn on_headers(
        &mut self,
        filter: usize,
        direction: Direction,
        count: usize,
        end_of_stream: bool,
    ) -> Result<HeadersAction, VmGone> {
        self.lent().on_headers(filter, direction, count, end_of_stream)
    }

    fn on_body(
        &mut self,
        filter: usize,
        direction: Direction,
        size: usize,
        end_of_stream: bool,
    ) -> Result<BodyAction, VmGone> {
        self.lent().on_body(filter, direction, size, end_of_stream)
    }

    fn on_trailers(
        &mut self,
        filter: usize,
        direction: Direction,
        count: usize,
    ) -> Result<StreamAction, VmGone> {
        self.lent().on_trailers(filter, direction, count)
    }

    fn account(&self, filter: usize) -> Option<Arc<Account>> {
        self.lent().account(filter)
    }
}

impl<M: Messages> FilterCalls for LentCalls<'_, M> {
    fn on_headers(
        &mut self,
        filter: usize,
        direction: Direction,
        count: usize,
        end_of_stream: bool,
    ) -> Result<HeadersAction, VmGone> {
        match direction {
            Direction::Request => self.begin(filter, count, end_of_stream),
            Direction::Response => {
                let (vm, context) = &*self.stream(filter)?;
                let action = vm.enter(|vm| vm.on_response_headers(*context, count, end_of_stream))?;
                if action != HeadersAction::Continue {
                    vm.stream_waits();
                }
                Ok(action)
            }
        }
    }

    fn on_body(
        &mut self,
        filter: usize,
        direction: Direction,
        size: usize,
        end_of_stream: bool,
    ) -> Result<BodyAction, VmGone> {
        let (vm, context) = &*self.stream(filter)?;
        let action = vm.enter(|vm| match direction {
            Direction::Request => vm.on_request_body(*context, size, end_of_stream),
            Direction::Response => vm.on_response_body(*context, size, end_of_stream),
        })?;
        if action != BodyAction::Continue {
            vm.stream_waits();
        }
        Ok(action)
    }

    fn on_trailers(
        &mut self,
        filter: usize,
        direction: Direction,
        count: usize,
    ) -> Result<StreamAction, VmGone> {
        let (vm, context) = &*self.stream(filter)?;
        let action = vm.enter(|vm| match direction {
            Direction::Request => vm.on_request_trailers(*context, count),
            Direction::Response => vm.on_response_trailers(*context, count),
        })?;
        if action != StreamAction::Continue {
            vm.stream_waits();
        }
        Ok(action)
    }

    fn account(&self, filter: usize) -> Option<Arc<Account>> {
        let (vm, _) = &*self.stream(filter).ok()?;
        vm.account().cloned()
    }
}

#[cfg(test)]
mod tests {
    use weir_abi::StreamType;
    use weir_host::{ExportedCallbacks, Stream};

    use super::*;
    use crate::testing;

    const BODIES: &[Callback] = &[Callback::RequestBody, Callback::ResponseBody];

    /// A slot without a VM, whose VMs have these callbacks.
    fn slot(callbacks: &[Callback]) -> Arc<VmSlot> {
        let exported = ExportedCallbacks::default();
        exported.set(|callback| callbacks.contains(&callback));
        VmSlot::new(Arc::new(exported))
    }

    fn chain(filters: [Option<&[Callback]>; 2]) -> Arc<Chain> {
        let filter = |callbacks: Option<&[Callback]>| {
            ChainFilter::new(
                callbacks.map(|callbacks| (slot(callbacks), 0)),
                FailPolicy::Open,
                10,
            )
        };
        Chain::new(&filters.into_iter().map(filter).collect(), 0..2)
    }

    /// Makes a filter know of the stream.
    fn begin(chain: &Chain, filter: usize) {
        let context = ContextId::new(2).expect("not 0");
        *chain.members[filter].stream.borrow_mut() = Some((testing::vm(), context));
    }

    #[test]
    fn a_filter_without_a_living_vm_gets_the_fail_policy() {
        let chain = chain([None, Some(BODIES)]);
        let state = testing::state(2);
        let mut calls = ChainCalls::new(Arc::clone(&chain), state.clone());
        for filter in 0..2 {
            assert_eq!(
                calls.on_headers(filter, Direction::Request, 1, false),
                Err(VmGone)
            );
        }
        assert_eq!(chain.response_plans().count(), 0, "neither knows of the stream");
        chain.finish(&state, &Meters::default());
    }

    #[test]
    fn a_stream_is_counted_once_it_has_filters_and_once_at_its_end() {
        let meters = Meters::default();
        let (empty, chain) = (Chain::empty(), chain([None, None]));
        let state = empty.begin(testing::Maps::default(), &meters);
        assert_eq!(meters.streams.value(), 0, "no filter sees it");
        for _ in 0..2 {
            state.borrow_mut().extend(chain.len(), &meters);
            assert_eq!(meters.streams.value(), 1);
        }
        for _ in 0..2 {
            chain.finish(&state, &meters);
            assert_eq!(meters.streams_ended.value(), 1);
        }
        let state = empty.begin(testing::Maps::default(), &meters);
        empty.finish(&state, &meters);
        assert_eq!(meters.streams_ended.value(), 1, "its begin was not counted");
    }

    #[test]
    fn the_fate_of_a_stream_is_counted_at_its_end() {
        type Fate = fn(&mut StreamState<testing::Maps>);
        let answer = || crate::local_reply::plain(503, "", "");
        let fates: [(Fate, [u64; 3]); 5] = [
            (|_| (), [0, 0, 0]),
            (|state| state.filter_replied = true, [1, 0, 0]),
            (|state| state.filters[0].dead = true, [0, 1, 0]),
            (
                |state| {
                    state.filters[0].dead = true;
                    state.reset_with("filter_failed");
                },
                [0, 0, 1],
            ),
            // A filter answers, and another dies of the answer.
            (
                |state| {
                    state.filters[0].dead = true;
                    state.filter_replied = true;
                    state.reply = crate::Reply::Given;
                },
                [1, 1, 0],
            ),
        ];
        let counted = |change: &dyn Fn(&mut StreamState<testing::Maps>)| {
            let (chain, meters) = (chain([None, None]), Meters::default());
            let state = chain.begin(testing::Maps::default(), &meters);
            change(&mut state.borrow_mut());
            chain.finish(&state, &meters);
            [&meters.local_responses, &meters.fail_open, &meters.fail_closed].map(|counter| counter.value())
        };
        for (index, (fate, expected)) in fates.iter().enumerate() {
            assert_eq!(counted(fate), *expected, "{index}");
        }
        let refused = counted(&|state| {
            state.filters[1].dead = true;
            state.reply_with(answer());
            state.take_reply();
        });
        assert_eq!(refused, [0, 0, 1], "the fail policy has answered");
    }

    #[test]
    fn the_response_passes_the_streams_filters_in_reverse() {
        let chain = chain([Some(BODIES), Some(&[Callback::ResponseHeaders])]);
        assert_eq!(chain.request_plans().count(), 2);
        begin(&chain, 0);
        begin(&chain, 1);
        let plans: Vec<_> = chain
            .response_plans()
            .map(|plan| (plan.filter, plan.interest.headers, plan.interest.body))
            .collect();
        assert_eq!(plans, [(1, true, false), (0, false, true)]);
    }

    #[test]
    fn a_body_is_wanted_until_nobody_wants_it() {
        let chain = chain([Some(BODIES), Some(&[Callback::RequestBody])]);
        let state = testing::state(2);
        let wants = |direction| chain.wants_body(direction, &state.borrow());
        assert!(!wants(Direction::Request), "nobody knows of the stream");
        begin(&chain, 0);
        begin(&chain, 1);
        assert!(wants(Direction::Request) && wants(Direction::Response));
        StreamHandle::new(state.clone(), 0).decline_body(StreamType::HttpResponse);
        assert!(wants(Direction::Request) && !wants(Direction::Response));
        StreamHandle::new(state.clone(), 0).decline_body(StreamType::HttpRequest);
        assert!(wants(Direction::Request), "the other filter wants it");
        StreamHandle::new(state.clone(), 1).vm_died();
        assert!(!wants(Direction::Request));
    }
}
