//! The filter chain of one stream, bound to the VMs of its worker.

use std::cell::OnceCell;
use std::rc::Rc;

use smallvec::SmallVec;
use weir_abi::Callback;
use weir_host::{BodyAction, ContextId, Finish, HeadersAction, StreamAction};

use crate::pump::{FilterCalls, Interest, StagePlan, VmGone};
use crate::snapshot::FilterPlan;
use crate::stream::handle::StreamHandle;
use crate::stream::state::{Direction, SharedState};
use crate::vm::slot::{LiveVm, VmSlot};
use crate::worker::WorkerSnapshot;

/// The filters that see a stream. Shared by the two directions.
pub(crate) struct Chain {
    filters: SmallVec<[ChainFilter; 2]>,
}

struct ChainFilter {
    /// The place of its plan in the route.
    plan: usize,
    /// `None` where the filter was refused at start.
    slot: Option<(Rc<VmSlot>, usize)>,
    fail_open: bool,
    limit: usize,
    /// The VM and the stream's context in it, once the request has come to the filter.
    stream: OnceCell<(Rc<LiveVm>, ContextId)>,
}

impl Chain {
    /// The filters of a route that see a request.
    pub fn new(snapshot: &WorkerSnapshot, filters: &[FilterPlan], authority: &[u8], path: &[u8]) -> Rc<Self> {
        let filters = filters
            .iter()
            .enumerate()
            .filter(|(_, filter)| filter.config.sees(authority, path))
            .map(|(plan, filter)| ChainFilter {
                plan,
                slot: filter
                    .vm
                    .map(|(vm, plugin)| (Rc::clone(&snapshot.slots[vm]), plugin)),
                fail_open: filter.fail_open,
                limit: filter.limit,
                stream: OnceCell::new(),
            });
        Rc::new(Self {
            filters: filters.collect(),
        })
    }

    /// No filters.
    pub fn empty() -> Rc<Self> {
        Rc::new(Self {
            filters: SmallVec::new(),
        })
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The place in the route of a filter of the chain.
    pub fn plan(&self, filter: usize) -> Option<usize> {
        self.filters.get(filter).map(|filter| filter.plan)
    }

    /// The stages of the request.
    pub fn request_plans(&self) -> impl Iterator<Item = StagePlan> + '_ {
        self.filters.iter().enumerate().map(|(index, filter)| {
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
        self.filters
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(index, filter)| {
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

    /// Ends the stream in all filters, in the order of the chain.
    pub fn finish(&self) {
        for filter in &self.filters {
            let Some((vm, context)) = filter.stream.get() else {
                continue;
            };
            if vm.enter(|vm| vm.finish_stream(*context)) == Ok(Finish::Deferred) {
                vm.await_done();
            }
        }
    }
}

impl ChainFilter {
    fn has(&self, callback: Callback) -> bool {
        self.slot
            .as_ref()
            .is_some_and(|(slot, _)| slot.plan().has(callback))
    }
}

/// Calls the filters of a chain for one stream.
pub(crate) struct ChainCalls {
    chain: Rc<Chain>,
    state: SharedState,
}

impl ChainCalls {
    /// Calls for this stream.
    pub fn new(chain: Rc<Chain>, state: SharedState) -> Self {
        Self { chain, state }
    }

    /// Tells a filter of the stream, and shows it the request's headers.
    fn begin(&self, index: usize, count: usize, end_of_stream: bool) -> Result<HeadersAction, VmGone> {
        let filter = self.chain.filters.get(index).ok_or(VmGone)?;
        let (slot, plugin) = filter.slot.as_ref().ok_or(VmGone)?;
        let vm = slot.live().ok_or(VmGone)?;
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

    fn stream(&self, filter: usize) -> Result<&(Rc<LiveVm>, ContextId), VmGone> {
        self.chain
            .filters
            .get(filter)
            .and_then(|filter| filter.stream.get())
            .ok_or(VmGone)
    }
}

impl FilterCalls for ChainCalls {
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
