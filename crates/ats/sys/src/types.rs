//! Handles, function types and structures of the C interface.

use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::mem::{offset_of, size_of};

use crate::TSEvent;

handles! {
    /// A transaction: one request and its response.
    TSHttpTxn;
    /// A client's session: a connection, or what multiplexes several transactions on it.
    TSHttpSsn;
    /// A continuation: a handler with data and a mutex.
    TSCont;
    /// A lock of the server.
    TSMutex;
    /// A marshal buffer, which holds headers and URLs.
    TSMBuffer;
    /// A place in a marshal buffer: a header, a field, a URL.
    TSMLoc;
    /// A virtual connection; each is a continuation as well.
    TSVConn;
    /// One direction of input or output on a virtual connection.
    TSVIO;
    /// A chain of blocks of bytes.
    TSIOBuffer;
    /// A position in a chain of blocks.
    TSIOBufferReader;
    /// One block of a chain.
    TSIOBufferBlock;
    /// Something the server was asked to do later.
    TSAction;
    /// A thread that a plugin started or made known.
    TSThread;
    /// A thread of the server that runs continuations.
    TSEventThread;
    /// The name of an object in the cache.
    TSCacheKey;
    /// OpenSSL's `SSL`.
    TSSslConnection;
    /// OpenSSL's `SSL_CTX`.
    TSSslContext;
    /// OpenSSL's `X509_STORE_CTX`.
    TSSslVerifyCTX;
    /// A port that the plugin serves itself.
    TSPortDescriptor;
    /// A parser of requests and responses.
    TSHttpParser;
    /// A parser of header fields.
    TSMimeParser;
    /// The result of resolving a name.
    TSHostLookupResult;
}

/// A marshal location without a parent.
pub const TS_NULL_MLOC: TSMLoc = TSMLoc::NULL;

macro_rules! shared_between_threads {
    ($($name:ident),*) => {
        $(
            // SAFETY: it is an address, and what is behind it is made to be used from several threads.
            unsafe impl Send for $name {}
            // SAFETY: a shared reference gives the address alone; what is behind it is made to be used from several threads.
            unsafe impl Sync for $name {}
        )*
    };
}

shared_between_threads!(TSCont, TSMutex, TSThread, TSEventThread);

impl From<TSVConn> for TSCont {
    fn from(vc: TSVConn) -> Self {
        Self(vc.0)
    }
}

impl From<TSCont> for TSVConn {
    fn from(cont: TSCont) -> Self {
        Self(cont.0)
    }
}

/// A time or a span in nanoseconds; spans handed to the scheduling functions are in milliseconds.
pub type TSHRTime = i64;

/// A status code of HTTP; the C enumeration names them.
pub type TSHttpStatus = c_int;

/// The function of a continuation. It answers 0 unless an event's documentation says otherwise, and must not unwind.
pub type TSEventFunc = unsafe extern "C" fn(TSCont, TSEvent, *mut c_void) -> c_int;

/// The function of a thread of `TSThreadCreate`.
pub type TSThreadFunc = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// A plugin's name and origin, for `TSPluginRegister`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TSPluginRegistrationInfo {
    /// The plugin's name.
    pub plugin_name: *const c_char,
    /// Its vendor.
    pub vendor_name: *const c_char,
    /// The e-mail address for questions.
    pub support_email: *const c_char,
}

/// The data of `TS_EVENT_LIFECYCLE_MSG`, sent by `traffic_ctl plugin msg`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TSPluginMsg {
    /// The recipient; ends with NUL.
    pub tag: *const c_char,
    /// The bytes, not terminated.
    pub data: *const c_void,
    /// The number of bytes.
    pub data_size: usize,
}

/// The argument of `TSRemapInit`. 9.2 stops after the second member, and `size` tells.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TSRemapInterface {
    /// The size of the structure as the server has it, 16 or 24.
    pub size: c_ulong,
    /// The version of the remap interface, major number in the upper 16 bits.
    pub tsremap_version: c_ulong,
}

/// The argument of `TSRemapInit` on 10.x.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TSRemapInterface10 {
    /// The part that 9.2 has as well.
    pub common: TSRemapInterface,
    /// The server's own record of the plugin.
    pub plugin_info: *mut c_void,
}

/// The argument of `TSRemapDoRemap`. Nothing in it is to be released.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TSRemapRequestInfo {
    /// The rule's first URL, to be read only.
    pub mapFromUrl: TSMLoc,
    /// The rule's second URL, to be read only.
    pub mapToUrl: TSMLoc,
    /// The request's URL; editing it changes where the request goes.
    pub requestUrl: TSMLoc,
    /// The buffer of all of these.
    pub requestBufp: TSMBuffer,
    /// The request's header.
    pub requestHdrp: TSMLoc,
    /// Set to 1 to answer with a redirect to the request's URL.
    pub redirect: c_int,
}

/// The priority of a stream, in a form that depends on the protocol.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TSHttpPriority {
    /// 1 unspecified, 2 HTTP/2, 3 HTTP/3.
    pub priority_type: u8,
    /// The rest depends on the type.
    pub data: [u8; 7],
}

/// The priority of an HTTP/2 stream, laid over [`TSHttpPriority`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TSHttp2Priority {
    /// Always 2.
    pub priority_type: u8,
    /// The weight as it is sent.
    pub weight: u8,
    /// The stream it depends on, -1 if there is none.
    pub stream_dependency: i32,
}

/// The room that `TSClientRequestUuidGet` wants.
pub const TS_CRUUID_STRING_LEN: usize = 36 + 19 + 1;

/// The version of the remap interface that both lines have.
pub const TSREMAP_VERSION: c_ulong = 3 << 16;

const _: () = {
    assert!(size_of::<TSHttpTxn>() == size_of::<*mut c_void>());
    assert!(size_of::<TSPluginRegistrationInfo>() == 24);
    assert!(offset_of!(TSPluginRegistrationInfo, vendor_name) == 8);
    assert!(offset_of!(TSPluginRegistrationInfo, support_email) == 16);
    assert!(size_of::<TSPluginMsg>() == 24);
    assert!(offset_of!(TSPluginMsg, data) == 8);
    assert!(offset_of!(TSPluginMsg, data_size) == 16);
    assert!(size_of::<TSRemapInterface>() == 16);
    assert!(offset_of!(TSRemapInterface, tsremap_version) == 8);
    assert!(size_of::<TSRemapInterface10>() == 24);
    assert!(offset_of!(TSRemapInterface10, plugin_info) == 16);
    assert!(size_of::<TSRemapRequestInfo>() == 48);
    assert!(offset_of!(TSRemapRequestInfo, mapFromUrl) == 0);
    assert!(offset_of!(TSRemapRequestInfo, mapToUrl) == 8);
    assert!(offset_of!(TSRemapRequestInfo, requestUrl) == 16);
    assert!(offset_of!(TSRemapRequestInfo, requestBufp) == 24);
    assert!(offset_of!(TSRemapRequestInfo, requestHdrp) == 32);
    assert!(offset_of!(TSRemapRequestInfo, redirect) == 40);
    assert!(size_of::<TSHttpPriority>() == 8 && size_of::<TSHttp2Priority>() == 8);
    assert!(offset_of!(TSHttp2Priority, stream_dependency) == 4);
};
