//! A stream under way, for proxies whose exchange has no destructor of its own.

use std::sync::Arc;

use weir_meters::Meters;

use crate::filters::Chain;
use crate::messages::Messages;
use crate::state::SharedState;

/// A stream under way. When it is dropped, the stream ends in its filters and is counted as ended ([`Chain::finish`]), so
/// that a client that leaves in the middle of an exchange leaves no stream context behind.
///
/// Dropped on the thread that may enter the chain's VMs, after the pumps of the stream.
pub struct OpenStream<M: Messages> {
    chain: Arc<Chain>,
    state: SharedState<M>,
    meters: Meters,
}

impl<M: Messages> OpenStream<M> {
    /// Begins a stream whose request has just come ([`Chain::begin`]).
    pub fn begin(chain: Arc<Chain>, messages: M, meters: &Meters) -> Self {
        let state = chain.begin(messages, meters);
        let meters = meters.clone();
        Self { chain, state, meters }
    }

    /// Returns the stream's filters.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Returns the stream's state.
    pub fn state(&self) -> &SharedState<M> {
        &self.state
    }
}

impl<M: Messages> Drop for OpenStream<M> {
    fn drop(&mut self) {
        self.chain.finish(&self.state, &self.meters);
    }
}
