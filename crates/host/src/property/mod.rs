//! Properties: Envoy's names, answered with Envoy's encodings (specification, `proxy_get_property`).
//!
//! Text and bytes go as they are; integers as 8 bytes, little-endian; truth as one byte; moments and spans as 8 bytes of
//! nanoseconds; maps as serialised pairs.

mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::time::{Duration, UNIX_EPOCH};

use smallvec::SmallVec;
use weir_abi::{MapType, Status, pairs};

use self::table::Answer;
use crate::{Fact, FactValue, Lookup, Stream};

/// The guest that asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PluginIdentity<'a> {
    /// Name of the plugin.
    pub name: &'a str,
    /// Its `root_id`.
    pub root_id: &'a str,
    /// The `vm_id` of its VM.
    pub vm_id: &'a str,
}

/// Appends the encoded value of a property to `out`. `path` has its segments joined by NUL, without a trailing one.
///
/// Asked in this order: Envoy's names, the stream's filter state (what guests stored), the proxy's own names.
/// `NotFound` where nobody knows the property or it has no value now; `SerializationFailure` where its value cannot be
/// turned into bytes.
pub(crate) fn read(
    path: &[u8],
    stream: Option<&dyn Stream>,
    plugin: &PluginIdentity<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    match well_known(path, stream, plugin, out) {
        Err(Status::NotFound) => {}
        answered => return answered,
    }
    let found =
        stream.is_some_and(|stream| stream.filter_state(path, out) || stream.custom_property(path, out));
    if found { Ok(()) } else { Err(Status::NotFound) }
}

fn well_known(
    path: &[u8],
    stream: Option<&dyn Stream>,
    plugin: &PluginIdentity<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    let answer = table::find(path);
    match answer {
        Some(Answer::PluginName) => out.extend_from_slice(plugin.name.as_bytes()),
        Some(Answer::PluginRootId) => out.extend_from_slice(plugin.root_id.as_bytes()),
        Some(Answer::PluginVmId) => out.extend_from_slice(plugin.vm_id.as_bytes()),
        Some(Answer::EmptyMessage) => {}
        Some(answer) => return of_stream(answer, stream.ok_or(Status::NotFound)?, out),
        None => return entry(path, stream.ok_or(Status::NotFound)?, out),
    }
    Ok(())
}

fn of_stream(answer: Answer, stream: &dyn Stream, out: &mut Vec<u8>) -> Result<(), Status> {
    match answer {
        Answer::Header(map, name) => found(stream.header(map, name, out)),
        Answer::Map(map) => whole_map(stream, map, out),
        Answer::MapBytes(map) => {
            let mut bytes = 0;
            found(stream.headers(map, &mut |name, value| bytes += name.len() + value.len()))?;
            int(
                i64::try_from(bytes).map_err(|_| Status::SerializationFailure)?,
                out,
            );
            Ok(())
        }
        Answer::UrlPath => path_part(stream, out, |path| {
            path.split(|byte| *byte == b'?').next().unwrap_or_default()
        }),
        Answer::Query => path_part(stream, out, |path| {
            let query = path
                .iter()
                .position(|byte| *byte == b'?')
                .map_or(&[][..], |mark| &path[mark + 1..]);
            query.split(|byte| *byte == b'#').next().unwrap_or_default()
        }),
        Answer::ResponseCode => number(stream, &[MapType::HttpResponseHeaders], b":status", out),
        Answer::GrpcStatus => number(
            stream,
            &[MapType::HttpResponseTrailers, MapType::HttpResponseHeaders],
            b"grpc-status",
            out,
        ),
        Answer::Fact(fact) => encode(stream.fact(fact).ok_or(Status::NotFound)?, out),
        Answer::Port(fact) => port(stream, fact, out),
        Answer::Composite => Err(Status::SerializationFailure),
        Answer::PluginName | Answer::PluginRootId | Answer::PluginVmId | Answer::EmptyMessage => {
            Err(Status::NotFound)
        }
    }
}

/// A part of a map, whose name is the guest's: `request.headers.X`, `filter_state.X` and the like.
fn entry(path: &[u8], stream: &dyn Stream, out: &mut Vec<u8>) -> Result<(), Status> {
    const MAPS: [(&[u8], MapType); 4] = [
        (b"request\0headers\0", MapType::HttpRequestHeaders),
        (b"request\0trailers\0", MapType::HttpRequestTrailers),
        (b"response\0headers\0", MapType::HttpResponseHeaders),
        (b"response\0trailers\0", MapType::HttpResponseTrailers),
    ];
    for (prefix, map) in MAPS {
        if let Some(name) = path.strip_prefix(prefix) {
            return joined_lines(stream, map, name, out);
        }
    }
    if let Some(name) = path.strip_prefix(b"filter_state\0") {
        // A value that `proxy_set_property` stored under `x` is `wasm.x` to others, as in Envoy.
        let stored = name.strip_prefix(b"wasm.").unwrap_or(name);
        if stream.filter_state(name, out) || stream.filter_state(stored, out) {
            return Ok(());
        }
    }
    Err(Status::NotFound)
}

/// All field lines of a name, joined by commas, as Envoy gives them.
fn joined_lines(stream: &dyn Stream, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
    let mut name: SmallVec<[u8; 64]> = name.iter().map(u8::to_ascii_lowercase).collect();
    if map == MapType::HttpRequestHeaders && name.as_slice() == b"host" {
        name = SmallVec::from_slice(b":authority");
    }
    let mut lines = 0;
    stream.headers(map, &mut |key, value| {
        if key == name.as_slice() {
            if lines > 0 {
                out.push(b',');
            }
            out.extend_from_slice(value);
            lines += 1;
        }
    });
    if lines > 0 { Ok(()) } else { Err(Status::NotFound) }
}

fn whole_map(stream: &dyn Stream, map: MapType, out: &mut Vec<u8>) -> Result<(), Status> {
    let mut size = pairs::Size::default();
    found(stream.headers(map, &mut |name, value| size.add(name, value)))?;
    let start = out.len();
    out.resize(start + size.bytes(), 0);
    let target = out.get_mut(start..).unwrap_or_default();
    let mut writer = pairs::Writer::new(target, size).map_err(|_| Status::SerializationFailure)?;
    let mut result = Ok(());
    stream.headers(map, &mut |name, value| {
        if result.is_ok() {
            result = writer.add(name, value);
        }
    });
    result
        .and_then(|()| writer.finish())
        .map_err(|_| Status::SerializationFailure)
}

/// Appends `:path` and keeps the part of it that `part` chooses.
fn path_part(stream: &dyn Stream, out: &mut Vec<u8>, part: impl Fn(&[u8]) -> &[u8]) -> Result<(), Status> {
    let mut path: SmallVec<[u8; 256]> = SmallVec::new();
    let mut seen = false;
    stream.headers(MapType::HttpRequestHeaders, &mut |name, value| {
        if !seen && name == b":path" {
            path.extend_from_slice(value);
            seen = true;
        }
    });
    if !seen {
        return Err(Status::NotFound);
    }
    out.extend_from_slice(part(&path));
    Ok(())
}

/// A number that a header holds as text, from the first of the maps that has it.
fn number(stream: &dyn Stream, maps: &[MapType], name: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
    let start = out.len();
    for map in maps {
        if stream.header(*map, name, out) == Lookup::Found {
            let text = out.get(start..).and_then(|text| std::str::from_utf8(text).ok());
            let value = text.and_then(|text| text.parse().ok());
            out.truncate(start);
            int(value.ok_or(Status::SerializationFailure)?, out);
            return Ok(());
        }
    }
    Err(Status::NotFound)
}

fn port(stream: &dyn Stream, fact: Fact, out: &mut Vec<u8>) -> Result<(), Status> {
    match stream.fact(fact) {
        Some(FactValue::Address(address)) => int(address.port().into(), out),
        Some(_) => return Err(Status::SerializationFailure),
        None => return Err(Status::NotFound),
    }
    Ok(())
}

fn encode(value: FactValue, out: &mut Vec<u8>) -> Result<(), Status> {
    match value {
        FactValue::Bytes(bytes) => out.extend_from_slice(&bytes),
        FactValue::Int(value) => int(value, out),
        FactValue::Bool(value) => out.push(u8::from(value)),
        FactValue::Time(time) => match time.duration_since(UNIX_EPOCH) {
            Ok(since) => int(nanoseconds(since)?, out),
            Err(before) => int(-nanoseconds(before.duration())?, out),
        },
        FactValue::Duration(duration) => int(nanoseconds(duration)?, out),
        FactValue::Address(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
    Ok(())
}

fn nanoseconds(duration: Duration) -> Result<i64, Status> {
    i64::try_from(duration.as_nanos()).map_err(|_| Status::SerializationFailure)
}

fn int(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn found(lookup: Lookup) -> Result<(), Status> {
    match lookup {
        Lookup::Found => Ok(()),
        Lookup::Missing | Lookup::NoMap => Err(Status::NotFound),
        Lookup::Busy => Err(Status::InternalFailure),
    }
}
