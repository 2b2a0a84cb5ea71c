//! Transactions: messages, local replies, caching, configuration.

use std::ffi::{c_char, c_int};

use libc::time_t;

use crate::{
    TSCont, TSEvent, TSHttpCntlType, TSHttpSsn, TSHttpStatus, TSHttpTxn, TSHttpTxnInfoKey, TSIOBufferReader,
    TSMBuffer, TSMLoc, TSOverridableConfigKey, TSRecordDataType, TSReturnCode, TSTxnType,
};

functions! {
    required {
        fn TSCacheUrlSet(txn: TSHttpTxn, url: *const c_char, len: c_int) -> TSReturnCode =
            "_Z13TSCacheUrlSetP13tsapi_httptxnPKci";
        /// Success says that the transaction was aborted. 10.x writes by whom to `client_abort`, 9.2 leaves it.
        fn TSHttpTxnAborted(txn: TSHttpTxn, client_abort: *mut bool) -> TSReturnCode =
            "_Z16TSHttpTxnAbortedP13tsapi_httptxnPb";
        fn TSHttpTxnCacheLookupCountGet(txn: TSHttpTxn, out_value: *mut c_int) -> TSReturnCode =
            "_Z28TSHttpTxnCacheLookupCountGetP13tsapi_httptxnPi";
        fn TSHttpTxnCacheLookupStatusGet(txn: TSHttpTxn, out_value: *mut c_int) -> TSReturnCode =
            "_Z29TSHttpTxnCacheLookupStatusGetP13tsapi_httptxnPi";
        fn TSHttpTxnCacheLookupStatusSet(txn: TSHttpTxn, value: c_int) -> TSReturnCode =
            "_Z29TSHttpTxnCacheLookupStatusSetP13tsapi_httptxni";
        fn TSHttpTxnCacheLookupUrlGet(txn: TSHttpTxn, buf: TSMBuffer, url: TSMLoc) -> TSReturnCode =
            "_Z26TSHttpTxnCacheLookupUrlGetP13tsapi_httptxnP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpTxnCacheLookupUrlSet(txn: TSHttpTxn, buf: TSMBuffer, url: TSMLoc) -> TSReturnCode =
            "_Z26TSHttpTxnCacheLookupUrlSetP13tsapi_httptxnP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpTxnCachedReqGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z21TSHttpTxnCachedReqGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnCachedRespGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z22TSHttpTxnCachedRespGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnCachedRespModifiableGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z32TSHttpTxnCachedRespModifiableGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnClientReqGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z21TSHttpTxnClientReqGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnClientRespGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z22TSHttpTxnClientRespGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnConfigFind(
            name: *const c_char,
            len: c_int,
            out_key: *mut TSOverridableConfigKey,
            out_type: *mut TSRecordDataType
        ) -> TSReturnCode =
            "_Z19TSHttpTxnConfigFindPKciP22TSOverridableConfigKeyP16TSRecordDataType";
        fn TSHttpTxnConfigFloatGet(
            txn: TSHttpTxn,
            key: TSOverridableConfigKey,
            out_value: *mut f32
        ) -> TSReturnCode =
            "_Z23TSHttpTxnConfigFloatGetP13tsapi_httptxn22TSOverridableConfigKeyPf";
        fn TSHttpTxnConfigFloatSet(txn: TSHttpTxn, key: TSOverridableConfigKey, value: f32) -> TSReturnCode =
            "_Z23TSHttpTxnConfigFloatSetP13tsapi_httptxn22TSOverridableConfigKeyf";
        fn TSHttpTxnConfigIntGet(
            txn: TSHttpTxn,
            key: TSOverridableConfigKey,
            out_value: *mut i64
        ) -> TSReturnCode =
            "_Z21TSHttpTxnConfigIntGetP13tsapi_httptxn22TSOverridableConfigKeyPl";
        fn TSHttpTxnConfigIntSet(txn: TSHttpTxn, key: TSOverridableConfigKey, count: i64) -> TSReturnCode =
            "_Z21TSHttpTxnConfigIntSetP13tsapi_httptxn22TSOverridableConfigKeyl";
        fn TSHttpTxnConfigStringGet(
            txn: TSHttpTxn,
            key: TSOverridableConfigKey,
            out_value: *mut *const c_char,
            out_len: *mut c_int
        ) -> TSReturnCode =
            "_Z24TSHttpTxnConfigStringGetP13tsapi_httptxn22TSOverridableConfigKeyPPKcPi";
        fn TSHttpTxnConfigStringSet(
            txn: TSHttpTxn,
            key: TSOverridableConfigKey,
            value: *const c_char,
            len: c_int
        ) -> TSReturnCode =
            "_Z24TSHttpTxnConfigStringSetP13tsapi_httptxn22TSOverridableConfigKeyPKci";
        fn TSHttpTxnDebugGet(txn: TSHttpTxn) -> c_int = "_Z17TSHttpTxnDebugGetP13tsapi_httptxn";
        fn TSHttpTxnDebugSet(txn: TSHttpTxn, on: c_int) = "_Z17TSHttpTxnDebugSetP13tsapi_httptxni";
        /// The text is the caller's, to be freed by `TSfree`.
        fn TSHttpTxnEffectiveUrlStringGet(txn: TSHttpTxn, out_len: *mut c_int) -> *mut c_char =
            "_Z30TSHttpTxnEffectiveUrlStringGetP13tsapi_httptxnPi";
        /// Takes over `body` and `content_type`, which come from [`Given`](crate::Given). A `body` of length 0 must be NULL.
        /// NULL for `content_type` is text/html if there is a body.
        fn TSHttpTxnErrorBodySet(txn: TSHttpTxn, body: *mut c_char, len: usize, content_type: *mut c_char) =
            "_Z21TSHttpTxnErrorBodySetP13tsapi_httptxnPcmS1_";
        fn TSHttpTxnIdGet(txn: TSHttpTxn) -> u64 = "_Z14TSHttpTxnIdGetP13tsapi_httptxn";
        fn TSHttpTxnInfoIntGet(txn: TSHttpTxn, key: TSHttpTxnInfoKey, out_value: *mut i64) -> TSReturnCode =
            "_Z19TSHttpTxnInfoIntGetP13tsapi_httptxn16TSHttpTxnInfoKeyPl";
        fn TSHttpTxnIntercept(cont: TSCont, txn: TSHttpTxn) =
            "_Z18TSHttpTxnInterceptP10tsapi_contP13tsapi_httptxn";
        fn TSHttpTxnIsCacheable(txn: TSHttpTxn, request: TSMBuffer, response: TSMBuffer) -> c_int =
            "_Z20TSHttpTxnIsCacheableP13tsapi_httptxnP13tsapi_mbufferS2_";
        fn TSHttpTxnIsInternal(txn: TSHttpTxn) -> c_int = "_Z19TSHttpTxnIsInternalP13tsapi_httptxn";
        fn TSHttpTxnIsWebsocket(txn: TSHttpTxn) -> c_int = "_Z20TSHttpTxnIsWebsocketP13tsapi_httptxn";
        fn TSHttpTxnPostBufferReaderGet(txn: TSHttpTxn) -> TSIOBufferReader =
            "_Z28TSHttpTxnPostBufferReaderGetP13tsapi_httptxn";
        fn TSHttpTxnPristineUrlGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z23TSHttpTxnPristineUrlGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnRedirectRetries(txn: TSHttpTxn) -> c_int = "_Z24TSHttpTxnRedirectRetriesP13tsapi_httptxn";
        fn TSHttpTxnRedirectUrlGet(txn: TSHttpTxn, out_len: *mut c_int) -> *const c_char =
            "_Z23TSHttpTxnRedirectUrlGetP13tsapi_httptxnPi";
        /// Takes over `url`, which comes from [`Given`](crate::Given).
        fn TSHttpTxnRedirectUrlSet(txn: TSHttpTxn, url: *const c_char, len: c_int) =
            "_Z23TSHttpTxnRedirectUrlSetP13tsapi_httptxnPKci";
        fn TSHttpTxnReqCacheableSet(txn: TSHttpTxn, on: c_int) =
            "_Z24TSHttpTxnReqCacheableSetP13tsapi_httptxni";
        fn TSHttpTxnRespCacheableSet(txn: TSHttpTxn, on: c_int) =
            "_Z25TSHttpTxnRespCacheableSetP13tsapi_httptxni";
        fn TSHttpTxnServerIntercept(cont: TSCont, txn: TSHttpTxn) =
            "_Z24TSHttpTxnServerInterceptP10tsapi_contP13tsapi_httptxn";
        fn TSHttpTxnServerReqGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z21TSHttpTxnServerReqGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnServerRespGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z22TSHttpTxnServerRespGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnServerRespNoStoreGet(txn: TSHttpTxn) -> bool =
            "_Z29TSHttpTxnServerRespNoStoreGetP13tsapi_httptxn";
        fn TSHttpTxnServerRespNoStoreSet(txn: TSHttpTxn, on: c_int) -> TSReturnCode =
            "_Z29TSHttpTxnServerRespNoStoreSetP13tsapi_httptxni";
        fn TSHttpTxnSsnGet(txn: TSHttpTxn) -> TSHttpSsn = "_Z15TSHttpTxnSsnGetP13tsapi_httptxn";
        fn TSHttpTxnStatusGet(txn: TSHttpTxn) -> TSHttpStatus = "_Z18TSHttpTxnStatusGetP13tsapi_httptxn";
        fn TSHttpTxnStatusSet(txn: TSHttpTxn, status: TSHttpStatus) =
            "_Z18TSHttpTxnStatusSetP13tsapi_httptxn12TSHttpStatus";
        fn TSHttpTxnTransformRespGet(
            txn: TSHttpTxn,
            out_buf: *mut TSMBuffer,
            out_loc: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z25TSHttpTxnTransformRespGetP13tsapi_httptxnPP13tsapi_mbufferPP10tsapi_mloc";
        fn TSHttpTxnTransformedRespCache(txn: TSHttpTxn, on: c_int) =
            "_Z29TSHttpTxnTransformedRespCacheP13tsapi_httptxni";
        fn TSHttpTxnUntransformedRespCache(txn: TSHttpTxn, on: c_int) =
            "_Z31TSHttpTxnUntransformedRespCacheP13tsapi_httptxni";
        fn TSRemapFromUrlGet(txn: TSHttpTxn, out_loc: *mut TSMLoc) -> TSReturnCode =
            "_Z17TSRemapFromUrlGetP13tsapi_httptxnPP10tsapi_mloc";
        fn TSRemapToUrlGet(txn: TSHttpTxn, out_loc: *mut TSMLoc) -> TSReturnCode =
            "_Z15TSRemapToUrlGetP13tsapi_httptxnPP10tsapi_mloc";
        fn TSSkipRemappingSet(txn: TSHttpTxn, on: c_int) = "_Z18TSSkipRemappingSetP13tsapi_httptxni";
    }
    optional {
        fn TSClientRequestUuidGet(txn: TSHttpTxn, text: *mut c_char) -> TSReturnCode =
            "_Z22TSClientRequestUuidGetP13tsapi_httptxnPc";
        fn TSHttpTxnCacheKeyDigestGet(
            txn: TSHttpTxn,
            digest: *mut c_char,
            inout_len: *mut c_int
        ) -> TSReturnCode =
            "_Z26TSHttpTxnCacheKeyDigestGetP13tsapi_httptxnPcPi";
        fn TSHttpTxnCachedRespTimeGet(txn: TSHttpTxn, out_value: *mut time_t) -> TSReturnCode =
            "_Z26TSHttpTxnCachedRespTimeGetP13tsapi_httptxnPl";
        fn TSHttpTxnClientReqIsServerStyle(txn: TSHttpTxn) -> c_int =
            "_Z31TSHttpTxnClientReqIsServerStyleP13tsapi_httptxn";
        fn TSHttpTxnCloseAfterResponse(txn: TSHttpTxn, on: c_int) -> TSReturnCode =
            "_Z27TSHttpTxnCloseAfterResponseP13tsapi_httptxni";
        fn TSHttpTxnCntlGet(txn: TSHttpTxn, mode: TSHttpCntlType) -> bool =
            "_Z16TSHttpTxnCntlGetP13tsapi_httptxn14TSHttpCntlType";
        fn TSHttpTxnCntlSet(txn: TSHttpTxn, mode: TSHttpCntlType, value: bool) -> TSReturnCode =
            "_Z16TSHttpTxnCntlSetP13tsapi_httptxn14TSHttpCntlTypeb";
        fn TSHttpTxnErrorBodyGet(
            txn: TSHttpTxn,
            out_len: *mut usize,
            out_content_type: *mut *mut c_char
        ) -> *mut c_char =
            "_Z21TSHttpTxnErrorBodyGetP13tsapi_httptxnPmPPc";
        fn TSHttpTxnParentSelectionUrlGet(txn: TSHttpTxn, buf: TSMBuffer, url: TSMLoc) -> TSReturnCode =
            "_Z30TSHttpTxnParentSelectionUrlGetP13tsapi_httptxnP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpTxnParentSelectionUrlSet(txn: TSHttpTxn, buf: TSMBuffer, url: TSMLoc) -> TSReturnCode =
            "_Z30TSHttpTxnParentSelectionUrlSetP13tsapi_httptxnP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpTxnPluginTagGet(txn: TSHttpTxn) -> *const c_char =
            "_Z21TSHttpTxnPluginTagGetP13tsapi_httptxn";
        fn TSHttpTxnPrivateSessionSet(txn: TSHttpTxn, on: c_int) -> TSReturnCode =
            "_Z26TSHttpTxnPrivateSessionSetP13tsapi_httptxni";
        fn TSHttpTxnRedoCacheLookup(txn: TSHttpTxn, url: *const c_char, len: c_int) -> TSReturnCode =
            "_Z24TSHttpTxnRedoCacheLookupP13tsapi_httptxnPKci";
        fn TSHttpTxnServerRequestBodySet(txn: TSHttpTxn, body: *mut c_char, len: i64) =
            "_Z29TSHttpTxnServerRequestBodySetP13tsapi_httptxnPcl";
        fn TSHttpTxnServerRespIgnore(txn: TSHttpTxn) -> TSReturnCode =
            "_Z25TSHttpTxnServerRespIgnoreP13tsapi_httptxn";
        fn TSHttpTxnShutDown(txn: TSHttpTxn, event: TSEvent) -> TSReturnCode =
            "_Z17TSHttpTxnShutDownP13tsapi_httptxn7TSEvent";
        fn TSHttpTxnTypeGet(txn: TSHttpTxn) -> TSTxnType = "_Z16TSHttpTxnTypeGetP13tsapi_httptxn";
        fn TSHttpTxnUpdateCachedObject(txn: TSHttpTxn) -> TSReturnCode =
            "_Z27TSHttpTxnUpdateCachedObjectP13tsapi_httptxn";
    }
}
