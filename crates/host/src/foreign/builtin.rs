//! The foreign functions that every process has.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use weir_abi::limits::{MAX_COMPRESS_ARGUMENT, MAX_UNCOMPRESS_ARGUMENT, MAX_UNCOMPRESS_RESULT};
use weir_abi::{Status, StreamType};

use super::protobuf::{self, Field};
use super::{ForeignCall, ForeignFunctions};

/// Adds all of them.
pub(super) fn add_to(functions: &mut ForeignFunctions) {
    functions.add("compress", compress);
    functions.add("uncompress", uncompress);
    functions.add("clear_route_cache", clear_route_cache);
    functions.add("declare_property", declare_property);
    functions.add("decline_body", decline_body);
    functions.add("set_envoy_filter_state", set_envoy_filter_state);
    functions.add("shared_data_delete", shared_data_delete);
    functions.add("vm_cloned", vm_cloned);
}

/// Returns the argument as zlib data. `BadArgument` for more than [`MAX_COMPRESS_ARGUMENT`] bytes.
fn compress(_: &mut ForeignCall<'_>, plain: &[u8]) -> Result<Vec<u8>, Status> {
    if plain.len() > MAX_COMPRESS_ARGUMENT {
        return Err(Status::BadArgument);
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .map_err(|_| Status::SerializationFailure)
}

/// Returns the plain bytes of the argument, which is zlib data. `BadArgument` for an argument of more than
/// [`MAX_UNCOMPRESS_ARGUMENT`] bytes, `SerializationFailure` for other data and for a result of more than
/// [`MAX_UNCOMPRESS_RESULT`] bytes.
fn uncompress(_: &mut ForeignCall<'_>, zlib: &[u8]) -> Result<Vec<u8>, Status> {
    if zlib.len() > MAX_UNCOMPRESS_ARGUMENT {
        return Err(Status::BadArgument);
    }
    let mut plain = Vec::new();
    let mut decoder = ZlibDecoder::new(zlib).take(MAX_UNCOMPRESS_RESULT as u64 + 1);
    decoder
        .read_to_end(&mut plain)
        .map_err(|_| Status::SerializationFailure)?;
    if plain.len() > MAX_UNCOMPRESS_RESULT {
        Err(Status::SerializationFailure)
    } else {
        Ok(plain)
    }
}

/// The route of the stream is looked up again, if it can still matter. Outside of a stream nothing happens.
fn clear_route_cache(call: &mut ForeignCall<'_>, _: &[u8]) -> Result<Vec<u8>, Status> {
    if let Some(stream) = call.stream() {
        stream.clear_route_cache();
    }
    Ok(Vec::new())
}

/// Envoy's `DeclarePropertyArguments` {name = 1, readonly = 2, type = 3, schema = 4, span = 5}. Declarations tell Envoy's
/// expression language how to read a property; there is none here, so a well-formed one changes nothing.
fn declare_property(_: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let mut name: &[u8] = b"";
    for field in protobuf::fields(arguments) {
        match field.map_err(|protobuf::Malformed| Status::BadArgument)? {
            (1, Field::Bytes(bytes)) => name = bytes,
            (4, Field::Bytes(_)) | (2 | 3 | 5, Field::Varint(_)) => {}
            (1..=5, _) => return Err(Status::BadArgument),
            // Fields of a later version.
            _ => {}
        }
    }
    if name.is_empty() {
        Err(Status::BadArgument)
    } else {
        Ok(Vec::new())
    }
}

/// Envoy's `SetEnvoyFilterStateArguments` {path = 1, value = 2, span = 3}: a note on the stream, read back as the property
/// `path` or `filter_state.path`. The span does not matter: a stream's notes live as long as it does.
fn set_envoy_filter_state(call: &mut ForeignCall<'_>, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let (mut path, mut value): (&[u8], &[u8]) = (b"", b"");
    for field in protobuf::fields(arguments) {
        match field.map_err(|protobuf::Malformed| Status::BadArgument)? {
            (1, Field::Bytes(bytes)) => path = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            (3, Field::Varint(_)) => {}
            (1..=3, _) => return Err(Status::BadArgument),
            _ => {}
        }
    }
    if path.is_empty() {
        return Err(Status::BadArgument);
    }
    let stream = call.stream().ok_or(Status::NotFound)?;
    if stream.set_filter_state(path, value) {
        Ok(Vec::new())
    } else {
        Err(Status::InternalFailure)
    }
}

/// The calling filter sees no more of the stream's body: of `request`, of `response`, or of both where the argument is
/// empty.
fn decline_body(call: &mut ForeignCall<'_>, direction: &[u8]) -> Result<Vec<u8>, Status> {
    let directions: &[StreamType] = match direction {
        b"request" => &[StreamType::HttpRequest],
        b"response" => &[StreamType::HttpResponse],
        b"" => &[StreamType::HttpRequest, StreamType::HttpResponse],
        _ => return Err(Status::BadArgument),
    };
    let stream = call.stream().ok_or(Status::NotFound)?;
    for direction in directions {
        stream.decline_body(*direction);
    }
    Ok(Vec::new())
}

/// Forgets the key of shared data that is the argument. `NotFound` where there is none.
fn shared_data_delete(call: &mut ForeignCall<'_>, key: &[u8]) -> Result<Vec<u8>, Status> {
    call.store().delete(key)?;
    Ok(Vec::new())
}

/// Tells a guest whether its VM continues from a snapshot: 8 bytes, little-endian; 0 if it does not, else a number that no
/// other VM of the process has. A guest that finds another number than it noted knows that its VM began from a snapshot
/// since, and that other VMs have the same random numbers from before.
fn vm_cloned(call: &mut ForeignCall<'_>, _: &[u8]) -> Result<Vec<u8>, Status> {
    Ok(call.snapshot_vm().to_le_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_state::MemoryStore;

    use super::*;
    use crate::property::tests::Fake;
    use crate::{Store, Stores};

    fn call(name: &str, arguments: &[u8]) -> Result<Vec<u8>, Status> {
        call_with(&MemoryStore::default(), name, arguments)
    }

    fn call_with(store: &dyn Store, name: &str, arguments: &[u8]) -> Result<Vec<u8>, Status> {
        let functions = ForeignFunctions::default();
        let function = functions.find(name).ok_or(Status::NotFound)?;
        function(&mut ForeignCall::new(None, store, "vm"), arguments)
    }

    #[test]
    fn the_names_that_envoys_users_know_and_ours() {
        assert_eq!(
            ForeignFunctions::default().names(),
            [
                "clear_route_cache",
                "compress",
                "declare_property",
                "decline_body",
                "set_envoy_filter_state",
                "shared_data_delete",
                "uncompress",
                "vm_cloned"
            ]
        );
        assert!(ForeignFunctions::none().find("compress").is_none());
    }

    #[test]
    fn an_embedder_can_add_and_replace() {
        let mut functions = ForeignFunctions::default();
        functions.add("vm_id", |call, arguments| {
            Ok([call.vm_id().as_bytes(), arguments].concat())
        });
        functions.add("compress", |_, _| Err(Status::InternalFailure));
        let data = MemoryStore::default();
        let mut call = ForeignCall::new(None, &data, "vm");
        assert_eq!(
            functions.find("vm_id").expect("added")(&mut call, b"!"),
            Ok(b"vm!".to_vec())
        );
        assert_eq!(
            functions.find("compress").expect("replaced")(&mut call, b""),
            Err(Status::InternalFailure)
        );
    }

    #[test]
    fn uncompress_stops_at_the_limit() {
        let zeros = |count: usize| {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&vec![0; count]).unwrap();
            encoder.finish().unwrap()
        };
        let bomb = zeros(MAX_UNCOMPRESS_RESULT + 1);
        assert!(bomb.len() < 64 << 10);
        assert_eq!(call("uncompress", &bomb), Err(Status::SerializationFailure));
        assert_eq!(
            call("uncompress", &zeros(MAX_UNCOMPRESS_RESULT)).map(|plain| plain.len()),
            Ok(MAX_UNCOMPRESS_RESULT)
        );
    }

    #[test]
    fn uncompress_takes_all_that_compress_may_give_and_no_more() {
        // Bytes that do not get shorter.
        let mut noise = vec![0; MAX_COMPRESS_ARGUMENT + 1];
        let mut state = 1_u64;
        for byte in &mut noise {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        assert_eq!(call("compress", &noise), Err(Status::BadArgument));
        noise.pop();
        let zlib = call("compress", &noise).unwrap();
        assert!(zlib.len() > MAX_COMPRESS_ARGUMENT);
        assert_eq!(call("uncompress", &zlib), Ok(noise));
        let padded = [zlib, vec![0; MAX_UNCOMPRESS_ARGUMENT]].concat();
        assert_eq!(call("uncompress", &padded), Err(Status::BadArgument));
    }

    #[test]
    fn uncompress_refuses_what_is_not_zlib_or_is_cut() {
        assert_eq!(
            call("uncompress", b"plain text"),
            Err(Status::SerializationFailure)
        );
        let whole = call("compress", b"some text").unwrap();
        assert_eq!(
            call("uncompress", &whole[..whole.len() - 5]),
            Err(Status::SerializationFailure)
        );
    }

    #[test]
    fn shared_data_is_deleted_in_the_callers_vm_id() {
        let stores = Stores::default();
        let (data, other) = (stores.of("vm"), stores.of("other"));
        data.set(b"key", b"1", 0).unwrap();
        other.set(b"key", b"2", 0).unwrap();
        assert_eq!(call_with(&*data, "shared_data_delete", b"key"), Ok(vec![]));
        assert_eq!(
            call_with(&*data, "shared_data_delete", b"key"),
            Err(Status::NotFound)
        );
        assert_eq!(other.usage().keys, 1);
    }

    #[test]
    fn filter_state_is_a_note_on_the_stream() {
        let (data, functions, mut stream) = (
            MemoryStore::default(),
            ForeignFunctions::default(),
            Fake::default(),
        );
        let set = functions.find("set_envoy_filter_state").expect("built in");
        // path "a.b", value "v", span 1
        let arguments = b"\x0a\x03a.b\x12\x01v\x18\x01";
        let mut call = ForeignCall::new(Some(&mut stream), &data, "vm");
        assert_eq!(set(&mut call, arguments), Ok(vec![]));
        assert_eq!(
            functions.find("clear_route_cache").expect("built in")(&mut call, b""),
            Ok(vec![])
        );
        assert!(stream.route_cache_cleared);
        assert_eq!(stream.notes.get(&b"a.b"[..]), Some(&b"v".to_vec()));

        stream.full = true;
        let mut call = ForeignCall::new(Some(&mut stream), &data, "vm");
        assert_eq!(set(&mut call, arguments), Err(Status::InternalFailure));
    }

    #[test]
    fn bodies_are_declined_by_direction() {
        let (data, functions) = (MemoryStore::default(), ForeignFunctions::default());
        let decline = functions.find("decline_body").expect("built in");
        let (request, response) = (StreamType::HttpRequest, StreamType::HttpResponse);
        for (argument, outcome, declined) in [
            (&b"request"[..], Ok(vec![]), vec![request]),
            (b"response", Ok(vec![]), vec![response]),
            (b"", Ok(vec![]), vec![request, response]),
            (b"both", Err(Status::BadArgument), vec![]),
        ] {
            let mut stream = Fake::default();
            let mut call = ForeignCall::new(Some(&mut stream), &data, "vm");
            assert_eq!(decline(&mut call, argument), outcome);
            assert_eq!(stream.declined, declined);
        }
    }

    #[test]
    fn a_proxys_function_finds_its_own_handle() {
        let (data, mut stream) = (MemoryStore::default(), Fake::default());
        let mut call = ForeignCall::new(Some(&mut stream), &data, "vm");
        call.stream_as::<Fake>().expect("it is one").full = true;
        assert!(stream.full);
        assert!(ForeignCall::new(None, &data, "vm").stream_as::<Fake>().is_none());
    }

    #[test]
    fn outside_of_a_stream() {
        assert_eq!(call("clear_route_cache", b""), Ok(vec![]));
        assert_eq!(call("decline_body", b""), Err(Status::NotFound));
        assert_eq!(
            call("set_envoy_filter_state", b"\x0a\x01p\x12\x01v"),
            Err(Status::NotFound)
        );
    }

    #[test]
    fn declarations_are_checked() {
        // name "p", readonly, type 1, schema "s", span 2, and a field of a later version
        let good = b"\x0a\x01p\x10\x01\x18\x01\x22\x01s\x28\x02\x30\x07";
        assert_eq!(call("declare_property", good), Ok(vec![]));
        assert_eq!(call("declare_property", b""), Err(Status::BadArgument), "no name");
        assert_eq!(
            call("declare_property", b"\x08\x01"),
            Err(Status::BadArgument),
            "a number as name"
        );
        assert_eq!(
            call("declare_property", &good[..2]),
            Err(Status::BadArgument),
            "cut"
        );
        assert_eq!(
            call("set_envoy_filter_state", b"\x12\x01v"),
            Err(Status::BadArgument),
            "no path"
        );
    }

    proptest! {
        #[test]
        fn compressing_and_uncompressing_give_the_bytes_back(plain: Vec<u8>) {
            let zlib = call("compress", &plain).unwrap();
            prop_assert_eq!(call("uncompress", &zlib), Ok(plain));
        }

        #[test]
        fn no_argument_panics(arguments: Vec<u8>) {
            for name in ForeignFunctions::default().names() {
                let _ = call(name, &arguments);
            }
        }
    }
}
