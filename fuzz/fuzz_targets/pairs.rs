//! The pairs codec: any bytes decode or are refused, and what decodes has exactly one encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_abi::{limits, pairs};

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = pairs::decode(bytes) else { return };
    assert!(decoded.len() <= limits::MAX_PAIRS && bytes.len() <= limits::MAX_PAIRS_BYTES);

    let encoded = pairs::encode(decoded.iter().copied()).expect("what was decoded can be encoded");
    assert_eq!(encoded.len(), pairs::encoded_len(decoded.iter().copied()));
    // An empty map may come as nothing at all or as a single zero byte; every other map has one form.
    assert!(encoded == bytes || (decoded.is_empty() && bytes.len() <= 1));
    assert_eq!(pairs::decode(&encoded).as_ref(), Ok(&decoded));
});
