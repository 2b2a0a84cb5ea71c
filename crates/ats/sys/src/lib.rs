//! Bindings to the Traffic Server plugin API that serve 9.2 and 10.x from one binary.
//!
//! A library that links this crate has no undefined `TS*` symbol. [`load`] looks every function up in the running
//! server, by its C name (9.2) or its mangled C++ name (10.x), and fills a table; the functions here are calls through
//! that table and keep the names of `ts/ts.h`. Call [`load`] first in `TSPluginInit` and `TSRemapInit`: a function that
//! is called before ends the process with a message.
//!
//! A function that some supported server lacks is an [`Optional`]: `if let Some(call) = TSHttpTxnTypeGet.get()`.
//! Numbers that differ between the servers are behind [`Hook`] and [`hook`]; all others are constants with the names of
//! the C headers.
//!
//! # Memory that changes hands
//!
//! The same on 9.2 and 10.x but where it is said. "Copied": the server keeps nothing of the caller's memory after the call.
//!
//! | function | who allocates, with which size | who frees, when |
//! |---|---|---|
//! | [`TSHttpTxnErrorBodySet`], `body` | the plugin, by [`Given::bytes`]: exactly `len` bytes, and NULL for none. An address with a length of 0 corrupts the heap of 9.2 | the server: when the response has been sent, when another body is set, or with the transaction |
//! | [`TSHttpTxnErrorBodySet`], `content_type` | the plugin, by [`Given::text`]: with NUL. NULL beside a body is `text/html`, the empty text is no type | the server: when it has made the response's head, when another body is set, or with the transaction |
//! | [`TSHttpTxnServerRequestBodySet`] | as the body of `TSHttpTxnErrorBodySet`, in whose place it is put; not used by the plugin | the server, as above |
//! | [`TSHttpTxnRedirectUrlSet`] | the plugin, by [`Given::bytes`]; not used by the plugin | the server: when another URL is set, or with the transaction |
//! | [`TSHttpTxnConfigStringSet`] | the plugin, by Rust's allocator: the server keeps the address and frees nothing | the plugin, once the transaction has ended |
//! | [`TSHttpTxnEffectiveUrlStringGet`], [`TSUrlStringGet`], [`TSMgmtStringGet`] | the server | the plugin, by [`TSfree`] |
//! | [`TSHttpTxnConfigStringGet`], [`TSMimeHdrFieldValueStringGet`], [`TSUrlHostGet`] and all other getters of `const char *` | the server | the server: the text is valid until the head, the URL or the record is changed |
//! | [`TSIOBufferCreate`] with its readers | the server, in blocks of its size classes; [`TSIOBufferWrite`] copies into them | the plugin, by [`TSIOBufferDestroy`], which frees the readers too; not before the connection that reads from it is closed |
//! | [`TSIOBufferReaderCopy`] | the plugin: `len` bytes at least | the plugin |
//! | [`TSMBufferCreate`] with heads and URLs in it | the server | the plugin, by [`TSMBufferDestroy`]; a `TSMLoc` of it is released before |
//! | `TSMLoc` of a getter | the server: a handle, or the field of a head itself | nobody for heads, whose release does nothing; [`TSHandleMLocRelease`] for fields and URLs |
//! | [`TSMimeHdrFieldCreate`], [`TSMimeHdrFieldCreateNamed`] | the server, in the heap of the head | the server, with the head; [`TSMimeHdrFieldDestroy`] takes a field out of it |
//! | [`TSCacheKeyCreate`] | the server | the plugin, by [`TSCacheKeyDestroy`] |
//! | [`TSContCreate`], [`TSMutexCreate`] | the server | the plugin, by [`TSContDestroy`]; a continuation's mutex goes with its last holder |
//! | [`TSTransformCreate`] | the server | the plugin, by [`TSContDestroy`] in the event that finds it closed |
//! | [`TSContDataSet`], [`TSUserArgSet`] | the plugin, by Rust's allocator | the plugin |
//! | [`TSMimeHdrFieldValueStringSet`], [`TSUrlHostSet`] and the other setters of heads and URLs, [`TSCacheUrlSet`], [`TSCacheKeyDigestSet`], [`TSHttpTxnParentProxySet`], [`TSHttpTxnServerAddrSet`] | the plugin: copied | the plugin |
//! | [`TSPluginRegister`], [`TSStatCreate`], [`TSUserArgIndexReserve`], [`TSMgmtUpdateRegister`], [`TSError`] and the other functions of the log | the plugin: copied | the plugin |
#![allow(
    non_snake_case,
    non_camel_case_types,
    non_upper_case_globals,
    reason = "the names are those of ts/ts.h, so that its documentation can be searched for them"
)]

#[macro_use]
mod macros;

mod debug;
mod functions;
mod ids;
mod load;
mod log;
mod memory;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod version;

pub use debug::{DebugTag, debug_enabled};
pub use functions::*;
pub use ids::*;
pub use load::{LoadError, is_loaded, load, version};
pub use log::*;
pub use memory::*;
pub use table::Optional;
pub use types::*;
pub use version::{Line, Version};
