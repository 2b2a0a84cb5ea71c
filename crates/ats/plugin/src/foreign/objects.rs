//! The server's cache as a store of objects by key, which the Proxy-Wasm specification lacks.
//!
//! The cache is asked behind the guest's back: each function answers with a token, 4 bytes little-endian, and what comes of
//! it is brought to `proxy_on_foreign_function(plugin context, token, size)` later, on the VM's own thread, as one byte and
//! the content. The byte is 0 when all went well, 1 when there is no such object, 2 when it could not be done: the cache is
//! not ready, the object is just being written, an object is too large, the guest has no room for it (`limits.host_memory`), or too much is going on already. Content has only
//! the first answer of a read.
//!
//! Keys are those of the guest's `vm_id`, as with shared data, and nobody else's: neither other guests nor requests can
//! meet them. An object may go at any time, because the cache is one; there is no time after which it goes. They work
//! outside of streams, too.

use weir_abi::Status;
use weir_host::{Account, ForeignCall, Later};

use super::cache_job::{self, Outcome, Work};

/// Most bytes of a key.
const MAX_KEY: usize = 4 << 10;

/// `ats_cache_read`: the argument is the key.
pub(super) fn read(call: &mut ForeignCall<'_>, key: &[u8]) -> Result<Vec<u8>, Status> {
    begin(call, key, Work::Read)
}

/// `ats_cache_remove`: the argument is the key.
pub(super) fn remove(call: &mut ForeignCall<'_>, key: &[u8]) -> Result<Vec<u8>, Status> {
    begin(call, key, Work::Remove)
}

/// `ats_cache_write`: the argument is the key, which has no NUL, a NUL, and the content. An object of the key is replaced;
/// for a moment there is none.
pub(super) fn write(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let (key, content) = split(arguments).ok_or(Status::BadArgument)?;
    begin(call, key, Work::Write(content.to_vec()))
}

fn begin(call: &mut ForeignCall<'_>, key: &[u8], work: Work) -> Result<Vec<u8>, Status> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Status::BadArgument);
    }
    let key = full_key(call.vm_id(), key);
    let later = call.later().ok_or(Status::InternalFailure)?;
    let token = later.token().to_le_bytes().to_vec();
    let charge = later.account().map(Account::empty_charge);
    cache_job::start(&key, work, charge.unwrap_or_default(), answer(later));
    Ok(token)
}

/// Gives an outcome its form and sends it off.
fn answer(mut later: Later) -> impl FnOnce(Outcome) + Send + 'static {
    move |outcome| {
        let (status, content) = match outcome {
            Outcome::Done(content) if later.reserve(1 + content.len()).is_ok() => (0, content),
            Outcome::Done(_) => (2, Vec::new()),
            Outcome::NotFound => (1, Vec::new()),
            Outcome::Failed => (2, Vec::new()),
        };
        let mut bytes = Vec::with_capacity(1 + content.len());
        bytes.push(status);
        bytes.extend_from_slice(&content);
        later.deliver(bytes);
    }
}

/// The key in the cache. No URL looks like that, and no `vm_id` can make itself look like another with its key.
fn full_key(vm_id: &str, key: &[u8]) -> Vec<u8> {
    let length = format!("weir {} ", vm_id.len());
    [length.as_bytes(), vm_id.as_bytes(), key].concat()
}

/// Key and content of an object to be written.
fn split(arguments: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = arguments.iter().position(|byte| *byte == 0)?;
    Some((arguments.get(..end)?, arguments.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_guests_differ() {
        assert_ne!(full_key("a", b"bc"), full_key("ab", b"c"));
        assert_ne!(full_key("1 a", b"b"), full_key("1", b" ab"));
    }

    #[test]
    fn objects_are_split_at_the_first_nul() {
        assert_eq!(split(b"k\0a\0b"), Some((&b"k"[..], &b"a\0b"[..])));
        assert_eq!(split(b"k\0"), Some((&b"k"[..], &b""[..])));
        assert_eq!(split(b"k"), None);
    }
}
