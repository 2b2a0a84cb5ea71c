//! A store for trials: it shows what another store holds, and keeps what is changed to itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_abi::Status;
use weir_abi::limits::{MAX_KEY, MAX_QUEUES};

use weir_account::{Ceiling, Charge, HOST_MEMORY_ITEM};

use crate::memory::StoreAccount;
use crate::{MemoryQueue, Queue, Store, Usage};

/// Changes on top of a store that stays as it is. Ends with the trial, which ends within the deadlines of a start.
///
/// The overlay holds the keys that the trial has written, and those below that it has deleted.
///
/// The limits hold for what the trial sees: the keys below without those that it has changed, and its own. They are exact
/// while nobody writes below; what others do meanwhile to keys that the trial has changed is counted as well.
pub(crate) struct Overlay {
    below: Arc<dyn Store>,
    changes: Mutex<Changes>,
    /// Counts the bytes in queues.
    account: Arc<StoreAccount>,
}

#[derive(Default)]
struct Changes {
    values: HashMap<Box<[u8]>, Change>,
    /// Keys of the trial, and bytes of them and their values.
    own: Sum,
    /// Keys below that do not show through, and bytes of them and their values.
    hidden: Sum,
    /// Queues that the trial has used, empty at first.
    queues: HashMap<Box<[u8]>, Arc<MemoryQueue>>,
    /// Those of them that do not exist below.
    new_queues: usize,
}

/// The trial's version of a key.
struct Change {
    /// Its value; `None` if the trial has deleted a key that exists below.
    value: Option<Value>,
    /// Bytes of the key and its value below, as counted in `hidden`; `None` if there was none.
    hides: Option<usize>,
}

struct Value {
    bytes: Vec<u8>,
    cas: u32,
    _charge: Charge,
}

#[derive(Default)]
struct Sum {
    keys: usize,
    bytes: usize,
}

/// A key as the trial sees it.
struct Present {
    cas: u32,
    /// Bytes of the value.
    len: usize,
}

impl Overlay {
    /// An overlay without changes.
    pub fn over(below: Arc<dyn Store>, ceiling: &Ceiling) -> Self {
        Self {
            below,
            changes: Mutex::default(),
            account: Arc::new(StoreAccount::under(ceiling)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key below.
    fn below(&self, key: &[u8]) -> Option<Present> {
        let mut bytes = Vec::new();
        let cas = self.below.get(key, &mut bytes)?;
        Some(Present {
            cas,
            len: bytes.len(),
        })
    }

    fn usage_with(&self, changes: &Changes) -> Usage {
        let below = self.below.usage();
        Usage {
            keys: below.keys.saturating_sub(changes.hidden.keys) + changes.own.keys,
            bytes: below.bytes.saturating_sub(changes.hidden.bytes) + changes.own.bytes,
            queues: below.queues + changes.new_queues,
            queue_bytes: self.account.usage().queue_bytes,
        }
    }
}

impl Store for Overlay {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Option<u32> {
        match self.lock().values.get(key) {
            Some(change) => {
                let value = change.value.as_ref()?;
                out.extend_from_slice(&value.bytes);
                Some(value.cas)
            }
            None => self.below.get(key, out),
        }
    }

    fn set(&self, key: &[u8], bytes: &[u8], cas: u32) -> Result<(), Status> {
        let mut changes = self.lock();
        let (present, hides) = match changes.values.get(key) {
            Some(change) => (change.value.as_ref().map(Value::present), change.hides),
            None => {
                let below = self.below(key);
                let hides = below.as_ref().map(|present| key.len() + present.len);
                (below, hides)
            }
        };
        let (keys, grown) = match &present {
            Some(present) if cas != 0 && cas != present.cas => return Err(Status::CasMismatch),
            Some(present) => (0, bytes.len().saturating_sub(present.len)),
            None if cas != 0 || key.len() > MAX_KEY => return Err(Status::CasMismatch),
            None => (1, key.len() + bytes.len()),
        };
        if !self.usage_with(&changes).has_room(keys, grown) {
            return Err(Status::CasMismatch);
        }
        let cost = key.len() + bytes.len() + HOST_MEMORY_ITEM;
        let charge = self.account.data_memory().charge(cost);
        let value = Value {
            _charge: charge.map_err(|_| Status::CasMismatch)?,
            bytes: bytes.to_vec(),
            cas: self.below.next_cas(),
        };
        changes.put(
            key,
            Change {
                value: Some(value),
                hides,
            },
        );
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> Result<(), Status> {
        let mut changes = self.lock();
        let below = self.below(key);
        let exists = match changes.values.get(key) {
            Some(change) => change.value.is_some(),
            None => below.is_some(),
        };
        if !exists {
            return Err(Status::NotFound);
        }
        match below {
            Some(present) => changes.put(
                key,
                Change {
                    value: None,
                    hides: Some(key.len() + present.len),
                },
            ),
            // Nothing to hide, so that a trial that makes and deletes keys leaves nothing behind.
            None => changes.take(key),
        }
        Ok(())
    }

    fn next_cas(&self) -> u32 {
        self.below.next_cas()
    }

    fn open_queue(&self, name: &[u8]) -> Result<Arc<dyn Queue>, Status> {
        if let Some(queue) = self.find_queue(name) {
            return Ok(queue);
        }
        if name.len() > MAX_KEY {
            return Err(Status::BadArgument);
        }
        let mut changes = self.lock();
        if self.usage_with(&changes).queues >= MAX_QUEUES {
            return Err(Status::InternalFailure);
        }
        let queue = changes.queue(name, &self.account)?;
        changes.new_queues += 1;
        Ok(queue)
    }

    fn find_queue(&self, name: &[u8]) -> Option<Arc<dyn Queue>> {
        let mut changes = self.lock();
        if !changes.queues.contains_key(name) {
            self.below.find_queue(name)?;
        }
        changes.queue(name, &self.account).ok()
    }

    fn allow_host_memory(&self, bytes: usize) {
        self.account.allow_host_memory(bytes);
    }

    fn usage(&self) -> Usage {
        self.usage_with(&self.lock())
    }
}

impl Changes {
    /// Notes a change of a key, in place of an earlier one.
    fn put(&mut self, key: &[u8], change: Change) {
        self.take(key);
        if let Some(value) = &change.value {
            self.own.keys += 1;
            self.own.bytes += key.len() + value.bytes.len();
        }
        if let Some(bytes) = change.hides {
            self.hidden.keys += 1;
            self.hidden.bytes += bytes;
        }
        self.values.insert(key.into(), change);
    }

    /// Takes the change of a key back.
    fn take(&mut self, key: &[u8]) {
        let Some(change) = self.values.remove(key) else {
            return;
        };
        if let Some(value) = change.value {
            self.own.keys -= 1;
            self.own.bytes -= key.len() + value.bytes.len();
        }
        if let Some(bytes) = change.hides {
            self.hidden.keys -= 1;
            self.hidden.bytes -= bytes;
        }
    }

    /// The trial's queue of this name.
    fn queue(&mut self, name: &[u8], account: &Arc<StoreAccount>) -> Result<Arc<dyn Queue>, Status> {
        if let Some(queue) = self.queues.get(name) {
            return Ok(Arc::clone(queue) as Arc<dyn Queue>);
        }
        let queue = Arc::new(MemoryQueue::new(name, Arc::clone(account))?);
        self.queues.insert(name.into(), Arc::clone(&queue));
        Ok(queue)
    }
}

impl Value {
    const fn present(&self) -> Present {
        Present {
            cas: self.cas,
            len: self.bytes.len(),
        }
    }
}
