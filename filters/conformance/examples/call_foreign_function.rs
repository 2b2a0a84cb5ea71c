//! The functions that hosts offer beyond the ABI, by name.
//!
//! covers: proxy_call_foreign_function
//!
//! request: GET /
//! status: 200
//! body: unknown: NotFound
//! body: no name: NotFound
//! body: compress: Ok, a zlib stream true
//! body: uncompress: Ok, what it was true
//! body: uncompress of nonsense: not Ok true, as SDKs expect true
//! body: clear_route_cache: Ok ""
//! body: shared_data_delete: Ok, then NotFound

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let text = "all work and no play makes Jack a dull boy; ".repeat(20);
        say!("unknown: {}", foreign("no such function", "x"));
        say!("no name: {}", foreign("", ""));
        let packed = foreign("compress", &text);
        let (status, packed) = (packed.status, packed.into_bytes());
        say!("compress: {}, a zlib stream {}", status_name(status), packed.first() == Some(&0x78) && packed.len() < text.len());
        let unpacked = foreign("uncompress", &packed);
        let status = unpacked.status;
        say!("uncompress: {}, what it was {}", status_name(status), unpacked.into_text() == text);
        let nonsense = foreign("uncompress", "nonsense");
        let expected = ["BadArgument", "SerializationFailure", "InternalFailure"];
        say!(
            "uncompress of nonsense: not Ok {}, as SDKs expect {}",
            !nonsense.is_ok(),
            expected.contains(&status_name(nonsense.status)),
        );
        say!("clear_route_cache: {}", foreign("clear_route_cache", ""));
        set_shared_data("key", "value", 0);
        let delete = foreign("shared_data_delete", "key");
        say!("shared_data_delete: {}, then {}", status_name(delete.status), shared_data("key").0);
        reply()
    }
}
