//! The buckets in shared data.

use std::collections::HashSet;

use log::warn;
use proxy_wasm::hostcalls;
use proxy_wasm::types::Status;

use crate::bucket::{Bucket, Decision, Limit};

/// Attempts at one bucket. Another worker wins each that is lost, so even two are rare.
const ATTEMPTS: usize = 32;

/// Reads and writes buckets, and remembers those of this VM until they are full again.
#[derive(Default)]
pub struct Store {
    prefix: String,
    touched: HashSet<String>,
}

impl Store {
    /// A store whose keys begin with `name`.
    pub fn new(name: &str) -> Self {
        Self {
            prefix: format!("rate-limit/{name}/"),
            touched: HashSet::new(),
        }
    }

    /// Takes a token from the client's bucket.
    pub fn take(&mut self, client: &str, limit: &Limit, now: u64) -> Decision {
        let key = format!("{}{client}", self.prefix);
        for _ in 0..ATTEMPTS {
            // The first write of a key has no number to compare with: of two workers that see a client for the first
            // time at the same moment, one token is lost. The ABI offers no "create only".
            let (bucket, cas) = read(&key);
            let (bucket, decision) = match bucket.take(limit, now) {
                (Some(bucket), decision) => (bucket, decision),
                (None, decision) => return decision,
            };
            match hostcalls::set_shared_data(&key, Some(&bucket.to_bytes()), cas) {
                Ok(()) => {
                    self.touched.insert(key);
                    return decision;
                }
                Err(Status::CasMismatch) => {}
                Err(status) => {
                    warn!("{key} cannot be written: {status:?}");
                    return decision;
                }
            }
        }
        // A limiter that cannot count must not stop the traffic.
        warn!("{key} changed {ATTEMPTS} times while it was read; the request passes uncounted");
        Decision::Pass { remaining: 0 }
    }

    /// Removes the buckets that are full: they say nothing that their absence would not say.
    pub fn sweep(&mut self, now: u64) {
        self.touched.retain(|key| {
            let (bucket, cas) = read(key);
            let full = bucket.is_full(now);
            if full {
                remove(key, cas);
            }
            !full
        });
    }
}

fn read(key: &str) -> (Bucket, Option<u32>) {
    match hostcalls::get_shared_data(key) {
        Ok((value, cas)) => (Bucket::from_bytes(&value.unwrap_or_default()), cas),
        Err(status) => {
            warn!("{key} cannot be read: {status:?}");
            (Bucket::default(), None)
        }
    }
}

/// The ABI cannot delete; Weir can, by a foreign function. Elsewhere an empty value is the least that remains. It is
/// written first because a write can be compared: a worker that has just taken a token keeps its bucket.
fn remove(key: &str, cas: Option<u32>) {
    if hostcalls::set_shared_data(key, Some(&[]), cas).is_ok() {
        // The answer NotFound means: this host has no such function.
        let _ = hostcalls::call_foreign_function("shared_data_delete", Some(key.as_bytes()));
    }
}
