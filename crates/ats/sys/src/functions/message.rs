//! Message headers in marshal buffers.

use std::ffi::{c_char, c_int};

use crate::{
    TSHttpParser, TSHttpStatus, TSHttpType, TSIOBuffer, TSMBuffer, TSMLoc, TSParseResult, TSReturnCode,
};

functions! {
    required {
        fn TSHandleMLocRelease(buf: TSMBuffer, parent: TSMLoc, loc: TSMLoc) -> TSReturnCode =
            "_Z19TSHandleMLocReleaseP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSHttpHdrClone(
            dest_buf: TSMBuffer,
            src_buf: TSMBuffer,
            src_hdr: TSMLoc,
            out_hdr: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z14TSHttpHdrCloneP13tsapi_mbufferS0_P10tsapi_mlocPS2_";
        fn TSHttpHdrCopy(
            dest_buf: TSMBuffer,
            dest_hdr: TSMLoc,
            src_buf: TSMBuffer,
            src_hdr: TSMLoc
        ) -> TSReturnCode =
            "_Z13TSHttpHdrCopyP13tsapi_mbufferP10tsapi_mlocS0_S2_";
        fn TSHttpHdrCreate(buf: TSMBuffer) -> TSMLoc = "_Z15TSHttpHdrCreateP13tsapi_mbuffer";
        fn TSHttpHdrDestroy(buf: TSMBuffer, hdr: TSMLoc) =
            "_Z16TSHttpHdrDestroyP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpHdrHostGet(buf: TSMBuffer, hdr: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z16TSHttpHdrHostGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSHttpHdrLengthGet(buf: TSMBuffer, hdr: TSMLoc) -> c_int =
            "_Z18TSHttpHdrLengthGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpHdrMethodGet(buf: TSMBuffer, hdr: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z18TSHttpHdrMethodGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSHttpHdrMethodSet(buf: TSMBuffer, hdr: TSMLoc, text: *const c_char, len: c_int) -> TSReturnCode =
            "_Z18TSHttpHdrMethodSetP13tsapi_mbufferP10tsapi_mlocPKci";
        fn TSHttpHdrParseReq(
            parser: TSHttpParser,
            buf: TSMBuffer,
            hdr: TSMLoc,
            start: *mut *const c_char,
            end: *const c_char
        ) -> TSParseResult =
            "_Z17TSHttpHdrParseReqP16tsapi_httpparserP13tsapi_mbufferP10tsapi_mlocPPKcS6_";
        fn TSHttpHdrParseResp(
            parser: TSHttpParser,
            buf: TSMBuffer,
            hdr: TSMLoc,
            start: *mut *const c_char,
            end: *const c_char
        ) -> TSParseResult =
            "_Z18TSHttpHdrParseRespP16tsapi_httpparserP13tsapi_mbufferP10tsapi_mlocPPKcS6_";
        fn TSHttpHdrPrint(buf: TSMBuffer, hdr: TSMLoc, out: TSIOBuffer) =
            "_Z14TSHttpHdrPrintP13tsapi_mbufferP10tsapi_mlocP14tsapi_iobuffer";
        fn TSHttpHdrReasonGet(buf: TSMBuffer, hdr: TSMLoc, out_len: *mut c_int) -> *const c_char =
            "_Z18TSHttpHdrReasonGetP13tsapi_mbufferP10tsapi_mlocPi";
        fn TSHttpHdrReasonLookup(status: TSHttpStatus) -> *const c_char =
            "_Z21TSHttpHdrReasonLookup12TSHttpStatus";
        fn TSHttpHdrReasonSet(buf: TSMBuffer, hdr: TSMLoc, text: *const c_char, len: c_int) -> TSReturnCode =
            "_Z18TSHttpHdrReasonSetP13tsapi_mbufferP10tsapi_mlocPKci";
        fn TSHttpHdrStatusGet(buf: TSMBuffer, hdr: TSMLoc) -> TSHttpStatus =
            "_Z18TSHttpHdrStatusGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpHdrStatusSet(buf: TSMBuffer, hdr: TSMLoc, status: TSHttpStatus) -> TSReturnCode =
            "_Z18TSHttpHdrStatusSetP13tsapi_mbufferP10tsapi_mloc12TSHttpStatus";
        fn TSHttpHdrTypeGet(buf: TSMBuffer, hdr: TSMLoc) -> TSHttpType =
            "_Z16TSHttpHdrTypeGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpHdrTypeSet(buf: TSMBuffer, hdr: TSMLoc, http_type: TSHttpType) -> TSReturnCode =
            "_Z16TSHttpHdrTypeSetP13tsapi_mbufferP10tsapi_mloc10TSHttpType";
        fn TSHttpHdrUrlGet(buf: TSMBuffer, hdr: TSMLoc, out_url: *mut TSMLoc) -> TSReturnCode =
            "_Z15TSHttpHdrUrlGetP13tsapi_mbufferP10tsapi_mlocPS2_";
        fn TSHttpHdrUrlSet(buf: TSMBuffer, hdr: TSMLoc, url: TSMLoc) -> TSReturnCode =
            "_Z15TSHttpHdrUrlSetP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSHttpHdrVersionGet(buf: TSMBuffer, hdr: TSMLoc) -> c_int =
            "_Z19TSHttpHdrVersionGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSHttpHdrVersionSet(buf: TSMBuffer, hdr: TSMLoc, version: c_int) -> TSReturnCode =
            "_Z19TSHttpHdrVersionSetP13tsapi_mbufferP10tsapi_mloci";
        fn TSHttpParserClear(parser: TSHttpParser) = "_Z17TSHttpParserClearP16tsapi_httpparser";
        fn TSHttpParserCreate() -> TSHttpParser = "_Z18TSHttpParserCreatev";
        fn TSHttpParserDestroy(parser: TSHttpParser) = "_Z19TSHttpParserDestroyP16tsapi_httpparser";
        fn TSMBufferCreate() -> TSMBuffer = "_Z15TSMBufferCreatev";
        fn TSMBufferDestroy(buf: TSMBuffer) -> TSReturnCode = "_Z16TSMBufferDestroyP13tsapi_mbuffer";
    }
    optional {
        fn TSHttpHdrEffectiveUrlBufGet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            text: *mut c_char,
            size: i64,
            out_len: *mut i64
        ) -> TSReturnCode =
            "_Z27TSHttpHdrEffectiveUrlBufGetP13tsapi_mbufferP10tsapi_mlocPclPl";
    }
}
