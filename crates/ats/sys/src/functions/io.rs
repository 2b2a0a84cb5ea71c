//! Virtual connections and buffers.

use std::ffi::{c_char, c_int, c_void};

use crate::{
    TSCont, TSEventFunc, TSHRTime, TSHttpTxn, TSIOBuffer, TSIOBufferBlock, TSIOBufferReader,
    TSIOBufferSizeIndex, TSMutex, TSVConn, TSVIO,
};

functions! {
    required {
        fn TSIOBufferBlockNext(block: TSIOBufferBlock) -> TSIOBufferBlock =
            "_Z19TSIOBufferBlockNextP17tsapi_bufferblock";
        fn TSIOBufferBlockReadAvail(block: TSIOBufferBlock, reader: TSIOBufferReader) -> i64 =
            "_Z24TSIOBufferBlockReadAvailP17tsapi_bufferblockP18tsapi_bufferreader";
        fn TSIOBufferBlockReadStart(
            block: TSIOBufferBlock,
            reader: TSIOBufferReader,
            out_len: *mut i64
        ) -> *const c_char =
            "_Z24TSIOBufferBlockReadStartP17tsapi_bufferblockP18tsapi_bufferreaderPl";
        fn TSIOBufferBlockWriteAvail(block: TSIOBufferBlock) -> i64 =
            "_Z25TSIOBufferBlockWriteAvailP17tsapi_bufferblock";
        fn TSIOBufferBlockWriteStart(block: TSIOBufferBlock, out_len: *mut i64) -> *mut c_char =
            "_Z25TSIOBufferBlockWriteStartP17tsapi_bufferblockPl";
        fn TSIOBufferCopy(buffer: TSIOBuffer, reader: TSIOBufferReader, len: i64, offset: i64) -> i64 =
            "_Z14TSIOBufferCopyP14tsapi_iobufferP18tsapi_bufferreaderll";
        fn TSIOBufferCreate() -> TSIOBuffer = "_Z16TSIOBufferCreatev";
        fn TSIOBufferDestroy(buffer: TSIOBuffer) = "_Z17TSIOBufferDestroyP14tsapi_iobuffer";
        fn TSIOBufferProduce(buffer: TSIOBuffer, count: i64) = "_Z17TSIOBufferProduceP14tsapi_iobufferl";
        fn TSIOBufferReaderAlloc(buffer: TSIOBuffer) -> TSIOBufferReader =
            "_Z21TSIOBufferReaderAllocP14tsapi_iobuffer";
        fn TSIOBufferReaderAvail(reader: TSIOBufferReader) -> i64 =
            "_Z21TSIOBufferReaderAvailP18tsapi_bufferreader";
        fn TSIOBufferReaderClone(reader: TSIOBufferReader) -> TSIOBufferReader =
            "_Z21TSIOBufferReaderCloneP18tsapi_bufferreader";
        fn TSIOBufferReaderConsume(reader: TSIOBufferReader, count: i64) =
            "_Z23TSIOBufferReaderConsumeP18tsapi_bufferreaderl";
        fn TSIOBufferReaderCopy(reader: TSIOBufferReader, data: *mut c_void, len: i64) -> i64 =
            "_Z20TSIOBufferReaderCopyP18tsapi_bufferreaderPvl";
        fn TSIOBufferReaderFree(reader: TSIOBufferReader) = "_Z20TSIOBufferReaderFreeP18tsapi_bufferreader";
        fn TSIOBufferReaderStart(reader: TSIOBufferReader) -> TSIOBufferBlock =
            "_Z21TSIOBufferReaderStartP18tsapi_bufferreader";
        fn TSIOBufferSizedCreate(size: TSIOBufferSizeIndex) -> TSIOBuffer =
            "_Z21TSIOBufferSizedCreate19TSIOBufferSizeIndex";
        fn TSIOBufferStart(buffer: TSIOBuffer) -> TSIOBufferBlock = "_Z15TSIOBufferStartP14tsapi_iobuffer";
        fn TSIOBufferWaterMarkGet(buffer: TSIOBuffer) -> i64 = "_Z22TSIOBufferWaterMarkGetP14tsapi_iobuffer";
        fn TSIOBufferWaterMarkSet(buffer: TSIOBuffer, mark: i64) =
            "_Z22TSIOBufferWaterMarkSetP14tsapi_iobufferl";
        fn TSIOBufferWrite(buffer: TSIOBuffer, data: *const c_void, len: i64) -> i64 =
            "_Z15TSIOBufferWriteP14tsapi_iobufferPKvl";
        fn TSTransformCreate(handler: TSEventFunc, txn: TSHttpTxn) -> TSVConn =
            "_Z17TSTransformCreatePFiP10tsapi_cont7TSEventPvEP13tsapi_httptxn";
        fn TSTransformOutputVConnGet(vc: TSVConn) -> TSVConn = "_Z25TSTransformOutputVConnGetP10tsapi_cont";
        fn TSVConnAbort(vc: TSVConn, error: c_int) = "_Z12TSVConnAbortP10tsapi_conti";
        fn TSVConnActiveTimeoutCancel(vc: TSVConn) = "_Z26TSVConnActiveTimeoutCancelP10tsapi_cont";
        fn TSVConnActiveTimeoutSet(vc: TSVConn, timeout: TSHRTime) =
            "_Z23TSVConnActiveTimeoutSetP10tsapi_contl";
        fn TSVConnClose(vc: TSVConn) = "_Z12TSVConnCloseP10tsapi_cont";
        fn TSVConnClosedGet(vc: TSVConn) -> c_int = "_Z16TSVConnClosedGetP10tsapi_cont";
        fn TSVConnCreate(handler: TSEventFunc, mutex: TSMutex) -> TSVConn =
            "_Z13TSVConnCreatePFiP10tsapi_cont7TSEventPvEP11tsapi_mutex";
        fn TSVConnInactivityTimeoutCancel(vc: TSVConn) = "_Z30TSVConnInactivityTimeoutCancelP10tsapi_cont";
        fn TSVConnInactivityTimeoutSet(vc: TSVConn, timeout: TSHRTime) =
            "_Z27TSVConnInactivityTimeoutSetP10tsapi_contl";
        fn TSVConnRead(vc: TSVConn, cont: TSCont, buffer: TSIOBuffer, nbytes: i64) -> TSVIO =
            "_Z11TSVConnReadP10tsapi_contS0_P14tsapi_iobufferl";
        fn TSVConnReadVIOGet(vc: TSVConn) -> TSVIO = "_Z17TSVConnReadVIOGetP10tsapi_cont";
        fn TSVConnShutdown(vc: TSVConn, read: c_int, write: c_int) = "_Z15TSVConnShutdownP10tsapi_contii";
        fn TSVConnWrite(vc: TSVConn, cont: TSCont, reader: TSIOBufferReader, nbytes: i64) -> TSVIO =
            "_Z12TSVConnWriteP10tsapi_contS0_P18tsapi_bufferreaderl";
        fn TSVConnWriteVIOGet(vc: TSVConn) -> TSVIO = "_Z18TSVConnWriteVIOGetP10tsapi_cont";
        fn TSVIOBufferGet(vio: TSVIO) -> TSIOBuffer = "_Z14TSVIOBufferGetP9tsapi_vio";
        fn TSVIOContGet(vio: TSVIO) -> TSCont = "_Z12TSVIOContGetP9tsapi_vio";
        fn TSVIOMutexGet(vio: TSVIO) -> TSMutex = "_Z13TSVIOMutexGetP9tsapi_vio";
        fn TSVIONBytesGet(vio: TSVIO) -> i64 = "_Z14TSVIONBytesGetP9tsapi_vio";
        fn TSVIONBytesSet(vio: TSVIO, nbytes: i64) = "_Z14TSVIONBytesSetP9tsapi_viol";
        fn TSVIONDoneGet(vio: TSVIO) -> i64 = "_Z13TSVIONDoneGetP9tsapi_vio";
        fn TSVIONDoneSet(vio: TSVIO, ndone: i64) = "_Z13TSVIONDoneSetP9tsapi_viol";
        fn TSVIONTodoGet(vio: TSVIO) -> i64 = "_Z13TSVIONTodoGetP9tsapi_vio";
        fn TSVIOReaderGet(vio: TSVIO) -> TSIOBufferReader = "_Z14TSVIOReaderGetP9tsapi_vio";
        fn TSVIOReenable(vio: TSVIO) = "_Z13TSVIOReenableP9tsapi_vio";
        fn TSVIOVConnGet(vio: TSVIO) -> TSVConn = "_Z13TSVIOVConnGetP9tsapi_vio";
    }
    optional {}
}
