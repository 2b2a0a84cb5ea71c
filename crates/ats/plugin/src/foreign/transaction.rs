//! Configuration of one transaction, and what it is.

use std::ffi::{CString, c_int};

use weir_abi::Status;
use weir_ats_sys::{
    TS_RECORDDATATYPE_FLOAT, TS_RECORDDATATYPE_INT, TS_RECORDDATATYPE_STRING, TS_SUCCESS,
    TSHttpTxnActiveTimeoutSet, TSHttpTxnConfigFloatSet, TSHttpTxnConfigIntSet, TSHttpTxnConfigStringSet,
    TSHttpTxnConnectTimeoutSet, TSHttpTxnDebugSet, TSHttpTxnIsInternal, TSHttpTxnNoActivityTimeoutSet,
    TSHttpTxnSsnGet,
};
use weir_host::ForeignCall;

use super::{args, done, pending, transaction};
use crate::property;

/// `ats_config_get`: the value of an overridable record in this transaction, as text. The property `ats.config.NAME` is the
/// same with a type.
pub(super) fn config_get(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let name = args::text(arguments)?;
    let txn = transaction(call)?;
    property::config_text(txn, name).ok_or(Status::NotFound)
}

/// `ats_config_set`: overrides a record for this transaction. `BadArgument` for a value that is not of the record's type,
/// `NotFound` for a record that transactions cannot override. What has been done by the old value stays done.
pub(super) fn config_set(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let (name, value) = args::text(arguments)?
        .split_once('=')
        .ok_or(Status::BadArgument)?;
    let (name, value) = (name.trim(), value.trim());
    let txn = transaction(call)?;
    let (key, kind) = property::find_record(name.as_bytes()).ok_or(Status::NotFound)?;
    let set = match kind {
        TS_RECORDDATATYPE_INT => {
            let value = value.parse().map_err(|_| Status::BadArgument)?;
            // SAFETY: the transaction exists, and the record is an integer.
            unsafe { TSHttpTxnConfigIntSet(txn, key, value) }
        }
        TS_RECORDDATATYPE_FLOAT => {
            let value: f32 = value.parse().map_err(|_| Status::BadArgument)?;
            if !value.is_finite() {
                return Err(Status::BadArgument);
            }
            // SAFETY: the transaction exists, and the record is a float.
            unsafe { TSHttpTxnConfigFloatSet(txn, key, value) }
        }
        TS_RECORDDATATYPE_STRING => {
            let text = CString::new(value).map_err(|_| Status::BadArgument)?;
            // The server keeps the address and copies nothing.
            let text = pending::keep(txn, text)?;
            // SAFETY: the transaction exists, the record is a text, and the value stays until the transaction has ended.
            unsafe { TSHttpTxnConfigStringSet(txn, key, text, value.len() as c_int) }
        }
        _ => return Err(Status::NotFound),
    };
    if set == TS_SUCCESS {
        done()
    } else {
        Err(Status::InternalFailure)
    }
}

/// `ats_is_internal`: whether the server itself or a plugin has made the request.
pub(super) fn is_internal(call: &mut ForeignCall<'_>, _: &[u8]) -> Result<Vec<u8>, Status> {
    let txn = transaction(call)?;
    // SAFETY: the transaction exists; the second getter needs the client's side, which the first one tells of.
    let internal = unsafe { !TSHttpTxnSsnGet(txn).is_null() && TSHttpTxnIsInternal(txn) != 0 };
    Ok(if internal { b"on".to_vec() } else { b"off".to_vec() })
}

/// `ats_set_timeout`: how long the server waits for the origin, in milliseconds: altogether (`active`), for the connection
/// and the first byte (`connect`), between two bytes (`no_activity`). What already runs keeps its time.
pub(super) fn set_timeout(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let mut timeouts = Vec::new();
    for (name, value) in args::pairs(arguments)? {
        let set = match name {
            "active" => TSHttpTxnActiveTimeoutSet,
            "connect" => TSHttpTxnConnectTimeoutSet,
            "no_activity" => TSHttpTxnNoActivityTimeoutSet,
            _ => return Err(Status::BadArgument),
        };
        let milliseconds = c_int::try_from(args::number(value)?).map_err(|_| Status::BadArgument)?;
        timeouts.push((set, milliseconds));
    }
    let txn = transaction(call)?;
    for (set, milliseconds) in timeouts {
        // SAFETY: the transaction exists; each of the functions sets a number.
        unsafe { set(txn, milliseconds) };
    }
    done()
}

/// `ats_set_debug`: whether the server prints all its debug output about this transaction, whatever tags are on.
pub(super) fn set_debug(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let on = args::truth(args::text(arguments)?)?;
    let txn = transaction(call)?;
    // SAFETY: the transaction exists; the function sets a flag.
    unsafe { TSHttpTxnDebugSet(txn, c_int::from(on)) };
    done()
}
