//! The in-process store.

mod account;
mod data;
mod queue;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use weir_abi::Status;
use weir_abi::limits::MAX_KEY;
use weir_account::Ceiling;

pub(crate) use self::account::StoreAccount;
use self::data::Data;
pub use self::queue::MemoryQueue;
use crate::{Queue, Store, Usage};

/// The shared state of a `vm_id` in the memory of this process. Ends with the process.
#[derive(Default)]
pub struct MemoryStore {
    data: Data,
    queues: RwLock<HashMap<Box<[u8]>, Arc<MemoryQueue>>>,
    account: Arc<StoreAccount>,
}

impl MemoryStore {
    /// A store whose content counts for the process that has this ceiling.
    pub fn under(ceiling: &Ceiling) -> Self {
        Self {
            data: Data::default(),
            queues: RwLock::default(),
            account: Arc::new(StoreAccount::under(ceiling)),
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Option<u32> {
        self.data.get(key, out)
    }

    fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        self.data.set(key, value, cas, &self.account)
    }

    fn delete(&self, key: &[u8]) -> Result<(), Status> {
        self.data.delete(key, &self.account)
    }

    fn next_cas(&self) -> u32 {
        self.data.next_cas()
    }

    fn open_queue(&self, name: &[u8]) -> Result<Arc<dyn Queue>, Status> {
        if name.len() > MAX_KEY {
            return Err(Status::BadArgument);
        }
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(name) {
            return Ok(Arc::clone(queue) as Arc<dyn Queue>);
        }
        let queue = Arc::new(MemoryQueue::new(name, Arc::clone(&self.account))?);
        self.account.reserve_queue()?;
        queues.insert(name.into(), Arc::clone(&queue));
        Ok(queue)
    }

    fn find_queue(&self, name: &[u8]) -> Option<Arc<dyn Queue>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.get(name)?;
        Some(Arc::clone(queue) as Arc<dyn Queue>)
    }

    fn allow_host_memory(&self, bytes: usize) {
        self.account.allow_host_memory(bytes);
    }

    fn usage(&self) -> Usage {
        self.account.usage()
    }
}
