//! The route of a request.

use std::ffi::{CString, c_int};
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;

use weir_abi::Status;
use weir_ats_sys::{
    TS_SUCCESS, TSHttpTxn, TSHttpTxnClientReqGet, TSHttpTxnConfigIntGet, TSHttpTxnConfigIntSet,
    TSHttpTxnParentProxySet, TSHttpTxnServerAddrSet, TSHttpTxnServerReqGet, TSMBuffer, TSMLoc,
    TSSkipRemappingSet,
};
use weir_host::ForeignCall;

use super::args::{self, Hop};
use super::{done, is_answered, transaction};
use crate::property;
use crate::txn::mime::Head;

/// `ats_set_next_hop`: `address:port` is where the request is sent, unresolved and with everything else as it is;
/// `name:port` is a parent proxy that it is sent through, with its whole URL in the request line (the server uses none for
/// an origin on its own host, 127.0.0.1 or localhost). The port is 80 where none is given. Before the connection to the
/// origin.
pub(super) fn set_next_hop(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let hop = args::hop(args::text(arguments)?)?;
    let txn = transaction(call)?;
    if is_sent(txn) {
        return Err(Status::InternalFailure);
    }
    match hop {
        Hop::Address(address) => {
            let address = Address::new(address);
            // SAFETY: the transaction exists; the address is whole, of the family that it says, and is copied.
            let set = unsafe { TSHttpTxnServerAddrSet(txn, address.as_ptr()) };
            if set != TS_SUCCESS {
                return Err(Status::InternalFailure);
            }
        }
        Hop::Name(name, port) => {
            let name = CString::new(name).map_err(|_| Status::BadArgument)?;
            // A request that cannot be cached would go past the parent.
            if let Some((key, _)) =
                property::find_record(b"proxy.config.http.uncacheable_requests_bypass_parent")
            {
                // SAFETY: the transaction exists, and the record is an integer.
                unsafe { TSHttpTxnConfigIntSet(txn, key, 0) };
            }
            // SAFETY: the transaction exists; the name ends with NUL and is copied, the port is not 0.
            unsafe { TSHttpTxnParentProxySet(txn, name.as_ptr(), c_int::from(port)) };
        }
    }
    done()
}

/// `ats_set_remap`: the URL that the request is for from now on; path and query stay where the URL ends with its host. No
/// remap rule is applied afterwards. The `Host` field follows, as it does for remap rules, unless
/// `proxy.config.url_remap.pristine_host_hdr` is set. Before the connection to the origin, and before remapping where there
/// is a rule that fits.
pub(super) fn set_remap(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let target = args::target(args::text(arguments)?)?;
    let txn = transaction(call)?;
    if is_sent(txn) {
        return Err(Status::InternalFailure);
    }
    // SAFETY: the transaction exists, and nothing but this call uses its request now.
    let request =
        unsafe { Head::from_getter(|buffer, loc| TSHttpTxnClientReqGet(txn, buffer, loc) == TS_SUCCESS) };
    let request = request.ok_or(Status::NotFound)?;
    let url = request.url().ok_or(Status::InternalFailure)?;
    if !url.set_scheme(target.scheme.as_bytes()) {
        return Err(Status::InternalFailure);
    }
    url.set_authority(target.authority.as_bytes());
    if let Some(path) = &target.path
        && !url.set_path(path.as_bytes())
    {
        return Err(Status::InternalFailure);
    }
    if !keeps_host(txn) && !request.replace(b"host", target.authority.as_bytes()) {
        return Err(Status::InternalFailure);
    }
    // SAFETY: the transaction exists; the function sets a flag.
    unsafe { TSSkipRemappingSet(txn, 1) };
    done()
}

/// True if the request to the origin has been made, after which its route cannot be changed, or will not be made.
fn is_sent(txn: TSHttpTxn) -> bool {
    let (mut buffer, mut loc) = (TSMBuffer::NULL, TSMLoc::NULL);
    // SAFETY: the transaction exists; the getter writes to the places it is given.
    let sent = unsafe { TSHttpTxnServerReqGet(txn, &mut buffer, &mut loc) == TS_SUCCESS };
    sent || is_answered(txn)
}

/// True if the client's `Host` goes to the origin as it is.
fn keeps_host(txn: TSHttpTxn) -> bool {
    let Some((key, _)) = property::find_record(b"proxy.config.url_remap.pristine_host_hdr") else {
        return false;
    };
    let mut keeps = 0;
    // SAFETY: the transaction exists, and the record is an integer.
    let known = unsafe { TSHttpTxnConfigIntGet(txn, key, &mut keeps) };
    known == TS_SUCCESS && keeps != 0
}

/// An address in the form that C wants.
#[repr(C)]
union Address {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Address {
    fn new(address: SocketAddr) -> Self {
        // SAFETY: all zeros are a value of both, and none of the bytes are left out.
        let mut out: Self = unsafe { zeroed() };
        match address {
            SocketAddr::V4(address) => {
                out.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from(*address.ip()).to_be(),
                    },
                    sin_zero: [0; 8],
                };
            }
            SocketAddr::V6(address) => {
                out.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr {
                        s6_addr: address.ip().octets(),
                    },
                    sin6_scope_id: address.scope_id(),
                };
            }
        }
        out
    }

    const fn as_ptr(&self) -> *const libc::sockaddr {
        const { assert!(size_of::<Self>() == size_of::<libc::sockaddr_in6>()) };
        std::ptr::from_ref(self).cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_for_c() {
        let address = Address::new("10.0.0.1:8080".parse().expect("an address"));
        // SAFETY: it is the member that was set.
        let v4 = unsafe { address.v4 };
        assert_eq!(v4.sin_port.to_ne_bytes(), [0x1f, 0x90]);
        assert_eq!(v4.sin_addr.s_addr.to_ne_bytes(), [10, 0, 0, 1]);
        let address = Address::new("[::1]:81".parse().expect("an address"));
        // SAFETY: `Address::new` has set the member for IPv6.
        let v6 = unsafe { address.v6 };
        assert_eq!(v6.sin6_addr.s6_addr[15], 1);
        assert_eq!(v6.sin6_port.to_ne_bytes(), [0, 81]);
    }
}
