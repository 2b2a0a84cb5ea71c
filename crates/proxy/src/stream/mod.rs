//! One HTTP exchange: its messages, and what is known of it beyond them.

pub(crate) mod facts;

use facts::StreamFacts;

/// The messages of one exchange, and what is known of it.
pub(crate) type ProxyMessages = weir_chain::HttpMessages<StreamFacts>;

/// The state of one exchange.
pub(crate) type StreamState = weir_chain::StreamState<ProxyMessages>;

/// The same, as the pumps and the filters' VMs share it.
pub(crate) type SharedState = weir_chain::SharedState<ProxyMessages>;
