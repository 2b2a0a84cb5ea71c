//! Facts of a TLS connection of the server.
//!
//! The server gives out its OpenSSL handles (`TSVConnSslConnectionGet`) but few facts, so those come from the OpenSSL that
//! the server itself has loaded. Its functions are looked up in the process: nothing is linked, and a server that uses a
//! library without one of them merely knows less. OpenSSL 1.1, 3.x and BoringSSL have all of them.

use std::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_void};
use std::ptr;
use std::sync::OnceLock;

use weir_ats_sys::{TSVConn, TSVConnIsSsl, TSVConnSslConnectionGet, TSVConnSslProtocolGet, TSVConnSslSniGet};

/// Most bytes of a certificate that are looked at; real ones have a few thousand.
const MAX_CERTIFICATE: usize = 64 << 10;

/// True if a connection is one of TLS.
pub(crate) fn is_tls(vc: TSVConn) -> bool {
    // SAFETY: the connection exists; the getter only looks at what kind it is.
    !vc.is_null() && unsafe { TSVConnIsSsl(vc) } != 0
}

/// The server name that was asked for in the handshake (SNI).
pub(crate) fn server_name(vc: TSVConn) -> Option<Vec<u8>> {
    let ssl = connection(vc)?;
    let mut len: c_int = 0;
    // SAFETY: the connection exists; what is given stays where it is while the connection does, and is copied here.
    let name = unsafe { TSVConnSslSniGet(vc, &mut len) };
    if let (false, Ok(len @ 1..)) = (name.is_null(), usize::try_from(len)) {
        // SAFETY: the getter says how many bytes there are.
        return Some(unsafe { std::slice::from_raw_parts(name.cast::<u8>(), len) }.to_vec());
    }
    let find = openssl().server_name?;
    // SAFETY: `ssl` is a connection; the answer is null or a text that ends with NUL and belongs to the connection.
    text(unsafe { find(ssl, HOST_NAME) })
}

/// `TLSv1.2`, `TLSv1.3`.
pub(crate) fn version(vc: TSVConn) -> Option<Vec<u8>> {
    let ssl = connection(vc)?;
    // SAFETY: the connection exists; the answer is null or a static text.
    let known = text(unsafe { TSVConnSslProtocolGet(vc) });
    known.or_else(|| {
        let find = openssl().version?;
        // SAFETY: `ssl` is a connection; the answer is a static text.
        text(unsafe { find(ssl) })
    })
}

/// The certificate that the server has shown to the other side, as DER.
pub(crate) fn local_certificate(vc: TSVConn) -> Option<Vec<u8>> {
    let ssl = connection(vc)?;
    let find = openssl().certificate?;
    // SAFETY: `ssl` is a connection; the answer is null or belongs to it.
    der(unsafe { find(ssl) })
}

/// The certificate that the other side has shown, as DER.
///
/// One of a client counts only if it was verified: there it stands for who the client is (`connection.mtls`), and a server
/// may be configured to ask for certificates and not to care. One of an origin counts whenever it was shown, since
/// `proxy.config.ssl.client.verify.server.policy` has decided about it already and is permissive by default.
pub(crate) fn peer_certificate(vc: TSVConn) -> Option<Vec<u8>> {
    let ssl = connection(vc)?;
    let openssl = openssl();
    let (find, free) = (openssl.peer_certificate?, openssl.free?);
    if !openssl.peer_counts(ssl) {
        return None;
    }
    // SAFETY: `ssl` is a connection; the answer is null or ours to free.
    let certificate = unsafe { find(ssl) };
    let encoded = der(certificate);
    if !certificate.is_null() {
        // SAFETY: the function above counts this reference as ours; it is not used afterwards.
        unsafe { free(certificate) };
    }
    encoded
}

/// OpenSSL's `SSL`.
type Ssl = *mut c_void;
/// OpenSSL's `X509`.
type X509 = *mut c_void;

/// `TLSEXT_NAMETYPE_host_name`.
const HOST_NAME: c_int = 0;
/// `X509_V_OK`.
const VERIFIED: c_long = 0;

/// The functions of the OpenSSL that the server uses.
struct OpenSsl {
    server_name: Option<unsafe extern "C" fn(Ssl, c_int) -> *const c_char>,
    version: Option<unsafe extern "C" fn(Ssl) -> *const c_char>,
    is_server: Option<unsafe extern "C" fn(Ssl) -> c_int>,
    verify_result: Option<unsafe extern "C" fn(Ssl) -> c_long>,
    certificate: Option<unsafe extern "C" fn(Ssl) -> X509>,
    peer_certificate: Option<unsafe extern "C" fn(Ssl) -> X509>,
    encode: Option<unsafe extern "C" fn(X509, *mut *mut c_uchar) -> c_int>,
    free: Option<unsafe extern "C" fn(X509)>,
}

impl OpenSsl {
    fn find() -> Self {
        // SAFETY: in all of these: the function has had this signature in every version of OpenSSL since 1.1.0, and in
        // BoringSSL (`SSL_is_server`, `SSL_get_servername` and the like take their connection as const there, which is the
        // same to a caller).
        unsafe {
            Self {
                server_name: find(c"SSL_get_servername"),
                version: find(c"SSL_get_version"),
                is_server: find(c"SSL_is_server"),
                verify_result: find(c"SSL_get_verify_result"),
                certificate: find(c"SSL_get_certificate"),
                // Renamed in 3.0; both give a reference that is the caller's.
                peer_certificate: find(c"SSL_get1_peer_certificate")
                    .or_else(|| find(c"SSL_get_peer_certificate")),
                encode: find(c"i2d_X509"),
                free: find(c"X509_free"),
            }
        }
    }

    /// True if the certificate of the other side is to be believed, see [`peer_certificate`].
    fn peer_counts(&self, ssl: Ssl) -> bool {
        let (Some(is_server), Some(verify_result)) = (self.is_server, self.verify_result) else {
            return false;
        };
        // SAFETY: `ssl` is a connection; both only read.
        unsafe { is_server(ssl) == 0 || verify_result(ssl) == VERIFIED }
    }
}

fn openssl() -> &'static OpenSsl {
    static OPENSSL: OnceLock<OpenSsl> = OnceLock::new();
    OPENSSL.get_or_init(OpenSsl::find)
}

/// A function of the process by its name.
///
/// # Safety
///
/// `F` is an `extern "C"` function pointer, and the signature of what has this name.
unsafe fn find<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name ends with NUL, and the handle is one that dlsym defines.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: by the contract of this function the address is that of an `F`, which is one pointer wide.
    (!address.is_null()).then(|| unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
}

/// The OpenSSL handle of a connection; `None` without TLS.
fn connection(vc: TSVConn) -> Option<Ssl> {
    if !is_tls(vc) {
        return None;
    }
    // SAFETY: the connection exists, and is one of TLS.
    let ssl = unsafe { TSVConnSslConnectionGet(vc) };
    (!ssl.is_null()).then(|| ssl.as_ptr())
}

fn der(certificate: X509) -> Option<Vec<u8>> {
    let encode = openssl().encode?;
    if certificate.is_null() {
        return None;
    }
    // SAFETY: the certificate exists; without a place to write to, the function only tells the length.
    let len = usize::try_from(unsafe { encode(certificate, ptr::null_mut()) }).ok()?;
    if len == 0 || len > MAX_CERTIFICATE {
        return None;
    }
    let mut out = vec![0; len];
    let mut end: *mut c_uchar = out.as_mut_ptr();
    // SAFETY: there is room for as many bytes as the same call has asked for.
    let written = unsafe { encode(certificate, &mut end) };
    (usize::try_from(written) == Ok(len)).then_some(out)
}

/// A text of the server's or of OpenSSL's, unless it is empty.
fn text(text: *const c_char) -> Option<Vec<u8>> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the callers' functions give null or a text that ends with NUL; it is copied at once.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    (!bytes.is_empty()).then(|| bytes.to_vec())
}
