//! The process: versions, directories, registration, configuration records.

use std::ffi::{c_char, c_int, c_uchar, c_uint};

use libc::sockaddr;

use crate::{
    TSCont, TSEvent, TSHRTime, TSHostStatus, TSHttpHookID, TSLifecycleHookID, TSMgmtSource,
    TSPluginRegistrationInfo, TSRecordDataType, TSReturnCode, TSServerState,
};

functions! {
    required {
        fn TSConfigDirGet() -> *const c_char = "_Z14TSConfigDirGetv";
        fn TSInstallDirGet() -> *const c_char = "_Z15TSInstallDirGetv";
        fn TSLifecycleHookAdd(hook: TSLifecycleHookID, cont: TSCont) =
            "_Z18TSLifecycleHookAdd17TSLifecycleHookIDP10tsapi_cont";
        fn TSMgmtFloatGet(name: *const c_char, out_value: *mut f32) -> TSReturnCode =
            "_Z14TSMgmtFloatGetPKcPf";
        fn TSMgmtIntGet(name: *const c_char, out_value: *mut i64) -> TSReturnCode = "_Z12TSMgmtIntGetPKcPl";
        /// The text is the caller's, to be freed by `TSfree`.
        fn TSMgmtStringGet(name: *const c_char, out_value: *mut *mut c_char) -> TSReturnCode =
            "_Z15TSMgmtStringGetPKcPPc";
        /// 9.2 has no `file_name` and ignores it. On 10.x it is best NULL, and the event comes at every reload; a file
        /// that does not exist silently drops the callback.
        fn TSMgmtUpdateRegister(cont: TSCont, plugin_name: *const c_char, file_name: *const c_char) =
            "_Z20TSMgmtUpdateRegisterP10tsapi_contPKcS2_";
        fn TSPluginDSOReloadEnable(enabled: c_int) -> TSReturnCode = "_Z23TSPluginDSOReloadEnablei";
        fn TSPluginDirGet() -> *const c_char = "_Z14TSPluginDirGetv";
        fn TSPluginRegister(info: *const TSPluginRegistrationInfo) -> TSReturnCode =
            "_Z16TSPluginRegisterPK24TSPluginRegistrationInfo";
        fn TSRuntimeDirGet() -> *const c_char = "_Z15TSRuntimeDirGetv";
        fn TSTrafficServerVersionGet() -> *const c_char = "_Z25TSTrafficServerVersionGetv";
        fn TSTrafficServerVersionGetMajor() -> c_int = "_Z30TSTrafficServerVersionGetMajorv";
        fn TSTrafficServerVersionGetMinor() -> c_int = "_Z30TSTrafficServerVersionGetMinorv";
        fn TSTrafficServerVersionGetPatch() -> c_int = "_Z30TSTrafficServerVersionGetPatchv";
    }
    optional {
        fn TSBase64Decode(
            text: *const c_char,
            len: usize,
            dest: *mut c_uchar,
            size: usize,
            out_len: *mut usize
        ) -> TSReturnCode =
            "_Z14TSBase64DecodePKcmPhmPm";
        fn TSBase64Encode(
            text: *const c_char,
            len: usize,
            dest: *mut c_char,
            size: usize,
            out_len: *mut usize
        ) -> TSReturnCode =
            "_Z14TSBase64EncodePKcmPcmPm";
        fn TSHostStatusGet(
            name: *const c_char,
            len: usize,
            out_status: *mut TSHostStatus,
            out_reason: *mut c_uint
        ) -> TSReturnCode =
            "_Z15TSHostStatusGetPKcmP12TSHostStatusPj";
        fn TSHostStatusSet(
            name: *const c_char,
            len: usize,
            status: TSHostStatus,
            down_time: c_uint,
            reason: c_uint
        ) =
            "_Z15TSHostStatusSetPKcm12TSHostStatusjj";
        fn TSHttpEventNameLookup(event: TSEvent) -> *const c_char = "_Z21TSHttpEventNameLookup7TSEvent";
        fn TSHttpHookNameLookup(hook: TSHttpHookID) -> *const c_char =
            "_Z20TSHttpHookNameLookup12TSHttpHookID";
        fn TSHttpServerStateNameLookup(state: TSServerState) -> *const c_char =
            "_Z27TSHttpServerStateNameLookup13TSServerState";
        fn TSIpStringToAddr(text: *const c_char, len: usize, out_addr: *mut sockaddr) -> TSReturnCode =
            "_Z16TSIpStringToAddrPKcmP8sockaddr";
        fn TSMgmtConfigFileAdd(parent: *const c_char, file: *const c_char) -> TSReturnCode =
            "_Z19TSMgmtConfigFileAddPKcS0_";
        fn TSMgmtCounterGet(name: *const c_char, out_value: *mut i64) -> TSReturnCode =
            "_Z16TSMgmtCounterGetPKcPl";
        fn TSMgmtDataTypeGet(name: *const c_char, out_type: *mut TSRecordDataType) -> TSReturnCode =
            "_Z17TSMgmtDataTypeGetPKcP16TSRecordDataType";
        fn TSMgmtSourceGet(name: *const c_char, out_source: *mut TSMgmtSource) -> TSReturnCode =
            "_Z15TSMgmtSourceGetPKcP12TSMgmtSource";
        fn TSNormalizedProtocolTag(text: *const c_char) -> *const c_char = "_Z23TSNormalizedProtocolTagPKc";
        fn TSStringPercentDecode(
            text: *const c_char,
            len: usize,
            dest: *mut c_char,
            size: usize,
            out_len: *mut usize
        ) -> TSReturnCode =
            "_Z21TSStringPercentDecodePKcmPcmPm";
        fn TSStringPercentEncode(
            text: *const c_char,
            len: c_int,
            dest: *mut c_char,
            size: usize,
            out_len: *mut usize,
            map: *const c_uchar
        ) -> TSReturnCode =
            "_Z21TSStringPercentEncodePKciPcmPmPKh";
        fn TShrtime() -> TSHRTime = "_Z8TShrtimev";
    }
}
