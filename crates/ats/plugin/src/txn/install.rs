//! Which hooks a transaction needs, and when its bodies pass through transforms of ours.

use std::sync::{Once, OnceLock};

use weir_ats_sys::{
    TS_HTTP_CACHE_LOOKUP_COMPLETE_HOOK, TS_HTTP_POST_REMAP_HOOK, TS_HTTP_READ_RESPONSE_HDR_HOOK,
    TS_HTTP_REQUEST_TRANSFORM_HOOK, TS_HTTP_RESPONSE_TRANSFORM_HOOK, TS_HTTP_SEND_REQUEST_HDR_HOOK,
    TS_HTTP_SEND_RESPONSE_HDR_HOOK, TS_HTTP_TXN_CLOSE_HOOK, TS_SUCCESS, TSContDataSet, TSHttpHookID,
    TSHttpTxnConfigIntGet, TSHttpTxnConfigIntSet, TSHttpTxnHookAdd, TSOverridableConfigKey,
    TSTransformCreate,
};
use weir_chain::Direction;

use super::request::{self, Announced, RequestStage, RequestTransform};
use super::response;
use super::well_known::names;
use super::{Txn, shield};
use crate::plugin::plugin;
use crate::property;

/// A record of the server that does not go together with a transform, whichever plugin's.
struct Record {
    name: &'static str,
    /// The fault that a transform would cause.
    defect: &'static str,
    key: OnceLock<Option<TSOverridableConfigKey>>,
    told: Once,
}

impl Record {
    const fn new(name: &'static str, defect: &'static str) -> Self {
        Self {
            name,
            defect,
            key: OnceLock::new(),
            told: Once::new(),
        }
    }
}

static REDIRECTIONS: Record = Record::new(
    "proxy.config.http.number_of_redirections",
    "Traffic Server hangs or ends itself where it follows a redirect and a plugin transforms the body",
);
static REQUEST_BUFFER: Record = Record::new(
    "proxy.config.http.request_buffer_enabled",
    "Traffic Server never sends a request's body on that it has buffered and a plugin transforms",
);

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
            let (upgrades, is_head) = {
                let state = self.state.borrow();
                let Some(head) = state.messages.client_request() else {
                    return;
                };
                // A filter has to see the whole of what the client gets a part of.
                head.remove_known(names().range);
                (head.has(names().upgrade), state.messages.is_head)
            };
            self.stop_at(TS_HTTP_CACHE_LOOKUP_COMPLETE_HOOK);
            self.stop_at(TS_HTTP_READ_RESPONSE_HDR_HOOK);
            // The server runs transforms in the order in which they were added. Others add theirs when the cache or the origin
            // has answered, some before and some after us, and some otherwise on a miss than on a hit: so ours comes first.
            if !(upgrades || is_head) {
                self.install_response_transform();
            }
        }
    }

    /// Switches off for this transaction what the server does not do beside transforms.
    fn switch_off(&self, record: &Record) {
        let Some(key) = *record
            .key
            .get_or_init(|| property::find_record(record.name.as_bytes()).map(|(key, _)| key))
        else {
            return;
        };
        let mut value = 0;
        // SAFETY: the transaction exists, and the record is an integer.
        let known = unsafe { TSHttpTxnConfigIntGet(self.http, key, &mut value) } == TS_SUCCESS;
        if !known || value <= 0 {
            return;
        }
        // SAFETY: as above.
        unsafe { TSHttpTxnConfigIntSet(self.http, key, 0) };
        record.told.call_once(|| {
            tracing::warn!(
                "{}={value}: {}; so it is 0 for requests whose bodies, or whose responses' bodies, filters see (said once)",
                record.name,
                record.defect,
            );
        });
    }

    fn install_request_transform(&mut self) {
        let deferred = matches!(self.request.stage, RequestStage::HeadDeferred(_));
        let wanted = deferred || self.chain.wants_body(Direction::Request, &self.state.borrow());
        if !wanted || self.request.transform.is_some() {
            return;
        }
        self.switch_off(&REDIRECTIONS);
        self.switch_off(&REQUEST_BUFFER);
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

    /// Has the response of a request that asks for another protocol pass through a transform, now that the origin has not
    /// taken the connection over.
    pub(super) fn install_late_transform(&mut self) {
        if !self.state.borrow().messages.is_head && self.wants_response_body() {
            self.install_response_transform();
        }
    }

    fn install_response_transform(&mut self) {
        if self.response.has_transform() {
            return self.prepare_storing();
        }
        self.switch_off(&REDIRECTIONS);
        // SAFETY: the transaction is stopped at a hook that allows transforms. The data is this state, which the transform
        // holds (`keep`) until it is closed.
        unsafe {
            let transform = TSTransformCreate(response::on_event, self.http);
            TSContDataSet(transform.into(), std::ptr::from_mut(self).cast());
            self.keep();
            self.response.add_transform(transform);
            TSHttpTxnHookAdd(self.http, TS_HTTP_RESPONSE_TRANSFORM_HOOK, transform.into());
        }
        self.prepare_storing();
    }

    /// Stops the transaction once more when all plugins have seen the origin's answer. At that hook.
    pub(super) fn settle_storing(&mut self) {
        // SAFETY: the transaction exists; the continuation lives as long as the process. The server goes through the hooks of a
        // transaction to the end of their list, to which this one is appended.
        unsafe { TSHttpTxnHookAdd(self.http, TS_HTTP_READ_RESPONSE_HDR_HOOK, plugin().last_cont) };
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
