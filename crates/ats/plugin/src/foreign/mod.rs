//! Foreign functions for what only Traffic Server has: `proxy_call_foreign_function("ats_…", arguments)`.
//!
//! Arguments and results are text. A function with one argument takes just that; one with several takes lines
//! `name=value`. A function without a result answers with nothing. Truth is `on` or `off` (`1`, `0`, `true`, `false` are
//! taken as well).
//!
//! | status | when |
//! |---|---|
//! | `NotFound` | outside of a stream, after its end; nothing is known of what was asked for |
//! | `BadArgument` | arguments that cannot be understood |
//! | `InternalFailure` | too late in the transaction; the server refuses; another thread is at work on the transaction |
//!
//! [`FUNCTIONS`] is the list of all.

mod args;
mod cache_job;
mod caching;
mod objects;
mod pending;
mod routing;
mod transaction;

use weir_abi::Status;
use weir_ats_sys::{
    TS_SUCCESS, TSHttpTxn, TSHttpTxnClientRespGet, TSHttpTxnServerRespGet, TSMBuffer, TSMLoc,
};
use weir_chain::StreamHandle;
use weir_host::{ForeignCall, ForeignFunctions};

use crate::property;
use crate::txn::access::Access;
use crate::txn::messages::TxnMessages;

/// The functions of every host, and those of this one.
pub(crate) fn functions() -> ForeignFunctions {
    let mut functions = ForeignFunctions::default();
    for function in FUNCTIONS {
        functions.add(function.name, function.run);
    }
    functions
}

/// A foreign function of this host.
pub(crate) struct Function {
    /// The name for guests.
    pub name: &'static str,
    /// Its arguments, what it does and answers, in a line.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "the documentation is checked against it")
    )]
    pub help: &'static str,
    /// The implementation.
    pub run: fn(&mut ForeignCall<'_>, &[u8]) -> Result<Vec<u8>, Status>,
}

macro_rules! functions {
    ($($name:literal: $run:path, $help:literal;)*) => {
        /// All functions of this host.
        pub(crate) static FUNCTIONS: &[Function] =
            &[$(Function {
                name: $name,
                help: $help,
                run: |call, arguments| {
                    let _access = access(call)?;
                    $run(call, arguments)
                },
            },)*];
    };
}

functions! {
    "ats_cache_lookup_status": caching::lookup_status,
        "answers `miss`, `hit_stale`, `hit_fresh` or `skipped`; NotFound before the lookup";
    "ats_cache_lookup_status_set": caching::lookup_status_set,
        "`miss`, `hit_stale` or `hit_fresh`: what a hit is to count as; before the lookup";
    "ats_cache_read": objects::read,
        "key: reads an object; answers a token, the object comes to proxy_on_foreign_function";
    "ats_cache_remove": objects::remove,
        "key: removes an object; answers a token, the outcome comes to proxy_on_foreign_function";
    "ats_cache_write": objects::write,
        "key, NUL, content: writes an object; answers a token, the outcome comes to proxy_on_foreign_function";
    "ats_config_get": transaction::config_get,
        "name of an overridable record: answers its value in this transaction as text";
    "ats_config_set": transaction::config_set,
        "name=value: overrides a record for this transaction";
    "ats_is_internal": transaction::is_internal,
        "answers `on` if the server itself or a plugin has made the request, else `off`";
    "ats_set_cache_key": caching::set_cache_key,
        "absolute URL: the object is looked up and stored under it; once, before the lookup";
    "ats_set_cacheable": caching::set_cacheable,
        "request=on, response=on, both=on (or off): look up and store what the server by itself would not";
    "ats_set_debug": transaction::set_debug,
        "on or off: all debug output of the server about this transaction";
    "ats_set_next_hop": routing::set_next_hop,
        "address:port: the origin's address; name:port: a parent proxy to go through";
    "ats_set_remap": routing::set_remap,
        "absolute URL: the request goes there, whatever the remap rules say; before remapping";
    "ats_set_timeout": transaction::set_timeout,
        "active=ms, connect=ms, no_activity=ms: timeouts towards the origin, for this transaction";
    "ats_set_ttl": caching::set_ttl,
        "seconds (s-maxage) or max_age=seconds: how long the origin's answer is good; before it comes";
    "ats_skip_cache": caching::skip_cache,
        "nothing is read from the cache (before the lookup) or written to it (before the origin's answer)";
}

/// The right to look into the transaction of the stream that the guest is in, if it is in one.
fn access(call: &mut ForeignCall<'_>) -> Result<Option<Access>, Status> {
    let Some(handle) = call.stream_as::<StreamHandle<TxnMessages>>() else {
        return Ok(None);
    };
    let access = handle.state().borrow().messages.access();
    access.map(Some).ok_or(Status::InternalFailure)
}

/// The transaction of the stream that the guest is in.
fn transaction(call: &mut ForeignCall<'_>) -> Result<TSHttpTxn, Status> {
    let handle = call
        .stream_as::<StreamHandle<TxnMessages>>()
        .ok_or(Status::NotFound)?;
    handle.state().borrow().messages.txn().ok_or(Status::NotFound)
}

/// True if the origin's answer has come, or will not come any more because there is another one.
fn is_answered(txn: TSHttpTxn) -> bool {
    let (mut buffer, mut loc) = (TSMBuffer::NULL, TSMLoc::NULL);
    // SAFETY: the transaction exists; the getters write to the places they are given.
    let answered = unsafe {
        TSHttpTxnServerRespGet(txn, &mut buffer, &mut loc) == TS_SUCCESS
            || TSHttpTxnClientRespGet(txn, &mut buffer, &mut loc) == TS_SUCCESS
    };
    answered || property::lookup_status(txn) == Some("hit_fresh")
}

/// The answer of a function that has an effect and nothing to say.
fn done() -> Result<Vec<u8>, Status> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_prefixed_and_explained() {
        assert!(FUNCTIONS.is_sorted_by(|first, second| first.name < second.name));
        for function in FUNCTIONS {
            assert!(function.name.starts_with("ats_"), "{}", function.name);
            assert!(!function.help.is_empty(), "{}", function.name);
        }
    }

    #[test]
    fn the_servers_functions_come_on_top_of_every_hosts() {
        let functions = functions();
        assert!(functions.find("compress").is_some());
        assert!(functions.find("ats_cache_read").is_some());
        assert_eq!(
            functions.names().len(),
            FUNCTIONS.len() + ForeignFunctions::default().names().len()
        );
    }
}
