//! The client's connection, as far as a transaction has to do with it.

use std::ffi::c_int;

use weir_ats_sys::{
    TS_SUCCESS, TSHttpSsnClientVConnGet, TSHttpTxn, TSHttpTxnClientFdGet,
    TSHttpTxnClientProtocolStackContains, TSHttpTxnSsnGet, TSIOBufferReaderAvail, TSVConnWriteVIOGet,
    TSVIOBufferGet, TSVIOContGet, TSVIOReaderGet,
};

/// More than a transaction's own state takes in the server, and less than two.
const TRANSACTION: usize = 8 << 10;

/// True if the connection carries several streams.
pub(super) fn is_http2(http: TSHttpTxn) -> bool {
    // SAFETY: the transaction exists; the text ends with NUL.
    unsafe { !TSHttpTxnClientProtocolStackContains(http, c"h2".as_ptr()).is_null() }
}

/// Ends the connection. The server notices when it next reads or writes. `whole`: even where it carries other streams
/// (HTTP/2), because the client would take what it has got for all there is.
pub(super) fn shut_down(http: TSHttpTxn, whole: bool) {
    let mut fd: c_int = -1;
    // SAFETY: the transaction exists. Shutting a socket down leaves its number with the server.
    unsafe {
        if (whole || !is_http2(http)) && TSHttpTxnClientFdGet(http, &mut fd) == TS_SUCCESS && fd >= 0 {
            libc::shutdown(fd, libc::SHUT_RDWR);
        }
    }
}

/// True if the client has closed its side of the connection. The server tells of that by itself on HTTP/2, whose streams share
/// a connection.
pub(super) fn has_left(http: TSHttpTxn) -> bool {
    let mut fd: c_int = -1;
    // SAFETY: the transaction exists.
    let known = !is_http2(http) && unsafe { TSHttpTxnClientFdGet(http, &mut fd) } == TS_SUCCESS;
    // Requests of plugins have no socket.
    if !known || fd < 0 {
        return false;
    }
    let mut look = libc::pollfd {
        fd,
        events: libc::POLLRDHUP,
        revents: 0,
    };
    // SAFETY: one entry, which is written to; the call does not wait.
    let found = unsafe { libc::poll(&mut look, 1, 0) };
    found > 0 && look.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

/// Bytes of this response that wait for the client to take them. 0 where that cannot be known: on HTTP/2, whose streams
/// wait inside of the server, and before the response is being sent.
pub(super) fn backlog(http: TSHttpTxn) -> i64 {
    if is_http2(http) {
        return 0;
    }
    // SAFETY: the transaction and its session exist. What the connection writes belongs to this transaction if who is told
    // of it lies within the transaction's own state; then its buffer exists. Between two responses nobody is told.
    unsafe {
        let session = TSHttpTxnSsnGet(http);
        if session.is_null() {
            return 0;
        }
        let connection = TSHttpSsnClientVConnGet(session);
        if connection.is_null() {
            return 0;
        }
        let vio = TSVConnWriteVIOGet(connection);
        if vio.is_null() {
            return 0;
        }
        let told = TSVIOContGet(vio).as_ptr().addr();
        let is_ours = told.wrapping_sub(http.as_ptr().addr()) < TRANSACTION;
        if !is_ours || TSVIOBufferGet(vio).is_null() {
            return 0;
        }
        let reader = TSVIOReaderGet(vio);
        if reader.is_null() {
            0
        } else {
            TSIOBufferReaderAvail(reader)
        }
    }
}
