//! The server's cache in a transaction with filters: what it keeps of a response, and what filters have to do with what comes
//! out of it.
//!
//! The server stores what the origin sent, or what came out of the transforms. The second only where a document says
//! `cache_transformed` and no filter failed or answered by itself; the object then carries a mark ([`crate::mark`]), and filters
//! are skipped on that mark alone.

use std::ffi::{c_int, c_void};

use weir_ats_sys::{
    TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE, TS_CACHE_LOOKUP_MISS, TS_SUCCESS, TSCacheKeyCreate,
    TSCacheKeyDestroy, TSCacheKeyDigestFromUrlSet, TSCacheKeyHostNameSet, TSCacheLookupResult, TSCacheRemove,
    TSCont, TSContCreate, TSContDestroy, TSEvent, TSHandleMLocRelease, TSHttpTxn,
    TSHttpTxnCacheLookupStatusGet, TSHttpTxnCacheLookupStatusSet, TSHttpTxnCacheLookupUrlGet,
    TSHttpTxnCachedRespGet, TSHttpTxnConfigIntGet, TSHttpTxnServerRespGet, TSHttpTxnTransformedRespCache,
    TSHttpTxnUntransformedRespCache, TSMBufferCreate, TSMBufferDestroy, TSMLoc, TSMutexCreate, TSUrlCreate,
    TSUrlHostGet,
};

use super::mime::Head;
use super::{Flow, Next, Txn};
use crate::{mark, property};

/// The cache's part in a response.
#[derive(Default)]
pub(super) struct Caching {
    /// The status of the origin's answer, once that is there.
    origin_status: Option<u16>,
    /// The server has been asked to keep what the origin sends.
    keeps_original: bool,
    /// The server is to store the output of our transform.
    keeps: bool,
}

/// Fields of a 304 that change a stored object which filters have made: they say how long it is good. The others would take
/// the place of what filters have said.
const OF_FRESHNESS: [&[u8]; 6] = [
    b"date",
    b"age",
    b"expires",
    b"cache-control",
    b"warning",
    b"pragma",
];

impl Txn {
    /// The cache has answered. An object that other filters have made cannot be filtered, and counts as a miss.
    pub(super) fn on_cache_lookup(&mut self) -> Next {
        let http = self.http;
        let hit = [TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE].contains(&lookup(http));
        // SAFETY: the transaction is stopped at the hook that this is for; the getter says whether there is a cached response.
        let cached = unsafe {
            Head::from_getter(|buffer, loc| TSHttpTxnCachedRespGet(http, buffer, loc) == TS_SUCCESS)
        };
        let mark = cached.filter(|_| hit).and_then(mark_of);
        self.response.set_made_before(false);
        if let Some(mark) = mark {
            if self.is_own(&mark) {
                self.response.set_made_before(true);
            } else {
                // SAFETY: this is the hook at which the server allows it.
                unsafe { TSHttpTxnCacheLookupStatusSet(http, TS_CACHE_LOOKUP_MISS.0) };
            }
        }
        Next::flow(http, Flow::Continue)
    }

    /// The origin has answered.
    pub(super) fn on_read_response(&mut self) -> Next {
        let http = self.http;
        // SAFETY: the transaction is stopped at the hook that this is for.
        let head = unsafe {
            Head::from_getter(|buffer, loc| TSHttpTxnServerRespGet(http, buffer, loc) == TS_SUCCESS)
        };
        if let Some(head) = head
            && head.status() >= 200
        {
            self.caching.origin_status = Some(head.status());
            // Whatever an origin sends under this name is no mark of ours.
            head.remove(mark::FIELD);
            if head.status() == 304 && self.response.is_made_before() {
                head.retain(|name| {
                    OF_FRESHNESS.contains(&name) || weir_http_rules::names::is_framing_field(name)
                });
            }
            self.install_late_transform();
            if !self.keeps_transformed() {
                self.settle_storing();
            }
        }
        Next::flow(http, Flow::Continue)
    }

    /// All plugins have seen the origin's answer. Another transform may have asked for what comes out of it to be stored; that
    /// has passed our filters, and is for this client alone. So the cache gets what the origin sent.
    pub(super) fn on_response_read_by_all(&mut self) -> Next {
        if self.response.has_transform() {
            self.store_original();
        }
        Next::flow(self.http, Flow::Continue)
    }

    /// Sets what the cache keeps of a response that passes through our transform, as far as that is known beforehand. That it
    /// keeps the result is the server's default, and stays unsaid: another transform may have asked for the opposite.
    pub(super) fn prepare_storing(&mut self) {
        if !self.keeps_transformed() || self.has_failed() {
            self.store_original();
        } else if std::mem::take(&mut self.caching.keeps_original) {
            // Filters of `plugin.config` have asked for it before those of the rule were known.
            // SAFETY: the transaction exists; the functions set a switch each.
            unsafe {
                TSHttpTxnUntransformedRespCache(self.http, 0);
                TSHttpTxnTransformedRespCache(self.http, 1);
            }
        }
    }

    fn store_original(&mut self) {
        self.caching.keeps_original = true;
        // SAFETY: the transaction exists; the functions set a switch each. Both have to be set, or every hit is written to
        // the cache again.
        unsafe {
            TSHttpTxnUntransformedRespCache(self.http, 1);
            TSHttpTxnTransformedRespCache(self.http, 0);
        }
    }

    /// The head of a response is in our transform: true if the filters have made the response before, and do not see it again.
    pub(super) fn begin_storing(&mut self, head: Option<Head>) -> bool {
        let Some(head) = head else {
            return false;
        };
        let cached = self.is_from_cache(head.status());
        let known = mark_of(head);
        self.caching.keeps = !cached && self.keeps_transformed();
        if !self.caching.keeps {
            self.store_no_result();
        }
        let Some(known) = known else {
            return false;
        };
        // No filter sees it. The head in the cache keeps it.
        head.remove(mark::FIELD);
        cached && self.is_own(&known)
    }

    /// The head goes out of our transform as the filters have made it, or not.
    pub(super) fn decide_storing(&mut self, head: Option<Head>) {
        if self.caching.keeps && (self.has_failed() || self.state.borrow().is_local()) {
            self.forbid_storing();
        }
        if self.caching.keeps
            && let Some(head) = head
        {
            head.add(mark::FIELD, self.mark().as_bytes());
        }
    }

    /// Nothing of the response is stored, since it is an answer of a filter or of ours. Before the head goes out.
    pub(super) fn forbid_storing(&mut self) {
        self.caching.keeps = false;
        self.store_no_result();
    }

    /// A part of the body has passed: if a filter has failed over it, what is being stored is given up. False: that is not
    /// possible.
    pub(super) fn check_storing(&mut self) -> bool {
        if !self.caching.keeps || !self.has_failed() {
            return true;
        }
        self.caching.keeps = false;
        give_up(self.http)
    }

    /// The output of the transform is not stored. The server asks for this when the transform opens its output.
    fn store_no_result(&self) {
        // SAFETY: the transaction exists; the function sets a switch.
        unsafe { TSHttpTxnTransformedRespCache(self.http, 0) };
    }

    /// True if a response with this status comes out of the cache: a hit, or a stale object that the origin has confirmed or
    /// has not been able to replace.
    pub(super) fn is_from_cache(&self, status: u16) -> bool {
        match lookup(self.http) {
            TS_CACHE_LOOKUP_HIT_FRESH => true,
            TS_CACHE_LOOKUP_HIT_STALE => self
                .caching
                .origin_status
                .is_none_or(|origin| origin == 304 || origin != status),
            _ => false,
        }
    }

    /// True if the cache keeps what filters make of a response.
    pub(super) fn keeps_transformed(&self) -> bool {
        self.origins.iter().any(|origin| origin.chain.cache_transformed)
            && self.filters().any(|filter| filter.config.cache_transformed)
    }

    /// True if a filter has failed in this stream.
    fn has_failed(&self) -> bool {
        self.chain.has_failed(&self.state.borrow())
    }

    fn mark(&self) -> String {
        mark::join(self.filters().map(crate::thread_chain::ThreadFilter::mark))
    }

    fn is_own(&self, mark: &[u8]) -> bool {
        self.keeps_transformed() && self.mark().as_bytes() == mark
    }
}

/// The cache's answer about a transaction.
fn lookup(http: TSHttpTxn) -> TSCacheLookupResult {
    let mut status: c_int = -1;
    // SAFETY: the transaction exists; the getter writes to the place it is given.
    let known = unsafe { TSHttpTxnCacheLookupStatusGet(http, &mut status) } == TS_SUCCESS;
    TSCacheLookupResult(if known { status } else { -1 })
}

/// The mark of a head.
pub(super) fn mark_of(head: Head) -> Option<Vec<u8>> {
    let mut mark = Vec::new();
    head.value(mark::FIELD, &mut mark).then_some(mark)
}

/// Has the server give up the object that it is storing for a transaction, and forget it where it has been stored. False: the
/// object cannot be named.
fn give_up(http: TSHttpTxn) -> bool {
    // The interface makes keys without the generation that an operator can set.
    let generation = property::find_record(b"proxy.config.http.cache.generation").map(|(key, _)| {
        let mut generation = -1;
        // SAFETY: the transaction exists, and the record is an integer.
        unsafe { TSHttpTxnConfigIntGet(http, key, &mut generation) };
        generation
    });
    if generation.is_some_and(|generation| generation != -1) {
        return false;
    }
    // SAFETY: the buffer and what is made in it are ours, and are gone together at the end. The key is copied by the removal.
    // The continuation gets one event, in which it is destroyed.
    unsafe {
        let buffer = TSMBufferCreate();
        let mut loc = TSMLoc::NULL;
        let made = TSUrlCreate(buffer, &mut loc) == TS_SUCCESS;
        let known = made && TSHttpTxnCacheLookupUrlGet(http, buffer, loc) == TS_SUCCESS;
        if known {
            let key = TSCacheKeyCreate();
            TSCacheKeyDigestFromUrlSet(key, loc);
            let mut len: c_int = 0;
            let host = TSUrlHostGet(buffer, loc, &mut len);
            if !host.is_null() && len > 0 {
                TSCacheKeyHostNameSet(key, host, len);
            }
            TSCacheRemove(TSContCreate(on_removed, TSMutexCreate()), key);
            TSCacheKeyDestroy(key);
        }
        if made {
            TSHandleMLocRelease(buffer, TSMLoc::NULL, loc);
        }
        TSMBufferDestroy(buffer);
        known
    }
}

/// Ends the continuation of a removal.
///
/// # Safety
///
/// `cont` is a continuation of [`give_up`], to which the server sends one event.
unsafe extern "C" fn on_removed(cont: TSCont, _event: TSEvent, _data: *mut c_void) -> c_int {
    // SAFETY: as the caller says.
    unsafe { TSContDestroy(cont) };
    0
}
