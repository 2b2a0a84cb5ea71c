//! The filter chain of one stream, bound to VMs.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;
use weir_abi::Callback;
use weir_host::{BodyAction, ContextId, Finish, HeadersAction, StreamAction};

use crate::handle::StreamHandle;
use crate::messages::Messages;
use crate::pump::{FilterCalls, Interest, StagePlan};
use crate::state::{Direction, SharedState, StreamState};
use crate::vm::{LiveVm, VmGone, VmPlace};

/// The filters that see a stream. Shared by the two directions, which need not be on one thread if the proxy's VMs need not
/// be either.
pub struct Chain<P: VmPlace> {
    /// Filters that come before, where a chain was extended after a stream had begun.
    base: Option<Arc<Self>>,
    filters: SmallVec<[ChainFilter<P>; 2]>,
}

/// A filter in the chain of one stream.
pub struct ChainFilter<P: VmPlace> {
    plan: usize,
    /// `None` where the filter was refused at start.
    place: Option<(P, usize)>,
    fail_open: bool,
    limit: usize,
    /// The VM and the stream's context in it, once the request has come to the filter.
    stream: OnceLock<(P::Vm, ContextId)>,
}

impl<P: VmPlace> ChainFilter<P> {
    /// `plan`: place of the filter among those of its route. `place`: where its VM is, and the place of its plugin in the
    /// VM's plan; `None` where the filter was refused, so that every stream gets the fail policy. `fail_open`: streams go
    /// on without the filter when its VM is dead. `limit`: body bytes that it may hold back.
    pub fn new(plan: usize, place: Option<(P, usize)>, fail_open: bool, limit: usize) -> Self {
        Self {
            plan,
            place,
            fail_open,
            limit,
            stream: OnceLock::new(),
        }
    }

    fn has(&self, callback: Callback) -> bool {
        self.place.as_ref().is_some_and(|(place, _)| place.has(callback))
    }
}

impl<P: VmPlace> Chain<P> {
    /// A chain of these filters, in the order in which they see the request.
    pub fn new(filters: impl IntoIterator<Item = ChainFilter<P>>) -> Arc<Self> {
        Arc::new(Self {
            base: None,
            filters: filters.into_iter().collect(),
        })
    }

    /// A chain of the filters of `base`, which may know of the stream already, and of these behind them.
    pub fn extending(base: Arc<Self>, filters: impl IntoIterator<Item = ChainFilter<P>>) -> Arc<Self> {
        Arc::new(Self {
            base: Some(base),
            filters: filters.into_iter().collect(),
        })
    }

    /// No filters.
    pub fn empty() -> Arc<Self> {
        Self::new([])
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        self.before() + self.filters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of filters that come before those of this very chain.
    fn before(&self) -> usize {
        self.base.as_ref().map_or(0, |base| base.len())
    }

    fn get(&self, filter: usize) -> Option<&ChainFilter<P>> {
        match filter.checked_sub(self.before()) {
            Some(own) => self.filters.get(own),
            None => self.base.as_ref()?.get(filter),
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &ChainFilter<P>)> {
        (0..self.len()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// The place in the route of a filter of the chain.
    pub fn plan(&self, filter: usize) -> Option<usize> {
        self.get(filter).map(|filter| filter.plan)
    }

    /// The stages of the request.
    pub fn request_plans(&self) -> impl Iterator<Item = StagePlan> + '_ {
        self.iter().map(|(index, filter)| {
            let has = |callback| filter.has(callback);
            StagePlan {
                filter: index,
                // Its coming is also when the filter learns of the stream, so no filter is left out.
                interest: Interest {
                    headers: true,
                    body: has(Callback::RequestBody),
                    trailers: has(Callback::RequestTrailers),
                },
                fail_open: filter.fail_open,
                limit: filter.limit,
            }
        })
    }

    /// The stages of the response: the filters that know of the stream and want to hear of the response, in reverse.
    pub fn response_plans(&self) -> impl Iterator<Item = StagePlan> + '_ {
        self.iter().rev().filter_map(|(index, filter)| {
            filter.stream.get()?;
            let interest = Interest {
                headers: filter.has(Callback::ResponseHeaders),
                body: filter.has(Callback::ResponseBody),
                trailers: filter.has(Callback::ResponseTrailers),
            };
            (interest != Interest::default()).then_some(StagePlan {
                filter: index,
                interest,
                fail_open: filter.fail_open,
                limit: filter.limit,
            })
        })
    }

    /// Whether any filter that knows of the stream still wants body callbacks in a direction: it has the callback, has not
    /// declined it, and its VM is not known to be dead. A proxy that can spare itself the body asks once the heads have
    /// come through.
    pub fn wants_body<M>(&self, direction: Direction, state: &StreamState<M>) -> bool {
        let (callback, declined): (_, fn(&crate::FilterState) -> bool) = match direction {
            Direction::Request => (Callback::RequestBody, |filter| filter.request.declined),
            Direction::Response => (Callback::ResponseBody, |filter| filter.response.declined),
        };
        self.iter().zip(&state.filters).any(|((_, filter), part)| {
            filter.stream.get().is_some() && filter.has(callback) && !part.dead && !declined(part)
        })
    }

    /// Ends the stream in all filters, in the order of the chain. Called once, when nothing more will be polled.
    pub fn finish(&self) {
        for (_, filter) in self.iter() {
            let Some((vm, context)) = filter.stream.get() else {
                continue;
            };
            if vm.enter(|vm| vm.finish_stream(*context)) == Ok(Finish::Deferred) {
                vm.await_done();
            }
        }
    }
}

/// Calls the filters of a chain for one stream.
pub struct ChainCalls<P: VmPlace, M> {
    chain: Arc<Chain<P>>,
    state: SharedState<M>,
}

impl<P: VmPlace, M: Messages> ChainCalls<P, M> {
    /// Calls for this stream.
    pub fn new(chain: Arc<Chain<P>>, state: SharedState<M>) -> Self {
        Self { chain, state }
    }

    /// Tells a filter of the stream, and shows it the request's headers.
    fn begin(&self, index: usize, count: usize, end_of_stream: bool) -> Result<HeadersAction, VmGone> {
        let filter = self.chain.get(index).ok_or(VmGone)?;
        let (place, plugin) = filter.place.as_ref().ok_or(VmGone)?;
        let vm = place.live().ok_or(VmGone)?;
        let plugin = vm.context(*plugin).ok_or(VmGone)?;
        let handle = StreamHandle::new(self.state.clone(), index);
        let (context, action) = vm.enter(|vm| {
            let context = vm.create_stream(plugin, Box::new(handle))?;
            Ok((context, vm.on_request_headers(context, count, end_of_stream)?))
        })?;
        // Only now: what died in its first callback has nothing more to hear.
        let _ = filter.stream.set((vm, context));
        Ok(action)
    }

    fn stream(&self, filter: usize) -> Result<&(P::Vm, ContextId), VmGone> {
        self.chain
            .get(filter)
            .and_then(|filter| filter.stream.get())
            .ok_or(VmGone)
    }
}

impl<P: VmPlace, M: Messages> FilterCalls for ChainCalls<P, M> {
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
                let (vm, context) = self.stream(filter)?;
                vm.enter(|vm| vm.on_response_headers(*context, count, end_of_stream))
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
        let (vm, context) = self.stream(filter)?;
        vm.enter(|vm| match direction {
            Direction::Request => vm.on_request_body(*context, size, end_of_stream),
            Direction::Response => vm.on_response_body(*context, size, end_of_stream),
        })
    }

    fn on_trailers(
        &mut self,
        filter: usize,
        direction: Direction,
        count: usize,
    ) -> Result<StreamAction, VmGone> {
        let (vm, context) = self.stream(filter)?;
        vm.enter(|vm| match direction {
            Direction::Request => vm.on_request_trailers(*context, count),
            Direction::Response => vm.on_response_trailers(*context, count),
        })
    }
}

#[cfg(test)]
mod tests {
    use weir_abi::StreamType;
    use weir_host::{Stream, Vm, VmError};

    use super::*;
    use crate::testing;

    /// A place whose plan has these callbacks, and whose VM is dead whenever it is entered.
    struct Dead(&'static [Callback]);

    impl VmPlace for Dead {
        type Vm = ();

        fn live(&self) -> Option<()> {
            Some(())
        }

        fn has(&self, callback: Callback) -> bool {
            self.0.contains(&callback)
        }
    }

    impl LiveVm for () {
        fn context(&self, _: usize) -> Option<ContextId> {
            ContextId::new(1)
        }

        fn enter<R>(&self, _: impl FnOnce(&mut Vm) -> Result<R, VmError>) -> Result<R, VmGone> {
            Err(VmGone)
        }

        fn await_done(&self) {}
    }

    const BODIES: &[Callback] = &[Callback::RequestBody, Callback::ResponseBody];

    fn chain(places: [Option<&'static [Callback]>; 2]) -> Arc<Chain<Dead>> {
        Chain::new(places.into_iter().enumerate().map(|(plan, callbacks)| {
            ChainFilter::new(plan, callbacks.map(|callbacks| (Dead(callbacks), 0)), true, 10)
        }))
    }

    /// Makes a filter know of the stream.
    fn begin(chain: &Chain<Dead>, filter: usize) {
        let context = ContextId::new(2).expect("not 0");
        chain.filters[filter].stream.set(((), context)).expect("unset");
    }

    #[test]
    fn a_filter_without_a_living_vm_gets_the_fail_policy() {
        let chain = chain([None, Some(BODIES)]);
        let mut calls = ChainCalls::new(Arc::clone(&chain), testing::state(2));
        for filter in 0..2 {
            assert_eq!(
                calls.on_headers(filter, Direction::Request, 1, false),
                Err(VmGone)
            );
        }
        assert_eq!(chain.response_plans().count(), 0, "neither knows of the stream");
        chain.finish();
    }

    #[test]
    fn the_response_passes_in_reverse_those_that_know_of_the_stream() {
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
