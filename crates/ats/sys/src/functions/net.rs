//! Connections of the plugin's own.

use std::ffi::{c_char, c_int};

use libc::sockaddr;

use crate::{TSAction, TSCont, TSHostLookupResult, TSPortDescriptor, TSReturnCode, TSVConn};

functions! {
    required {
        fn TSHostLookup(cont: TSCont, text: *const c_char, len: usize) -> TSAction =
            "_Z12TSHostLookupP10tsapi_contPKcm";
        fn TSHostLookupResultAddrGet(result: TSHostLookupResult) -> *const sockaddr =
            "_Z25TSHostLookupResultAddrGetP22tsapi_hostlookupresult";
        fn TSNetAccept(cont: TSCont, port: c_int, domain: c_int, accept_threads: c_int) -> TSAction =
            "_Z11TSNetAcceptP10tsapi_contiii";
        fn TSNetConnect(cont: TSCont, addr: *const sockaddr) -> TSAction =
            "_Z12TSNetConnectP10tsapi_contPK8sockaddr";
        fn TSPortDescriptorAccept(port: TSPortDescriptor, cont: TSCont) -> TSReturnCode =
            "_Z22TSPortDescriptorAcceptP10tsapi_portP10tsapi_cont";
        fn TSPortDescriptorParse(text: *const c_char) -> TSPortDescriptor = "_Z21TSPortDescriptorParsePKc";
    }
    optional {
        fn TSHttpConnect(addr: *const sockaddr) -> TSVConn = "_Z13TSHttpConnectPK8sockaddr";
        fn TSHttpConnectWithPluginId(addr: *const sockaddr, tag: *const c_char, id: i64) -> TSVConn =
            "_Z25TSHttpConnectWithPluginIdPK8sockaddrPKcl";
    }
}
