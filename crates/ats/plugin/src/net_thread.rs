//! The server's net threads: each has VMs of its own, the chains that transactions on it begin with, and a mailbox.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use weir_abi::limits::EVENTS_AT_ONCE;
use weir_ats_sys::{
    TS_THREAD_POOL_NET, TSCont, TSContCreate, TSContDataGet, TSContDataSet, TSContDestroy,
    TSContScheduleOnPool, TSContScheduleOnThread, TSEvent, TSEventThread, TSEventThreadSelf, TSHttpTxn,
    TSMutexCreate,
};
use weir_supervisor::Mail;

use crate::guard;
use crate::thread_chain::ThreadChains;
use crate::txn::known::Known;

/// A net thread, as the plugin knows it. Lives as long as the process.
pub(crate) struct NetThread {
    /// Its number, from 0.
    pub index: usize,
    /// Transactions that began on it.
    pub known: Known,
    chains: Mutex<ThreadChains>,
    mailbox: Mutex<VecDeque<Mail>>,
    scheduled: AtomicBool,
    /// Transactions that wait for filters.
    waiting: AtomicUsize,
    /// The transaction whose mutex is held by who has the lock, as an address; 0 for none. Written and meant under the lock.
    at_work: AtomicUsize,
    own: OnceLock<Own>,
}

/// The parts of a net thread that exist once the thread has been seen running.
struct Own {
    thread: TSEventThread,
    mail: TSCont,
}

/// The lock of a net thread. Whoever works on a stream holds that of the thread on which the stream began: its VMs, the
/// states of its streams and what filters do to them are for one at a time. It is never contended unless the server
/// moves a transaction to another thread, and never held while the server is given control.
pub(crate) type Guard = MutexGuard<'static, ThreadChains>;

static THREADS: OnceLock<Vec<&'static NetThread>> = OnceLock::new();
static CLAIMED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CURRENT: Cell<Option<&'static NetThread>> = const { Cell::new(None) };
}

/// The net threads that VMs are started for. The first call decides on their number.
pub(crate) fn all(count: impl FnOnce() -> usize) -> &'static [&'static NetThread] {
    THREADS.get_or_init(|| (0..count().max(1)).map(NetThread::leak).collect())
}

/// All net threads.
pub(crate) fn every() -> &'static [&'static NetThread] {
    THREADS.get().map_or(&[], Vec::as_slice)
}

/// The net thread that runs. A thread that is one too many shares the VMs of another.
pub(crate) fn current() -> Option<&'static NetThread> {
    if let Some(current) = CURRENT.get() {
        return Some(current);
    }
    let threads = THREADS.get()?;
    let number = CLAIMED.fetch_add(1, Ordering::Relaxed);
    let thread = *threads.get(number % threads.len())?;
    CURRENT.set(Some(thread));
    thread.claim();
    Some(thread)
}

/// Makes every net thread known, so that each gets its mail before it has seen a request.
pub(crate) fn introduce() {
    let count = THREADS.get().map_or(0, Vec::len);
    for _ in 0..2 * count {
        // SAFETY: the handler and the new mutex fit, and the handler destroys the continuation. Called from a thread of the
        // server, which takes the threads of the pool in turn for continuations that it has not seen: one that it has seen
        // goes to the same thread again.
        unsafe {
            let cont = TSContCreate(on_introduction, TSMutexCreate());
            TSContScheduleOnPool(cont, 0, TS_THREAD_POOL_NET);
        }
    }
}

unsafe extern "C" fn on_introduction(cont: TSCont, _event: TSEvent, _data: *mut c_void) -> c_int {
    guard::event(|| {
        current();
        // SAFETY: this was its one event.
        unsafe { TSContDestroy(cont) };
    })
}

/// The net thread after the one that runs, of those that have been seen.
pub(crate) fn next() -> Option<TSEventThread> {
    let threads = THREADS.get()?;
    let current = current()?.index;
    let after = threads.iter().cycle().skip(current + 1).take(threads.len());
    after
        .filter_map(|thread| thread.own.get())
        .map(|own| own.thread)
        .next()
}

impl NetThread {
    fn leak(index: usize) -> &'static Self {
        Box::leak(Box::new(Self {
            index,
            known: Known::default(),
            chains: Mutex::default(),
            mailbox: Mutex::default(),
            scheduled: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            at_work: AtomicUsize::new(0),
            own: OnceLock::new(),
        }))
    }

    /// Takes the lock.
    #[inline]
    pub fn lock(&'static self) -> Guard {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the chains that transactions begin with.
    pub fn install(&'static self, chains: ThreadChains) {
        let old = std::mem::replace(&mut *self.lock(), chains);
        // Outside of the lock: what is dropped may end VMs.
        drop(old);
    }

    /// A transaction begins to wait for filters, or has ended that.
    pub fn count_waiting(&self, waits: bool) {
        if waits {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns true if transactions wait for filters.
    pub fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns true for the transaction that the server has called about, whose mutex it holds. Called under the lock.
    #[inline]
    pub fn is_at_work_on(&self, txn: TSHttpTxn) -> bool {
        self.at_work.load(Ordering::Relaxed) == txn.as_ptr().addr()
    }

    /// The server has called about this transaction, or control goes back to it. Under the lock.
    #[inline]
    pub fn set_at_work_on(&self, txn: Option<TSHttpTxn>) {
        let address = txn.map_or(0, |txn| txn.as_ptr().addr());
        self.at_work.store(address, Ordering::Relaxed);
    }

    /// Leaves the events of a VM for the thread, which has at most one mail of each VM. Called on threads that the server
    /// knows.
    pub fn post(&'static self, mail: Mail) {
        self.mails().push_back(mail);
        self.ring(0);
    }

    /// Has the thread open its mail, in so many milliseconds.
    fn ring(&'static self, milliseconds: i64) {
        // A thread that has not been seen yet is told when it is.
        if let Some(own) = self.own.get()
            && !self.scheduled.swap(true, Ordering::AcqRel)
        {
            // SAFETY: the continuation lives as long as the process, and the thread too.
            unsafe { TSContScheduleOnThread(own.mail, milliseconds, own.thread) };
        }
    }

    fn claim(&'static self) {
        self.own.get_or_init(|| {
            // SAFETY: the handler and the new mutex fit; the data is a reference that lives as long as the process.
            unsafe {
                let mail = TSContCreate(on_mail, TSMutexCreate());
                TSContDataSet(mail, std::ptr::from_ref(self).cast_mut().cast());
                Own {
                    thread: TSEventThreadSelf(),
                    mail,
                }
            }
        });
        if self.has_mail() {
            self.ring(0);
        }
    }

    fn open_mail(&'static self) {
        self.scheduled.store(false, Ordering::Release);
        let begun = Instant::now();
        while let Some(mut mail) = self.next_mail() {
            let mut goes_on = true;
            while goes_on {
                let guard = self.lock();
                // An event that goes wrong in our own code must not take the rest of the mail with it.
                goes_on = guard::catch(|| mail.deliver_one()).unwrap_or(true);
                drop(guard);
            }
            if begun.elapsed() >= EVENTS_AT_ONCE {
                break;
            }
        }
        if self.has_mail() {
            // The server looks after its connections before an event that is not due yet.
            self.ring(1);
        }
    }

    fn next_mail(&self) -> Option<Mail> {
        self.mails().pop_front()
    }

    fn has_mail(&self) -> bool {
        !self.mails().is_empty()
    }

    fn mails(&self) -> MutexGuard<'_, VecDeque<Mail>> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

unsafe extern "C" fn on_mail(cont: TSCont, _event: TSEvent, _data: *mut c_void) -> c_int {
    guard::event(|| {
        // SAFETY: the data of this continuation is a `NetThread` that lives as long as the process (`claim`).
        let thread: &'static NetThread = unsafe { &*TSContDataGet(cont).cast::<NetThread>() };
        thread.open_mail();
    })
}
