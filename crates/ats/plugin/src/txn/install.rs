//! Which hooks a transaction needs, and when its bodies pass through transforms of ours.

use std::ffi::c_int;

use weir_ats_sys::{
    TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE, TS_HTTP_CACHE_LOOKUP_COMPLETE_HOOK,
    TS_HTTP_POST_REMAP_HOOK, TS_HTTP_READ_RESPONSE_HDR_HOOK, TS_HTTP_REQUEST_TRANSFORM_HOOK,
    TS_HTTP_RESPONSE_TRANSFORM_HOOK, TS_HTTP_SEND_REQUEST_HDR_HOOK, TS_HTTP_SEND_RESPONSE_HDR_HOOK,
    TS_HTTP_TXN_CLOSE_HOOK, TS_SUCCESS, TSCacheLookupResult, TSContDataSet, TSHttpHookID,
    TSHttpTxnCacheLookupStatusGet, TSHttpTxnCachedRespGet, TSHttpTxnHookAdd, TSHttpTxnServerRespGet,
    TSHttpTxnTransformedRespCache, TSHttpTxnUntransformedRespCache, TSTransformCreate,
};
use weir_chain::Direction;
use weir_http_rules::status::is_bodiless;

use super::mime::Head;
use super::request::{self, Announced, RequestStage, RequestTransform};
use super::response;
use super::well_known::names;
use super::{Next, Txn, shield};
use crate::plugin::plugin;

impl Txn {
    /// The request's head has come through: prepares for the bodies.
    pub(super) fn install_transforms(&mut self) {
        if self.request.has_body() {
            self.install_request_transform();
        } else if self.chain.wants_body(Direction::Request, &self.state.borrow())
            && super::client::is_http2(self.http)
        {
            self.watch_request();
        }
        if self.wants_response_body() {
            if let Some(head) = self.state.borrow().messages.client_request() {
                // A filter has to see the whole of what the client gets a part of.
                head.remove_known(names().range);
            }
            self.stop_at(TS_HTTP_CACHE_LOOKUP_COMPLETE_HOOK);
            self.stop_at(TS_HTTP_READ_RESPONSE_HDR_HOOK);
        }
    }

    fn install_request_transform(&mut self) {
        let deferred = matches!(self.request.stage, RequestStage::HeadDeferred(_));
        let wanted = deferred || self.chain.wants_body(Direction::Request, &self.state.borrow());
        if !wanted || self.request.transform.is_some() {
            return;
        }
        let announced = {
            let state = self.state.borrow();
            let Some(head) = state.messages.client_request() else {
                return;
            };
            if !plugin().answers_continue {
                // The answer to the body would be lost behind the origin's own 100 Continue.
                head.remove(b"expect");
            }
            match head.has(names().transfer_encoding) {
                true => Announced::Chunks,
                false => head
                    .content_length()
                    .map_or(Announced::Nothing, Announced::Length),
            }
        };
        // SAFETY: the transaction is stopped at a hook that allows transforms. The data is this state, which the transform
        // holds (`keep`) until it is closed.
        unsafe {
            let transform = TSTransformCreate(request::on_event, self.http);
            TSContDataSet(transform.into(), std::ptr::from_mut(self).cast());
            shield::shield(transform);
            self.keep();
            let input = self.request.input();
            input.attach(transform, announced == Announced::Chunks);
            let part = RequestTransform::new(transform, input, announced);
            self.request.transform = Some(Box::new(part));
            TSHttpTxnHookAdd(self.http, TS_HTTP_REQUEST_TRANSFORM_HOOK, transform.into());
        }
        self.watch_request();
    }

    /// Stops the transaction once more before the request goes to the origin.
    fn watch_request(&mut self) {
        self.stop_at(TS_HTTP_SEND_REQUEST_HDR_HOOK);
    }

    /// The cache has answered: the last moment to have a cached response pass through a transform.
    pub(super) fn on_cache_lookup(&mut self) -> Next {
        let mut status: c_int = -1;
        // SAFETY: the transaction is stopped at the hook that this is for.
        let known = unsafe { TSHttpTxnCacheLookupStatusGet(self.http, &mut status) } == TS_SUCCESS;
        let hit = known
            && [TS_CACHE_LOOKUP_HIT_FRESH, TS_CACHE_LOOKUP_HIT_STALE].contains(&TSCacheLookupResult(status));
        let made_before = hit && self.keeps_transformed();
        self.response.set_made_before(made_before);
        if hit && self.response.reply().is_none() && !made_before && !self.state.borrow().messages.is_head {
            let http = self.http;
            // SAFETY: the transaction is stopped at the hook that this is for; the getter says whether there is a cached response.
            let cached = unsafe {
                Head::from_getter(|buffer, loc| TSHttpTxnCachedRespGet(http, buffer, loc) == TS_SUCCESS)
            };
            let empty = cached.and_then(Head::content_length) == Some(0);
            if !(TSCacheLookupResult(status) == TS_CACHE_LOOKUP_HIT_FRESH && empty)
                && self.wants_response_body()
            {
                self.install_response_transform();
            }
        }
        Next::flow(self.http, super::Flow::Continue)
    }

    /// The origin has answered.
    pub(super) fn on_read_response(&mut self) -> Next {
        let http = self.http;
        // SAFETY: the transaction is stopped at the hook that this is for.
        let head = unsafe {
            Head::from_getter(|buffer, loc| TSHttpTxnServerRespGet(http, buffer, loc) == TS_SUCCESS)
        };
        if let Some(head) = head
            && !self.response.has_transform()
            && self.response.reply().is_none()
            && head.status() >= 200
            && !is_bodiless(head.status())
            // A filter has to see the whole of a body.
            && head.status() != 206
            && head.content_length() != Some(0)
            && !self.state.borrow().messages.is_head
            && self.wants_response_body()
        {
            self.response.set_made_before(false);
            self.install_response_transform();
        }
        Next::flow(http, super::Flow::Continue)
    }

    fn install_response_transform(&mut self) {
        if self.response.has_transform() {
            return;
        }
        let transformed = c_int::from(self.keeps_transformed());
        // SAFETY: the transaction is stopped at a hook that allows transforms. The data is this state, which the transform
        // holds (`keep`) until it is closed. Both switches have to be set, or every hit is written to the cache again.
        unsafe {
            let transform = TSTransformCreate(response::on_event, self.http);
            TSContDataSet(transform.into(), std::ptr::from_mut(self).cast());
            self.keep();
            self.response.add_transform(transform);
            TSHttpTxnHookAdd(self.http, TS_HTTP_RESPONSE_TRANSFORM_HOOK, transform.into());
            TSHttpTxnUntransformedRespCache(self.http, 1 - transformed);
            TSHttpTxnTransformedRespCache(self.http, transformed);
        }
    }

    /// True if the cache keeps what filters make of a response.
    pub(super) fn keeps_transformed(&self) -> bool {
        self.origins.iter().any(|origin| origin.chain.cache_transformed)
            && self.filters().any(|filter| filter.config.cache_transformed)
    }

    /// Adds the hooks at the end of the transaction, where no global hook is there for all of them.
    pub(super) fn watch_the_end(&mut self) {
        self.stop_at(TS_HTTP_SEND_RESPONSE_HDR_HOOK);
        self.stop_at(TS_HTTP_TXN_CLOSE_HOOK);
    }

    /// Stops the transaction once more when its URL has been mapped.
    pub(super) fn stop_after_remap(&mut self) {
        self.stop_at(TS_HTTP_POST_REMAP_HOOK);
    }

    /// Adds a hook, unless it has been added.
    fn stop_at(&mut self, hook: TSHttpHookID) {
        if self.hooks.contains(&hook) {
            return;
        }
        self.hooks.push(hook);
        // SAFETY: the transaction exists; the continuation lives as long as the process.
        unsafe { TSHttpTxnHookAdd(self.http, hook, plugin().txn_cont) };
    }
}
