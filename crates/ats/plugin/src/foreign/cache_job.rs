//! One operation on the server's cache: a continuation that lives until its outcome is known.
//!
//! The cache may call back within the call that asks it, so it is never asked from inside a hostcall: the continuation is
//! scheduled first. For the same reason nothing of a job is borrowed while the server is called.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_ats_sys::{
    TS_CACHE_ERROR_NO_DOC, TS_EVENT_CACHE_OPEN_READ, TS_EVENT_CACHE_OPEN_READ_FAILED,
    TS_EVENT_CACHE_OPEN_WRITE, TS_EVENT_CACHE_OPEN_WRITE_FAILED, TS_EVENT_CACHE_REMOVE,
    TS_EVENT_CACHE_REMOVE_FAILED, TS_EVENT_IMMEDIATE, TS_EVENT_TIMEOUT, TS_EVENT_VCONN_EOS,
    TS_EVENT_VCONN_READ_COMPLETE, TS_EVENT_VCONN_READ_READY, TS_EVENT_VCONN_WRITE_COMPLETE,
    TS_EVENT_VCONN_WRITE_READY, TS_THREAD_POOL_NET, TSAction, TSCacheError, TSCacheKey, TSCacheKeyCreate,
    TSCacheKeyDestroy, TSCacheKeyDigestSet, TSCacheRead, TSCacheRemove, TSCacheWrite, TSCont, TSContCreate,
    TSContDataGet, TSContDataSet, TSContDestroy, TSContScheduleOnPool, TSEvent, TSEventThreadSelf,
    TSIOBuffer, TSIOBufferCreate, TSIOBufferDestroy, TSIOBufferReader, TSIOBufferReaderAlloc,
    TSIOBufferReaderAvail, TSIOBufferReaderConsume, TSIOBufferReaderCopy, TSIOBufferReaderFree,
    TSIOBufferWrite, TSMutexCreate, TSVConn, TSVConnAbort, TSVConnCacheObjectSizeGet, TSVConnClose,
    TSVConnRead, TSVConnWrite, TSVIO, TSVIOReenable,
};
use weir_host::Charge;

/// Most bytes of an object.
pub(super) const MAX_OBJECT: usize = 16 << 20;

/// Jobs that are under way at a time.
const MAX_JOBS: usize = 1024;

/// Bytes of objects on their way to or from the cache at a time.
const MAX_BYTES: usize = 256 << 20;

/// Attempts to clear a key before it is written or given up: the cache keeps objects of the same key side by side where
/// several were written at a time, shows one of them, and removes one at a time.
const MAX_REMOVALS: u32 = 16;

/// The first bytes of each object, so that none is empty, which the cache does not take. Another number is another form.
const FORM: u8 = 1;

/// The task of a job.
pub(super) enum Work {
    Read,
    Write(Vec<u8>),
    Remove,
}

/// The outcome of a job.
pub(super) enum Outcome {
    /// Done; the content that was read.
    Done(Vec<u8>),
    NotFound,
    Failed,
}

/// Begins an operation, whose object the guest pays for with `charge`. `answer` gets the outcome exactly once: on a net
/// thread later, or now where it cannot be begun.
pub(super) fn start(
    key: &[u8],
    work: Work,
    mut charge: Charge,
    answer: impl FnOnce(Outcome) + Send + 'static,
) {
    let Some(share) = Share::of_jobs() else {
        return answer(Outcome::Failed);
    };
    let mut bytes = Share::none(&BYTES);
    if let Work::Write(content) = &work
        && (content.len() > MAX_OBJECT
            || !bytes.grow(content.len(), MAX_BYTES)
            || charge.grow(content.len()).is_err())
    {
        return answer(Outcome::Failed);
    }
    // SAFETY: the function takes nothing; any thread may ask.
    if unsafe { TSEventThreadSelf() }.is_null() {
        // Continuations can only be made on threads that the server knows.
        return answer(Outcome::Failed);
    }
    let Ok(len) = c_int::try_from(key.len()) else {
        return answer(Outcome::Failed);
    };
    // SAFETY: the thread is known to the server. The key has this length and is not empty. The job's data are its own
    // until `finish` takes them back; it has a lock, which the cache wants of continuations.
    unsafe {
        let name = TSCacheKeyCreate();
        TSCacheKeyDigestSet(name, key.as_ptr().cast(), len);
        let job = Box::new(Job {
            key: name,
            work,
            removed: 0,
            cleared: false,
            vc: TSVConn::NULL,
            buffer: TSIOBuffer::NULL,
            reader: TSIOBufferReader::NULL,
            content: Vec::new(),
            expected: 0,
            bytes,
            charge,
            _share: share,
            answer: Some(Box::new(answer)),
        });
        let cont = TSContCreate(on_event, TSMutexCreate());
        TSContDataSet(cont, Box::into_raw(job).cast());
        TSContScheduleOnPool(cont, 0, TS_THREAD_POOL_NET);
    }
}

struct Job {
    key: TSCacheKey,
    work: Work,
    /// Objects of the key that have been removed so far.
    removed: u32,
    /// No object of the key is left.
    cleared: bool,
    /// The object, while it is open.
    vc: TSVConn,
    /// The connection to the object.
    buffer: TSIOBuffer,
    reader: TSIOBufferReader,
    /// The bytes read, and the number of them in all.
    content: Vec<u8>,
    expected: usize,
    bytes: Share,
    /// Pays for the object.
    charge: Charge,
    _share: Share,
    answer: Option<Box<dyn FnOnce(Outcome) + Send>>,
}

unsafe extern "C" fn on_event(cont: TSCont, event: TSEvent, data: *mut c_void) -> c_int {
    if catch_unwind(AssertUnwindSafe(|| step(cont, event, data))).is_err() {
        tracing::error!("a panic in an operation on the cache");
        // The job answers when it is dropped here; if that is where the panic was, there is nothing left to do.
        let _ = catch_unwind(AssertUnwindSafe(|| finish(cont, Outcome::Failed)));
    }
    0
}

fn step(cont: TSCont, event: TSEvent, data: *mut c_void) {
    match event {
        TS_EVENT_IMMEDIATE | TS_EVENT_TIMEOUT => ask(cont),
        TS_EVENT_CACHE_OPEN_READ => begin_read(cont, TSVConn(data)),
        TS_EVENT_CACHE_OPEN_WRITE => begin_write(cont, TSVConn(data)),
        TS_EVENT_VCONN_READ_READY => {
            take(cont);
            // SAFETY: with this event comes the direction that it is about.
            unsafe { TSVIOReenable(TSVIO(data)) };
        }
        TS_EVENT_VCONN_READ_COMPLETE | TS_EVENT_VCONN_EOS => {
            take(cont);
            let outcome = with(cont, |job| job.object()).flatten();
            finish(cont, outcome.map_or(Outcome::Failed, Outcome::Done));
        }
        // SAFETY: with this event comes the direction that it is about.
        TS_EVENT_VCONN_WRITE_READY => unsafe { TSVIOReenable(TSVIO(data)) },
        TS_EVENT_VCONN_WRITE_COMPLETE => finish(cont, Outcome::Done(Vec::new())),
        TS_EVENT_CACHE_REMOVE => {
            with(cont, |job| {
                job.removed += 1;
                job.cleared = job.removed >= MAX_REMOVALS;
            });
            ask(cont);
        }
        TS_EVENT_CACHE_REMOVE_FAILED => match with(cont, |job| {
            job.cleared = true;
            matches!(job.work, Work::Write(_)) || job.removed > 0
        }) {
            Some(true) => ask(cont),
            _ => finish(cont, failure(data)),
        },
        TS_EVENT_CACHE_OPEN_READ_FAILED => finish(cont, failure(data)),
        TS_EVENT_CACHE_OPEN_WRITE_FAILED => finish(cont, Outcome::Failed),
        // An error on an open object: what has been written of it must not become one.
        _ => {
            let open = with(cont, |job| std::mem::replace(&mut job.vc, TSVConn::NULL));
            if let Some(vc) = open
                && !vc.is_null()
            {
                // SAFETY: the object is open, and is not used any more.
                unsafe { TSVConnAbort(vc, 0) };
            }
            finish(cont, Outcome::Failed);
        }
    }
}

/// Asks the cache for the next thing. It may call back before its function returns, and the job may be gone by then.
fn ask(cont: TSCont) {
    enum Next {
        Read,
        Remove,
        Write,
        Nothing,
    }
    let next = with(cont, |job| {
        let next = match (&job.work, job.cleared) {
            (Work::Read, _) => Next::Read,
            (Work::Write(_) | Work::Remove, false) => Next::Remove,
            (Work::Write(_), true) => Next::Write,
            (Work::Remove, true) => Next::Nothing,
        };
        (next, job.key)
    });
    match next {
        // SAFETY: the key is the job's, which exists until it has been called back. Nothing of it is borrowed here.
        Some((Next::Read, key)) => unsafe { TSCacheRead(cont, key) },
        // SAFETY: the key is the job's, which exists until it has been called back. Nothing of it is borrowed here.
        Some((Next::Remove, key)) => unsafe { TSCacheRemove(cont, key) },
        // SAFETY: the key is the job's, which exists until it has been called back. Nothing of it is borrowed here.
        Some((Next::Write, key)) => unsafe { TSCacheWrite(cont, key) },
        Some((Next::Nothing, _)) => {
            finish(cont, Outcome::Done(Vec::new()));
            TSAction::NULL
        }
        None => TSAction::NULL,
    };
}

fn begin_read(cont: TSCont, vc: TSVConn) {
    // SAFETY: the object has just been opened for us.
    let size = unsafe { TSVConnCacheObjectSizeGet(vc) };
    let fits = with(cont, |job| {
        job.vc = vc;
        job.expected = usize::try_from(size).unwrap_or(usize::MAX);
        (1..=MAX_OBJECT + 1).contains(&job.expected)
            && job.bytes.grow(job.expected, MAX_BYTES)
            && job.charge.grow(job.expected).is_ok()
    });
    if fits != Some(true) {
        return finish(cont, Outcome::Failed);
    }
    // SAFETY: buffer and reader are the job's, and gone only after the object has been closed.
    unsafe {
        let buffer = TSIOBufferCreate();
        let reader = TSIOBufferReaderAlloc(buffer);
        with(cont, |job| {
            job.buffer = buffer;
            job.reader = reader;
            job.content.reserve_exact(job.expected);
        });
        TSVConnRead(vc, cont, buffer, size);
    }
}

fn begin_write(cont: TSCont, vc: TSVConn) {
    // SAFETY: buffer and reader are the job's, and gone only after the object has been closed. The pieces have the
    // lengths that are given, and are copied.
    unsafe {
        let buffer = TSIOBufferCreate();
        let reader = TSIOBufferReaderAlloc(buffer);
        TSIOBufferWrite(buffer, [FORM].as_ptr().cast(), 1);
        with(cont, |job| {
            job.vc = vc;
            job.buffer = buffer;
            job.reader = reader;
            if let Work::Write(content) = &mut job.work {
                let content = std::mem::take(content);
                TSIOBufferWrite(buffer, content.as_ptr().cast(), content.len() as i64);
            }
        });
        TSVConnWrite(vc, cont, reader, TSIOBufferReaderAvail(reader));
    }
}

/// Takes what has come of an object.
fn take(cont: TSCont) {
    with(cont, |job| {
        // SAFETY: the reader is the job's. No more is copied than there is room for, and consumed than was there.
        unsafe {
            let available = TSIOBufferReaderAvail(job.reader);
            let room = job.expected.saturating_sub(job.content.len());
            let len = usize::try_from(available).unwrap_or(0).min(room);
            let start = job.content.len();
            job.content.resize(start + len, 0);
            let place = job.content.as_mut_ptr().add(start);
            let copied = TSIOBufferReaderCopy(job.reader, place.cast(), len as i64);
            job.content
                .truncate(start + usize::try_from(copied).unwrap_or(0).min(len));
            TSIOBufferReaderConsume(job.reader, available);
        }
    });
}

/// Ends a job: all that it has is closed and freed, and its outcome sent.
fn finish(cont: TSCont, outcome: Outcome) {
    // SAFETY: the data of our continuations are the boxes of `start` or null; whoever takes one leaves null.
    let job = unsafe {
        let job = TSContDataGet(cont).cast::<Job>();
        if job.is_null() {
            return;
        }
        TSContDataSet(cont, std::ptr::null_mut());
        Box::from_raw(job)
    };
    // SAFETY: each of these is the job's and used no more; what was not opened or made is null. An object that was
    // written is complete, since others have been aborted.
    unsafe {
        if !job.vc.is_null() {
            TSVConnClose(job.vc);
        }
        if !job.buffer.is_null() {
            TSIOBufferReaderFree(job.reader);
            TSIOBufferDestroy(job.buffer);
        }
        TSCacheKeyDestroy(job.key);
        TSContDestroy(cont);
    }
    let Job { answer, charge, .. } = *job;
    // The answer is charged by itself, and the object must not be paid for twice.
    drop(charge);
    if let Some(answer) = answer {
        answer(outcome);
    }
}

/// Gives the job of a continuation to `change`, which must not call what calls back.
fn with<R>(cont: TSCont, change: impl FnOnce(&mut Job) -> R) -> Option<R> {
    // SAFETY: the data are the box of `start`, or null after its end; the server calls a continuation from one thread at a
    // time, under its lock.
    let job = unsafe { TSContDataGet(cont).cast::<Job>().as_mut() };
    job.map(change)
}

impl Job {
    /// The object, if all of it has come and it is one of ours.
    fn object(&mut self) -> Option<Vec<u8>> {
        let mut content = std::mem::take(&mut self.content);
        if content.len() != self.expected || content.first() != Some(&FORM) {
            return None;
        }
        content.remove(0);
        Some(content)
    }
}

/// The meaning of the cache's number for a failure.
fn failure(data: *mut c_void) -> Outcome {
    // The number stands in the place of an address.
    let code = data.addr().cast_signed();
    if c_int::try_from(code).map(TSCacheError) == Ok(TS_CACHE_ERROR_NO_DOC) {
        Outcome::NotFound
    } else {
        Outcome::Failed
    }
}

static JOBS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// A part of something that there is so much of, given back when dropped.
struct Share {
    of: &'static AtomicUsize,
    part: usize,
}

impl Share {
    fn of_jobs() -> Option<Self> {
        let mut share = Self::none(&JOBS);
        share.grow(1, MAX_JOBS).then_some(share)
    }

    const fn none(of: &'static AtomicUsize) -> Self {
        Self { of, part: 0 }
    }

    /// Takes more, unless there would be more than `most` of it in use.
    fn grow(&mut self, more: usize, most: usize) -> bool {
        let taken = self
            .of
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|used| *used <= most)
            });
        if taken.is_ok() {
            self.part += more;
        }
        taken.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.fetch_sub(self.part, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_given_back() {
        static USED: AtomicUsize = AtomicUsize::new(0);
        let mut first = Share::none(&USED);
        assert!(first.grow(6, 10) && first.grow(2, 10) && !first.grow(3, 10));
        let mut second = Share::none(&USED);
        assert!(!second.grow(usize::MAX, 10) && second.grow(2, 10));
        drop(first);
        assert_eq!(USED.load(Ordering::Relaxed), 2);
        drop(second);
        assert_eq!(USED.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_missing_document_differs_from_a_failure() {
        let data = |code: isize| std::ptr::without_provenance_mut::<c_void>(code.cast_unsigned());
        assert!(matches!(failure(data(-20400)), Outcome::NotFound));
        assert!(matches!(failure(data(-20401)), Outcome::Failed));
        assert!(matches!(failure(data(0)), Outcome::Failed));
    }
}
