//! Addresses in this guest's memory.

/// Bytes of linear memory; the first address that does not exist.
pub fn size() -> u32 {
    const PAGE: usize = 65536;
    (core::arch::wasm32::memory_size(0) * PAGE) as u32
}

/// Where something lies, as the host sees it.
pub fn address<T>(pointer: *const T) -> u32 {
    pointer.expose_provenance() as u32
}

/// Address and length of bytes.
pub fn slice(bytes: &[u8]) -> (u32, u32) {
    (address(bytes.as_ptr()), bytes.len() as u32)
}

/// Serialises pairs as hostcalls take them.
pub fn pairs(list: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = (list.len() as u32).to_le_bytes().to_vec();
    for (name, value) in list {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
    }
    for part in list.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}
