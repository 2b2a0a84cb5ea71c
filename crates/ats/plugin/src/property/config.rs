//! Overridable records, as a transaction has them.

use std::ffi::{c_char, c_int};

use weir_ats_sys::{
    TS_RECORDDATATYPE_FLOAT, TS_RECORDDATATYPE_INT, TS_RECORDDATATYPE_STRING, TS_SUCCESS, TSHttpTxn,
    TSHttpTxnConfigFind, TSHttpTxnConfigFloatGet, TSHttpTxnConfigIntGet, TSHttpTxnConfigStringGet,
    TSOverridableConfigKey, TSRecordDataType,
};

use super::Value;
use super::readers::int_of;

/// A record that transactions can override, by its name.
pub(crate) fn find_record(name: &[u8]) -> Option<(TSOverridableConfigKey, TSRecordDataType)> {
    let mut key = TSOverridableConfigKey(-1);
    let mut kind = weir_ats_sys::TS_RECORDDATATYPE_NULL;
    let len = c_int::try_from(name.len()).ok()?;
    // SAFETY: the name has `len` bytes; the function writes to the places it is given.
    let found = unsafe { TSHttpTxnConfigFind(name.as_ptr().cast(), len, &mut key, &mut kind) };
    (found == TS_SUCCESS && !name.is_empty()).then_some((key, kind))
}

/// The value of an overridable record.
pub(super) fn config(txn: TSHttpTxn, name: &str) -> Option<Value> {
    let (key, kind) = find_record(name.as_bytes())?;
    match kind {
        TS_RECORDDATATYPE_INT => {
            // SAFETY: the transaction exists, and the record is an integer.
            int_of(|value: &mut i64| unsafe { TSHttpTxnConfigIntGet(txn, key, value) })
        }
        TS_RECORDDATATYPE_FLOAT => {
            let mut value = 0_f32;
            // SAFETY: the transaction exists, and the record is a float.
            let known = unsafe { TSHttpTxnConfigFloatGet(txn, key, &mut value) };
            (known == TS_SUCCESS).then(|| Value::Float(f64::from(value)))
        }
        TS_RECORDDATATYPE_STRING => {
            let (mut value, mut len): (*const c_char, c_int) = (std::ptr::null(), 0);
            // SAFETY: the transaction exists, and the record is a text.
            let known = unsafe { TSHttpTxnConfigStringGet(txn, key, &mut value, &mut len) };
            if known != TS_SUCCESS || value.is_null() {
                return None;
            }
            let len = usize::try_from(len).ok()?;
            // SAFETY: the getter gives a text of this length, which is copied at once.
            Some(Value::Text(
                unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len) }.to_vec(),
            ))
        }
        _ => None,
    }
}

/// The value of an overridable record as text.
pub(crate) fn config_text(txn: TSHttpTxn, name: &str) -> Option<Vec<u8>> {
    Some(match config(txn, name)? {
        Value::Text(text) => text,
        Value::Int(value) => value.to_string().into_bytes(),
        // The server has no more digits than these.
        Value::Float(value) => (value as f32).to_string().into_bytes(),
        Value::Bool(value) => value.to_string().into_bytes(),
    })
}
