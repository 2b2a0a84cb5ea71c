//! The proxy itself: protocols, framing, time, life and reload.
#![allow(clippy::unwrap_used)]

#[path = "proxy/admin.rs"]
mod admin;
mod background;
#[path = "proxy/compiling.rs"]
mod compiling;
#[path = "proxy/edges.rs"]
mod edges;
mod edits;
#[path = "proxy/edits.rs"]
mod edits_of_guests;
#[path = "proxy/frames.rs"]
mod frames;
#[path = "proxy/framing.rs"]
mod framing;
#[path = "proxy/last_calls.rs"]
mod last_calls;
#[path = "proxy/life.rs"]
mod life;
#[path = "proxy/limits.rs"]
mod limits;
#[path = "proxy/protocols.rs"]
mod protocols;
#[path = "proxy/snapshot.rs"]
mod snapshot;
#[path = "proxy/stalls.rs"]
mod stalls;
#[path = "proxy/trailers.rs"]
mod trailers;
#[path = "proxy/volume.rs"]
mod volume;

use std::path::PathBuf;

use weir_testkit::Guests;

/// The module of a conformance case.
fn guest(name: &str) -> PathBuf {
    Guests::build().unwrap().example(name).unwrap()
}
