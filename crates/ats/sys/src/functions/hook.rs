//! Hooks, going on after them, and data that a plugin attaches.

use std::ffi::{c_char, c_int, c_void};

use crate::{TSCont, TSEvent, TSHttpHookID, TSHttpSsn, TSHttpTxn, TSReturnCode, TSUserArgType, TSVConn};

functions! {
    required {
        fn TSHttpHookAdd(hook: TSHttpHookID, cont: TSCont) = "_Z13TSHttpHookAdd12TSHttpHookIDP10tsapi_cont";
        fn TSHttpSsnHookAdd(ssn: TSHttpSsn, hook: TSHttpHookID, cont: TSCont) =
            "_Z16TSHttpSsnHookAddP13tsapi_httpssn12TSHttpHookIDP10tsapi_cont";
        fn TSHttpSsnReenable(ssn: TSHttpSsn, event: TSEvent) =
            "_Z17TSHttpSsnReenableP13tsapi_httpssn7TSEvent";
        fn TSHttpTxnHookAdd(txn: TSHttpTxn, hook: TSHttpHookID, cont: TSCont) =
            "_Z16TSHttpTxnHookAddP13tsapi_httptxn12TSHttpHookIDP10tsapi_cont";
        fn TSHttpTxnReenable(txn: TSHttpTxn, event: TSEvent) =
            "_Z17TSHttpTxnReenableP13tsapi_httptxn7TSEvent";
        fn TSUserArgGet(object: *mut c_void, index: c_int) -> *mut c_void = "_Z12TSUserArgGetPvi";
        fn TSUserArgIndexLookup(
            kind: TSUserArgType,
            index: c_int,
            out_name: *mut *const c_char,
            out_description: *mut *const c_char
        ) -> TSReturnCode =
            "_Z20TSUserArgIndexLookup13TSUserArgTypeiPPKcS2_";
        fn TSUserArgIndexNameLookup(
            kind: TSUserArgType,
            name: *const c_char,
            out_index: *mut c_int,
            out_description: *mut *const c_char
        ) -> TSReturnCode =
            "_Z24TSUserArgIndexNameLookup13TSUserArgTypePKcPiPS1_";
        fn TSUserArgIndexReserve(
            kind: TSUserArgType,
            name: *const c_char,
            description: *const c_char,
            out_index: *mut c_int
        ) -> TSReturnCode =
            "_Z21TSUserArgIndexReserve13TSUserArgTypePKcS1_Pi";
        fn TSUserArgSet(object: *mut c_void, index: c_int, data: *mut c_void) = "_Z12TSUserArgSetPviS_";
        /// A thread that the server did not start needs `TSThreadInit` first.
        fn TSVConnReenable(vc: TSVConn) = "_Z15TSVConnReenableP10tsapi_cont";
        fn TSVConnReenableEx(vc: TSVConn, event: TSEvent) = "_Z17TSVConnReenableExP10tsapi_cont7TSEvent";
    }
    optional {}
}
