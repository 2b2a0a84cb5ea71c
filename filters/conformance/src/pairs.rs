//! The serialised form of header maps.

/// Pairs in the form that the host reads.
pub fn encode_pairs<K: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(K, V)]) -> Vec<u8> {
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (key, value) in pairs {
        out.extend((key.as_ref().len() as u32).to_le_bytes());
        out.extend((value.as_ref().len() as u32).to_le_bytes());
    }
    for (key, value) in pairs {
        for part in [key.as_ref(), value.as_ref()] {
            out.extend(part);
            out.push(0);
        }
    }
    out
}

/// Pairs from the form that the host writes. Panics where it is malformed.
pub fn decode_pairs(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let number = |at: usize| {
        let raw: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(raw) as usize
    };
    let count = number(0);
    let mut at = 4 + 8 * count;
    let mut part = |len: usize| {
        let part = bytes[at..at + len].to_vec();
        assert_eq!(bytes[at + len], 0, "each part ends in NUL");
        at += len + 1;
        part
    };
    let pairs = (0..count)
        .map(|i| (part(number(4 + 8 * i)), part(number(8 + 8 * i))))
        .collect::<Vec<_>>();
    assert_eq!(at, bytes.len(), "nothing follows the last pair");
    pairs
}

/// Pairs as text, one to a line of the report.
pub fn show_pairs(bytes: &[u8]) -> Vec<String> {
    decode_pairs(bytes)
        .iter()
        .map(|(key, value)| format!("{}: {}", key.escape_ascii(), value.escape_ascii()))
        .collect()
}
