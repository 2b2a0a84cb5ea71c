//! The cache as a store.

use std::ffi::{c_char, c_int};

use libc::time_t;

use crate::{TSAction, TSCacheDataType, TSCacheKey, TSCont, TSMLoc, TSReturnCode, TSVConn};

functions! {
    required {
        fn TSCacheKeyCreate() -> TSCacheKey = "_Z16TSCacheKeyCreatev";
        fn TSCacheKeyDestroy(key: TSCacheKey) -> TSReturnCode = "_Z17TSCacheKeyDestroyP14tsapi_cachekey";
        fn TSCacheKeyDigestFromUrlSet(key: TSCacheKey, url: TSMLoc) -> TSReturnCode =
            "_Z26TSCacheKeyDigestFromUrlSetP14tsapi_cachekeyP10tsapi_mloc";
        fn TSCacheKeyDigestSet(key: TSCacheKey, data: *const c_char, len: c_int) -> TSReturnCode =
            "_Z19TSCacheKeyDigestSetP14tsapi_cachekeyPKci";
        fn TSCacheKeyHostNameSet(key: TSCacheKey, name: *const c_char, len: c_int) -> TSReturnCode =
            "_Z21TSCacheKeyHostNameSetP14tsapi_cachekeyPKci";
        fn TSCacheKeyPinnedSet(key: TSCacheKey, time: time_t) -> TSReturnCode =
            "_Z19TSCacheKeyPinnedSetP14tsapi_cachekeyl";
        fn TSCacheRead(cont: TSCont, key: TSCacheKey) -> TSAction =
            "_Z11TSCacheReadP10tsapi_contP14tsapi_cachekey";
        fn TSCacheRemove(cont: TSCont, key: TSCacheKey) -> TSAction =
            "_Z13TSCacheRemoveP10tsapi_contP14tsapi_cachekey";
        fn TSCacheWrite(cont: TSCont, key: TSCacheKey) -> TSAction =
            "_Z12TSCacheWriteP10tsapi_contP14tsapi_cachekey";
        fn TSVConnCacheObjectSizeGet(vc: TSVConn) -> i64 = "_Z25TSVConnCacheObjectSizeGetP10tsapi_cont";
    }
    optional {
        fn TSCacheKeyDataTypeSet(key: TSCacheKey, data_type: TSCacheDataType) -> TSReturnCode =
            "_Z21TSCacheKeyDataTypeSetP14tsapi_cachekey15TSCacheDataType";
    }
}
