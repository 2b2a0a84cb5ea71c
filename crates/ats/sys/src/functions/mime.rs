//! Header fields.

use std::ffi::{c_char, c_int, c_uint};

use libc::time_t;

use crate::{TSMBuffer, TSMLoc, TSMimeParser, TSParseResult, TSReturnCode};

functions! {
    required {
        fn TSMimeHdrClone(
            dest_buf: TSMBuffer,
            src_buf: TSMBuffer,
            src_hdr: TSMLoc,
            out_hdr: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z14TSMimeHdrCloneP13tsapi_mbufferS0_P10tsapi_mlocPS2_";
        fn TSMimeHdrCopy(
            dest_buf: TSMBuffer,
            dest_hdr: TSMLoc,
            src_buf: TSMBuffer,
            src_hdr: TSMLoc
        ) -> TSReturnCode =
            "_Z13TSMimeHdrCopyP13tsapi_mbufferP10tsapi_mlocS0_S2_";
        fn TSMimeHdrCreate(buf: TSMBuffer, out_loc: *mut TSMLoc) -> TSReturnCode =
            "_Z15TSMimeHdrCreateP13tsapi_mbufferPP10tsapi_mloc";
        fn TSMimeHdrDestroy(buf: TSMBuffer, hdr: TSMLoc) -> TSReturnCode =
            "_Z16TSMimeHdrDestroyP13tsapi_mbufferP10tsapi_mloc";
        fn TSMimeHdrFieldAppend(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> TSReturnCode =
            "_Z20TSMimeHdrFieldAppendP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldClone(
            dest_buf: TSMBuffer,
            dest_hdr: TSMLoc,
            src_buf: TSMBuffer,
            src_hdr: TSMLoc,
            src_field: TSMLoc,
            out_field: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z19TSMimeHdrFieldCloneP13tsapi_mbufferP10tsapi_mlocS0_S2_S2_PS2_";
        fn TSMimeHdrFieldCopy(
            dest_buf: TSMBuffer,
            dest_hdr: TSMLoc,
            dest_field: TSMLoc,
            src_buf: TSMBuffer,
            src_hdr: TSMLoc,
            src_field: TSMLoc
        ) -> TSReturnCode =
            "_Z18TSMimeHdrFieldCopyP13tsapi_mbufferP10tsapi_mlocS2_S0_S2_S2_";
        fn TSMimeHdrFieldCopyValues(
            dest_buf: TSMBuffer,
            dest_hdr: TSMLoc,
            dest_field: TSMLoc,
            src_buf: TSMBuffer,
            src_hdr: TSMLoc,
            src_field: TSMLoc
        ) -> TSReturnCode =
            "_Z24TSMimeHdrFieldCopyValuesP13tsapi_mbufferP10tsapi_mlocS2_S0_S2_S2_";
        fn TSMimeHdrFieldCreate(buf: TSMBuffer, hdr: TSMLoc, out_field: *mut TSMLoc) -> TSReturnCode =
            "_Z20TSMimeHdrFieldCreateP13tsapi_mbufferP10tsapi_mlocPS2_";
        fn TSMimeHdrFieldCreateNamed(
            buf: TSMBuffer,
            hdr: TSMLoc,
            name: *const c_char,
            name_len: c_int,
            out_field: *mut TSMLoc
        ) -> TSReturnCode =
            "_Z25TSMimeHdrFieldCreateNamedP13tsapi_mbufferP10tsapi_mlocPKciPS2_";
        fn TSMimeHdrFieldDestroy(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> TSReturnCode =
            "_Z21TSMimeHdrFieldDestroyP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldFind(buf: TSMBuffer, hdr: TSMLoc, name: *const c_char, name_len: c_int) -> TSMLoc =
            "_Z18TSMimeHdrFieldFindP13tsapi_mbufferP10tsapi_mlocPKci";
        fn TSMimeHdrFieldGet(buf: TSMBuffer, hdr: TSMLoc, index: c_int) -> TSMLoc =
            "_Z17TSMimeHdrFieldGetP13tsapi_mbufferP10tsapi_mloci";
        fn TSMimeHdrFieldLengthGet(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> c_int =
            "_Z23TSMimeHdrFieldLengthGetP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldNameGet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            out_len: *mut c_int
        ) -> *const c_char =
            "_Z21TSMimeHdrFieldNameGetP13tsapi_mbufferP10tsapi_mlocS2_Pi";
        fn TSMimeHdrFieldNameSet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            name: *const c_char,
            name_len: c_int
        ) -> TSReturnCode =
            "_Z21TSMimeHdrFieldNameSetP13tsapi_mbufferP10tsapi_mlocS2_PKci";
        fn TSMimeHdrFieldNext(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> TSMLoc =
            "_Z18TSMimeHdrFieldNextP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldNextDup(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> TSMLoc =
            "_Z21TSMimeHdrFieldNextDupP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldRemove(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> TSReturnCode =
            "_Z20TSMimeHdrFieldRemoveP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldValueAppend(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int,
            text: *const c_char,
            len: c_int
        ) -> TSReturnCode =
            "_Z25TSMimeHdrFieldValueAppendP13tsapi_mbufferP10tsapi_mlocS2_iPKci";
        fn TSMimeHdrFieldValueDateGet(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> time_t =
            "_Z26TSMimeHdrFieldValueDateGetP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldValueDateSet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            time: time_t
        ) -> TSReturnCode =
            "_Z26TSMimeHdrFieldValueDateSetP13tsapi_mbufferP10tsapi_mlocS2_l";
        fn TSMimeHdrFieldValueDelete(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int
        ) -> TSReturnCode =
            "_Z25TSMimeHdrFieldValueDeleteP13tsapi_mbufferP10tsapi_mlocS2_i";
        fn TSMimeHdrFieldValueInt64Get(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc, index: c_int) -> i64 =
            "_Z27TSMimeHdrFieldValueInt64GetP13tsapi_mbufferP10tsapi_mlocS2_i";
        fn TSMimeHdrFieldValueInt64Set(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int,
            count: i64
        ) -> TSReturnCode =
            "_Z27TSMimeHdrFieldValueInt64SetP13tsapi_mbufferP10tsapi_mlocS2_il";
        fn TSMimeHdrFieldValueIntGet(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc, index: c_int) -> c_int =
            "_Z25TSMimeHdrFieldValueIntGetP13tsapi_mbufferP10tsapi_mlocS2_i";
        fn TSMimeHdrFieldValueIntSet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int,
            value: c_int
        ) -> TSReturnCode =
            "_Z25TSMimeHdrFieldValueIntSetP13tsapi_mbufferP10tsapi_mlocS2_ii";
        fn TSMimeHdrFieldValueStringGet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int,
            out_len: *mut c_int
        ) -> *const c_char =
            "_Z28TSMimeHdrFieldValueStringGetP13tsapi_mbufferP10tsapi_mlocS2_iPi";
        fn TSMimeHdrFieldValueStringInsert(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int,
            text: *const c_char,
            len: c_int
        ) -> TSReturnCode =
            "_Z31TSMimeHdrFieldValueStringInsertP13tsapi_mbufferP10tsapi_mlocS2_iPKci";
        fn TSMimeHdrFieldValueStringSet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int,
            text: *const c_char,
            len: c_int
        ) -> TSReturnCode =
            "_Z28TSMimeHdrFieldValueStringSetP13tsapi_mbufferP10tsapi_mlocS2_iPKci";
        fn TSMimeHdrFieldValueUintGet(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc, index: c_int) -> c_uint =
            "_Z26TSMimeHdrFieldValueUintGetP13tsapi_mbufferP10tsapi_mlocS2_i";
        fn TSMimeHdrFieldValueUintSet(
            buf: TSMBuffer,
            hdr: TSMLoc,
            field: TSMLoc,
            index: c_int,
            value: c_uint
        ) -> TSReturnCode =
            "_Z26TSMimeHdrFieldValueUintSetP13tsapi_mbufferP10tsapi_mlocS2_ij";
        fn TSMimeHdrFieldValuesClear(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> TSReturnCode =
            "_Z25TSMimeHdrFieldValuesClearP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldValuesCount(buf: TSMBuffer, hdr: TSMLoc, field: TSMLoc) -> c_int =
            "_Z25TSMimeHdrFieldValuesCountP13tsapi_mbufferP10tsapi_mlocS2_";
        fn TSMimeHdrFieldsClear(buf: TSMBuffer, hdr: TSMLoc) -> TSReturnCode =
            "_Z20TSMimeHdrFieldsClearP13tsapi_mbufferP10tsapi_mloc";
        fn TSMimeHdrFieldsCount(buf: TSMBuffer, hdr: TSMLoc) -> c_int =
            "_Z20TSMimeHdrFieldsCountP13tsapi_mbufferP10tsapi_mloc";
        fn TSMimeHdrLengthGet(buf: TSMBuffer, hdr: TSMLoc) -> c_int =
            "_Z18TSMimeHdrLengthGetP13tsapi_mbufferP10tsapi_mloc";
        fn TSMimeHdrParse(
            parser: TSMimeParser,
            buf: TSMBuffer,
            hdr: TSMLoc,
            start: *mut *const c_char,
            end: *const c_char
        ) -> TSParseResult =
            "_Z14TSMimeHdrParseP16tsapi_mimeparserP13tsapi_mbufferP10tsapi_mlocPPKcS6_";
        fn TSMimeParserClear(parser: TSMimeParser) = "_Z17TSMimeParserClearP16tsapi_mimeparser";
        fn TSMimeParserCreate() -> TSMimeParser = "_Z18TSMimeParserCreatev";
        fn TSMimeParserDestroy(parser: TSMimeParser) = "_Z19TSMimeParserDestroyP16tsapi_mimeparser";
    }
    optional {
        fn TSMimeFormatDate(time: time_t, text: *mut c_char, inout_len: *mut c_int) -> TSReturnCode =
            "_Z16TSMimeFormatDatelPcPi";
        fn TSMimeParseDate(text: *const c_char, len: c_int) -> time_t = "_Z15TSMimeParseDatePKci";
    }
}
