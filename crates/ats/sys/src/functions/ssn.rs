//! Sessions and what is known of a connection.

use std::ffi::{c_char, c_int};

use libc::sockaddr;

use crate::{
    TSCont, TSHttpSsn, TSHttpSsnInfoKey, TSHttpTxn, TSIOBufferSizeIndex, TSIOBufferWaterMark, TSReturnCode,
    TSSslConnection, TSSslVerifyCTX, TSVConn,
};

functions! {
    required {
        fn TSHttpSsnClientAddrGet(ssn: TSHttpSsn) -> *const sockaddr =
            "_Z22TSHttpSsnClientAddrGetP13tsapi_httpssn";
        fn TSHttpSsnClientFdGet(ssn: TSHttpSsn, out_value: *mut c_int) -> TSReturnCode =
            "_Z20TSHttpSsnClientFdGetP13tsapi_httpssnPi";
        fn TSHttpSsnClientProtocolStackContains(ssn: TSHttpSsn, tag: *const c_char) -> *const c_char =
            "_Z36TSHttpSsnClientProtocolStackContainsP13tsapi_httpssnPKc";
        fn TSHttpSsnClientProtocolStackGet(
            ssn: TSHttpSsn,
            count: c_int,
            out_tags: *mut *const c_char,
            out_count: *mut c_int
        ) -> TSReturnCode =
            "_Z31TSHttpSsnClientProtocolStackGetP13tsapi_httpssniPPKcPi";
        fn TSHttpSsnClientVConnGet(ssn: TSHttpSsn) -> TSVConn = "_Z23TSHttpSsnClientVConnGetP13tsapi_httpssn";
        fn TSHttpSsnDebugSet(ssn: TSHttpSsn, on: c_int) = "_Z17TSHttpSsnDebugSetP13tsapi_httpssni";
        fn TSHttpSsnIdGet(ssn: TSHttpSsn) -> i64 = "_Z14TSHttpSsnIdGetP13tsapi_httpssn";
        fn TSHttpSsnIncomingAddrGet(ssn: TSHttpSsn) -> *const sockaddr =
            "_Z24TSHttpSsnIncomingAddrGetP13tsapi_httpssn";
        fn TSHttpSsnIsInternal(ssn: TSHttpSsn) -> c_int = "_Z19TSHttpSsnIsInternalP13tsapi_httpssn";
        fn TSHttpSsnServerVConnGet(ssn: TSHttpSsn) -> TSVConn = "_Z23TSHttpSsnServerVConnGetP13tsapi_httpssn";
        fn TSHttpSsnTransactionCount(ssn: TSHttpSsn) -> c_int =
            "_Z25TSHttpSsnTransactionCountP13tsapi_httpssn";
        fn TSNetVConnLocalAddrGet(vc: TSVConn) -> *const sockaddr = "_Z22TSNetVConnLocalAddrGetP10tsapi_cont";
        fn TSNetVConnRemoteAddrGet(vc: TSVConn) -> *const sockaddr =
            "_Z23TSNetVConnRemoteAddrGetP10tsapi_cont";
        fn TSVConnFdGet(vc: TSVConn) -> c_int = "_Z12TSVConnFdGetP10tsapi_cont";
        fn TSVConnIsSsl(vc: TSVConn) -> c_int = "_Z12TSVConnIsSslP10tsapi_cont";
        fn TSVConnSslCipherGet(vc: TSVConn) -> *const c_char = "_Z19TSVConnSslCipherGetP10tsapi_cont";
        fn TSVConnSslConnectionGet(vc: TSVConn) -> TSSslConnection =
            "_Z23TSVConnSslConnectionGetP10tsapi_cont";
        fn TSVConnSslCurveGet(vc: TSVConn) -> *const c_char = "_Z18TSVConnSslCurveGetP10tsapi_cont";
        fn TSVConnSslProtocolGet(vc: TSVConn) -> *const c_char = "_Z21TSVConnSslProtocolGetP10tsapi_cont";
        fn TSVConnSslSniGet(vc: TSVConn, out_len: *mut c_int) -> *const c_char =
            "_Z16TSVConnSslSniGetP10tsapi_contPi";
        fn TSVConnSslVerifyCTXGet(vc: TSVConn) -> TSSslVerifyCTX = "_Z22TSVConnSslVerifyCTXGetP10tsapi_cont";
    }
    optional {
        fn TSHttpSsnInfoIntGet(
            ssn: TSHttpSsn,
            key: TSHttpSsnInfoKey,
            out_value: *mut i64,
            sub_key: u64
        ) -> TSReturnCode =
            "_Z19TSHttpSsnInfoIntGetP13tsapi_httpssn16TSHttpSsnInfoKeyPlm";
        fn TSNetInvokingContGet(vc: TSVConn) -> TSCont = "_Z20TSNetInvokingContGetP10tsapi_cont";
        fn TSNetInvokingTxnGet(vc: TSVConn) -> TSHttpTxn = "_Z19TSNetInvokingTxnGetP10tsapi_cont";
        fn TSNetVConnClientAddrGet(vc: TSVConn) -> *const sockaddr =
            "_Z23TSNetVConnClientAddrGetP10tsapi_cont";
        fn TSPluginVCIOBufferIndexGet(txn: TSHttpTxn) -> TSIOBufferSizeIndex =
            "_Z26TSPluginVCIOBufferIndexGetP13tsapi_httptxn";
        fn TSPluginVCIOBufferWaterMarkGet(txn: TSHttpTxn) -> TSIOBufferWaterMark =
            "_Z30TSPluginVCIOBufferWaterMarkGetP13tsapi_httptxn";
        fn TSVConnIsSslReused(vc: TSVConn) -> c_int = "_Z18TSVConnIsSslReusedP10tsapi_cont";
        fn TSVConnPPInfoGet(
            vc: TSVConn,
            key: u16,
            out_text: *mut *const c_char,
            out_len: *mut c_int
        ) -> TSReturnCode =
            "_Z16TSVConnPPInfoGetP10tsapi_conttPPKcPi";
        fn TSVConnPPInfoIntGet(vc: TSVConn, key: u16, out_value: *mut i64) -> TSReturnCode =
            "_Z19TSVConnPPInfoIntGetP10tsapi_conttPl";
        fn TSVConnProtocolDisable(vc: TSVConn, text: *const c_char) -> TSReturnCode =
            "_Z22TSVConnProtocolDisableP10tsapi_contPKc";
        fn TSVConnProtocolEnable(vc: TSVConn, text: *const c_char) -> TSReturnCode =
            "_Z21TSVConnProtocolEnableP10tsapi_contPKc";
        fn TSVConnProvidedSslCert(vc: TSVConn) -> c_int = "_Z22TSVConnProvidedSslCertP10tsapi_cont";
        fn TSVConnTunnel(vc: TSVConn) -> TSReturnCode = "_Z13TSVConnTunnelP10tsapi_cont";
    }
}
