//! VMs that start from a snapshot.

/// VMs start from a snapshot of one that has been configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Requests that the VM gets before it is frozen, in this order; none unless given.
    pub warm_up: Vec<WarmUpRequest>,
}

/// A request made up to warm up the VM of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WarmUpRequest {
    /// `GET` unless given.
    pub method: String,
    /// As it stands in a request; `/` unless given.
    pub path: String,
    /// `localhost` unless given.
    pub authority: String,
    /// Header lines, names as written.
    pub headers: Vec<(String, String)>,
    /// The body; empty unless given.
    pub body: Vec<u8>,
}
