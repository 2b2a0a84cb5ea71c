//! Transactions: addresses, protocols, byte counts, times.

use std::ffi::{c_char, c_int};

use libc::sockaddr;

use crate::{TSHRTime, TSHttpPriority, TSHttpTxn, TSMilestonesType, TSReturnCode, TSServerState, TSVConn};

functions! {
    required {
        fn TSHttpTxnActiveTimeoutSet(txn: TSHttpTxn, milliseconds: c_int) =
            "_Z25TSHttpTxnActiveTimeoutSetP13tsapi_httptxni";
        fn TSHttpTxnClientAddrGet(txn: TSHttpTxn) -> *const sockaddr =
            "_Z22TSHttpTxnClientAddrGetP13tsapi_httptxn";
        fn TSHttpTxnClientFdGet(txn: TSHttpTxn, out_value: *mut c_int) -> TSReturnCode =
            "_Z20TSHttpTxnClientFdGetP13tsapi_httptxnPi";
        fn TSHttpTxnClientProtocolStackContains(txn: TSHttpTxn, tag: *const c_char) -> *const c_char =
            "_Z36TSHttpTxnClientProtocolStackContainsP13tsapi_httptxnPKc";
        fn TSHttpTxnClientProtocolStackGet(
            txn: TSHttpTxn,
            count: c_int,
            out_tags: *mut *const c_char,
            out_count: *mut c_int
        ) -> TSReturnCode =
            "_Z31TSHttpTxnClientProtocolStackGetP13tsapi_httptxniPPKcPi";
        fn TSHttpTxnClientReceivedErrorGet(txn: TSHttpTxn, out_class: *mut u32, out_code: *mut u64) =
            "_Z31TSHttpTxnClientReceivedErrorGetP13tsapi_httptxnPjPm";
        fn TSHttpTxnClientReqBodyBytesGet(txn: TSHttpTxn) -> i64 =
            "_Z30TSHttpTxnClientReqBodyBytesGetP13tsapi_httptxn";
        fn TSHttpTxnClientReqHdrBytesGet(txn: TSHttpTxn) -> c_int =
            "_Z29TSHttpTxnClientReqHdrBytesGetP13tsapi_httptxn";
        fn TSHttpTxnClientRespBodyBytesGet(txn: TSHttpTxn) -> i64 =
            "_Z31TSHttpTxnClientRespBodyBytesGetP13tsapi_httptxn";
        fn TSHttpTxnClientRespHdrBytesGet(txn: TSHttpTxn) -> c_int =
            "_Z30TSHttpTxnClientRespHdrBytesGetP13tsapi_httptxn";
        fn TSHttpTxnClientSentErrorGet(txn: TSHttpTxn, out_class: *mut u32, out_code: *mut u64) =
            "_Z27TSHttpTxnClientSentErrorGetP13tsapi_httptxnPjPm";
        fn TSHttpTxnClientStreamIdGet(txn: TSHttpTxn, out_value: *mut u64) -> TSReturnCode =
            "_Z26TSHttpTxnClientStreamIdGetP13tsapi_httptxnPm";
        fn TSHttpTxnConnectTimeoutSet(txn: TSHttpTxn, milliseconds: c_int) =
            "_Z26TSHttpTxnConnectTimeoutSetP13tsapi_httptxni";
        fn TSHttpTxnIncomingAddrGet(txn: TSHttpTxn) -> *const sockaddr =
            "_Z24TSHttpTxnIncomingAddrGetP13tsapi_httptxn";
        fn TSHttpTxnMilestoneGet(
            txn: TSHttpTxn,
            milestone: TSMilestonesType,
            out_time: *mut TSHRTime
        ) -> TSReturnCode =
            "_Z21TSHttpTxnMilestoneGetP13tsapi_httptxn16TSMilestonesTypePl";
        fn TSHttpTxnNextHopAddrGet(txn: TSHttpTxn) -> *const sockaddr =
            "_Z23TSHttpTxnNextHopAddrGetP13tsapi_httptxn";
        fn TSHttpTxnNextHopNameGet(txn: TSHttpTxn) -> *const c_char =
            "_Z23TSHttpTxnNextHopNameGetP13tsapi_httptxn";
        fn TSHttpTxnNextHopPortGet(txn: TSHttpTxn) -> c_int = "_Z23TSHttpTxnNextHopPortGetP13tsapi_httptxn";
        fn TSHttpTxnNoActivityTimeoutSet(txn: TSHttpTxn, milliseconds: c_int) =
            "_Z29TSHttpTxnNoActivityTimeoutSetP13tsapi_httptxni";
        fn TSHttpTxnOutgoingAddrGet(txn: TSHttpTxn) -> *const sockaddr =
            "_Z24TSHttpTxnOutgoingAddrGetP13tsapi_httptxn";
        fn TSHttpTxnOutgoingAddrSet(txn: TSHttpTxn, addr: *const sockaddr) -> TSReturnCode =
            "_Z24TSHttpTxnOutgoingAddrSetP13tsapi_httptxnPK8sockaddr";
        fn TSHttpTxnParentProxyGet(
            txn: TSHttpTxn,
            out_host: *mut *const c_char,
            out_port: *mut c_int
        ) -> TSReturnCode =
            "_Z23TSHttpTxnParentProxyGetP13tsapi_httptxnPPKcPi";
        fn TSHttpTxnParentProxySet(txn: TSHttpTxn, host: *const c_char, port: c_int) =
            "_Z23TSHttpTxnParentProxySetP13tsapi_httptxnPKci";
        fn TSHttpTxnPushedRespBodyBytesGet(txn: TSHttpTxn) -> i64 =
            "_Z31TSHttpTxnPushedRespBodyBytesGetP13tsapi_httptxn";
        fn TSHttpTxnPushedRespHdrBytesGet(txn: TSHttpTxn) -> c_int =
            "_Z30TSHttpTxnPushedRespHdrBytesGetP13tsapi_httptxn";
        fn TSHttpTxnServerAddrGet(txn: TSHttpTxn) -> *const sockaddr =
            "_Z22TSHttpTxnServerAddrGetP13tsapi_httptxn";
        fn TSHttpTxnServerAddrSet(txn: TSHttpTxn, addr: *const sockaddr) -> TSReturnCode =
            "_Z22TSHttpTxnServerAddrSetP13tsapi_httptxnPK8sockaddr";
        fn TSHttpTxnServerFdGet(txn: TSHttpTxn, out_value: *mut c_int) -> TSReturnCode =
            "_Z20TSHttpTxnServerFdGetP13tsapi_httptxnPi";
        fn TSHttpTxnServerProtocolStackContains(txn: TSHttpTxn, tag: *const c_char) -> *const c_char =
            "_Z36TSHttpTxnServerProtocolStackContainsP13tsapi_httptxnPKc";
        fn TSHttpTxnServerProtocolStackGet(
            txn: TSHttpTxn,
            count: c_int,
            out_tags: *mut *const c_char,
            out_count: *mut c_int
        ) -> TSReturnCode =
            "_Z31TSHttpTxnServerProtocolStackGetP13tsapi_httptxniPPKcPi";
        fn TSHttpTxnServerReceivedErrorGet(txn: TSHttpTxn, out_class: *mut u32, out_code: *mut u64) =
            "_Z31TSHttpTxnServerReceivedErrorGetP13tsapi_httptxnPjPm";
        fn TSHttpTxnServerReqBodyBytesGet(txn: TSHttpTxn) -> i64 =
            "_Z30TSHttpTxnServerReqBodyBytesGetP13tsapi_httptxn";
        fn TSHttpTxnServerReqHdrBytesGet(txn: TSHttpTxn) -> c_int =
            "_Z29TSHttpTxnServerReqHdrBytesGetP13tsapi_httptxn";
        fn TSHttpTxnServerRespBodyBytesGet(txn: TSHttpTxn) -> i64 =
            "_Z31TSHttpTxnServerRespBodyBytesGetP13tsapi_httptxn";
        fn TSHttpTxnServerRespHdrBytesGet(txn: TSHttpTxn) -> c_int =
            "_Z30TSHttpTxnServerRespHdrBytesGetP13tsapi_httptxn";
        fn TSHttpTxnServerSentErrorGet(txn: TSHttpTxn, out_class: *mut u32, out_code: *mut u64) =
            "_Z27TSHttpTxnServerSentErrorGetP13tsapi_httptxnPjPm";
        fn TSHttpTxnServerSsnTransactionCount(txn: TSHttpTxn) -> c_int =
            "_Z34TSHttpTxnServerSsnTransactionCountP13tsapi_httptxn";
        fn TSHttpTxnServerStateGet(txn: TSHttpTxn) -> TSServerState =
            "_Z23TSHttpTxnServerStateGetP13tsapi_httptxn";
        fn TSHttpTxnServerVConnGet(txn: TSHttpTxn) -> TSVConn = "_Z23TSHttpTxnServerVConnGetP13tsapi_httptxn";
    }
    optional {
        fn TSHttpTxnClientPacketDscpSet(txn: TSHttpTxn, value: c_int) -> TSReturnCode =
            "_Z28TSHttpTxnClientPacketDscpSetP13tsapi_httptxni";
        fn TSHttpTxnClientPacketMarkSet(txn: TSHttpTxn, value: c_int) -> TSReturnCode =
            "_Z28TSHttpTxnClientPacketMarkSetP13tsapi_httptxni";
        fn TSHttpTxnClientStreamPriorityGet(txn: TSHttpTxn, out_value: *mut TSHttpPriority) -> TSReturnCode =
            "_Z32TSHttpTxnClientStreamPriorityGetP13tsapi_httptxnP14TSHttpPriority";
        fn TSHttpTxnServerPacketDscpSet(txn: TSHttpTxn, value: c_int) -> TSReturnCode =
            "_Z28TSHttpTxnServerPacketDscpSetP13tsapi_httptxni";
        fn TSHttpTxnServerPacketMarkSet(txn: TSHttpTxn, value: c_int) -> TSReturnCode =
            "_Z28TSHttpTxnServerPacketMarkSetP13tsapi_httptxni";
    }
}
