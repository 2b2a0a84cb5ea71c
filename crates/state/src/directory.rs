//! Numbers of queues: guests know a queue by a number that is unique in the process.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use weir_abi::Status;

use crate::Queue;

/// The queues that have a number. A queue keeps its number for as long as the process runs.
#[derive(Default)]
pub(crate) struct Directory {
    numbers: HashMap<Box<str>, HashMap<Box<[u8]>, u32>>,
    queues: FxHashMap<u32, Listed>,
    /// The number given out last.
    last: u32,
}

/// A queue that has a number.
#[derive(Clone)]
pub(crate) struct Listed {
    pub vm_id: Arc<str>,
    pub name: Arc<[u8]>,
    pub queue: Arc<dyn Queue>,
}

impl Directory {
    /// An empty directory whose numbers follow `last`.
    pub fn after(last: u32) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// The number given out last; 0 before the first.
    pub const fn last(&self) -> u32 {
        self.last
    }

    /// The number of the queue with this name.
    pub fn number(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        self.numbers.get(vm_id)?.get(name).copied()
    }

    /// The queue with this number.
    pub fn find(&self, number: u32) -> Option<&Listed> {
        self.queues.get(&number)
    }

    /// Gives a queue a number: `wanted`, or the next one. A name that has a number keeps it, with its queue.
    ///
    /// `InternalFailure` if all numbers are taken.
    pub fn add(
        &mut self,
        vm_id: &str,
        name: &[u8],
        queue: Arc<dyn Queue>,
        wanted: Option<u32>,
    ) -> Result<u32, Status> {
        if let Some(number) = self.number(vm_id, name) {
            return Ok(number);
        }
        let number = match wanted {
            Some(number) => number,
            None => {
                self.last = self.last.checked_add(1).ok_or(Status::InternalFailure)?;
                self.last
            }
        };
        let names = self.numbers.entry(vm_id.into()).or_default();
        names.insert(name.into(), number);
        let listed = Listed {
            vm_id: vm_id.into(),
            name: name.into(),
            queue,
        };
        self.queues.insert(number, listed);
        Ok(number)
    }

    /// Frees the names of a `vm_id` for other queues. The numbers that they had go on to mean what they meant.
    pub fn forget_names(&mut self, vm_id: &str) {
        self.numbers.remove(vm_id);
    }
}
