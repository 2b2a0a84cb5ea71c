//! URLs in marshal buffers.

use std::ffi::{c_char, c_int};

use crate::{TSIOBuffer, TSMBuffer, TSMLoc, TSParseResult, TSReturnCode};

functions! {
    required {
        fn TSUrlClone(
            dest_buf: TSMBuffer,
            src_buf: TSMBuffer,
            src_url: TSMLoc,
            out_url: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z10TSUrlCloneP13tsapi_mbufferS0_P10tsapi_mlocPS2_";
        fn TSUrlCopy(
            dest_buf: TSMBuffer,
            dest_url: TSMLoc,
            src_buf: TSMBuffer,
            src_url: TSMLoc
        ) -> TSReturnCode =
            "_Z9TSUrlCopyP13tsapi_mbufferP10tsapi_mlocS0_S2_";
        fn TSUrlCreate(buf: TSMBuffer, out_loc: *mut TSMLoc) -> TSReturnCode =
            "_Z11TSUrlCreateP13tsapi_mbufferPP10tsapi_mloc";
        fn TSUrlHostGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z12TSUrlHostGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSUrlHostSet(buf: TSMBuffer, url: TSMLoc, text: *const c_char, len: c_int) -> TSReturnCode =
            "_Z12TSUrlHostSetP13tsapi_mbufferP10tsapi_mlocPKci";
        fn TSUrlHttpFragmentGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z20TSUrlHttpFragmentGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSUrlHttpFragmentSet(
            buf: TSMBuffer,
            url: TSMLoc,
            text: *const c_char,
            len: c_int
        ) -> TSReturnCode =
            "_Z20TSUrlHttpFragmentSetP13tsapi_mbufferP10tsapi_mlocPKci";
        fn TSUrlHttpQueryGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z17TSUrlHttpQueryGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSUrlHttpQuerySet(buf: TSMBuffer, url: TSMLoc, text: *const c_char, len: c_int) -> TSReturnCode =
            "_Z17TSUrlHttpQuerySetP13tsapi_mbufferP10tsapi_mlocPKci";
        fn TSUrlLengthGet(buf: TSMBuffer, url: TSMLoc) -> c_int =
            "_Z14TSUrlLengthGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSUrlParse(
            buf: TSMBuffer,
            url: TSMLoc,
            start: *mut *const c_char,
            end: *const c_char
        ) -> TSParseResult =
            "_Z10TSUrlParseP13tsapi_mbufferP10tsapi_mlocPPKcS4_";
        fn TSUrlPathGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z12TSUrlPathGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSUrlPathSet(buf: TSMBuffer, url: TSMLoc, text: *const c_char, len: c_int) -> TSReturnCode =
            "_Z12TSUrlPathSetP13tsapi_mbufferP10tsapi_mlocPKci";
        fn TSUrlPortGet(buf: TSMBuffer, url: TSMLoc) -> c_int =
            "_Z12TSUrlPortGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSUrlPortSet(buf: TSMBuffer, url: TSMLoc, port: c_int) -> TSReturnCode =
            "_Z12TSUrlPortSetP13tsapi_mbufferP10tsapi_mloci";
        fn TSUrlPrint(buf: TSMBuffer, url: TSMLoc, out: TSIOBuffer) =
            "_Z10TSUrlPrintP13tsapi_mbufferP10tsapi_mlocP14tsapi_iobuffer";
        fn TSUrlRawPortGet(buf: TSMBuffer, url: TSMLoc) -> c_int =
            "_Z15TSUrlRawPortGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSUrlRawSchemeGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z17TSUrlRawSchemeGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSUrlSchemeGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z14TSUrlSchemeGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSUrlSchemeSet(buf: TSMBuffer, url: TSMLoc, text: *const c_char, len: c_int) -> TSReturnCode =
            "_Z14TSUrlSchemeSetP13tsapi_mbufferP10tsapi_mlocPKci";
        /// The text is the caller's, to be freed by `TSfree`.
        fn TSUrlStringGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *mut c_char =
            "_Z14TSUrlStringGetP13tsapi_mbufferP10tsapi_mlocPi";
    }
    optional {
        /// Only on 9.2: on 10.x what follows a semicolon is part of the path.
        fn TSUrlHttpParamsGet(buf: TSMBuffer, url: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z18TSUrlHttpParamsGetP13tsapi_mbufferP10tsapi_mlocPi";
        /// Only on 9.2.
        fn TSUrlHttpParamsSet(buf: TSMBuffer, url: TSMLoc, text: *const c_char, len: c_int) -> TSReturnCode =
            "_Z18TSUrlHttpParamsSetP13tsapi_mbufferP10tsapi_mlocPKci";
    }
}
