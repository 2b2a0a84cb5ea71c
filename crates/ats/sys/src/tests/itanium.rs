//! The C++ mangling of the plugin API's functions, worked out from the Rust signatures.

/// A type as the mangling sees it.
#[derive(Clone, PartialEq, Debug)]
enum Type {
    Builtin(char),
    Named(&'static str),
    Pointer(Box<Type>),
    Const(Box<Type>),
    /// The result, then the arguments.
    Function(Vec<Type>),
}

/// The C++ symbol of a function that is no member of anything.
pub(super) fn mangle(name: &str, arguments: &[&'static str]) -> String {
    let mut text = format!("_Z{}{name}", name.len());
    let mut seen = Vec::new();
    for argument in arguments {
        write(&parse(argument), &mut seen, &mut text);
    }
    if arguments.is_empty() {
        text.push('v');
    }
    text
}

fn parse(rust: &'static str) -> Type {
    if let Some(inner) = rust.strip_prefix("*mut ") {
        return pointer(parse(inner));
    }
    if let Some(inner) = rust.strip_prefix("*const ") {
        return pointer(Type::Const(Box::new(parse(inner))));
    }
    match rust {
        "c_char" => Type::Builtin('c'),
        "c_uchar" => Type::Builtin('h'),
        "c_void" => Type::Builtin('v'),
        "bool" => Type::Builtin('b'),
        "u16" => Type::Builtin('t'),
        "c_int" => Type::Builtin('i'),
        "c_uint" | "u32" => Type::Builtin('j'),
        "i64" | "time_t" | "TSHRTime" => Type::Builtin('l'),
        "u64" | "usize" => Type::Builtin('m'),
        "f32" => Type::Builtin('f'),
        "TSEventFunc" => {
            let cont = pointer(Type::Named("tsapi_cont"));
            let data = pointer(Type::Builtin('v'));
            pointer(Type::Function(vec![
                Type::Builtin('i'),
                cont,
                Type::Named("TSEvent"),
                data,
            ]))
        }
        "TSThreadFunc" => {
            let data = pointer(Type::Builtin('v'));
            pointer(Type::Function(vec![data.clone(), data]))
        }
        _ => handle(rust).map_or(Type::Named(rust), |inside| pointer(Type::Named(inside))),
    }
}

fn pointer(to: Type) -> Type {
    Type::Pointer(Box::new(to))
}

/// The C structure that a handle points to.
fn handle(rust: &str) -> Option<&'static str> {
    Some(match rust {
        "TSHttpTxn" => "tsapi_httptxn",
        "TSHttpSsn" => "tsapi_httpssn",
        "TSCont" | "TSVConn" => "tsapi_cont",
        "TSMutex" => "tsapi_mutex",
        "TSMBuffer" => "tsapi_mbuffer",
        "TSMLoc" => "tsapi_mloc",
        "TSVIO" => "tsapi_vio",
        "TSIOBuffer" => "tsapi_iobuffer",
        "TSIOBufferReader" => "tsapi_bufferreader",
        "TSIOBufferBlock" => "tsapi_bufferblock",
        "TSAction" => "tsapi_action",
        "TSThread" => "tsapi_thread",
        "TSEventThread" => "tsapi_event_thread",
        "TSCacheKey" => "tsapi_cachekey",
        "TSPortDescriptor" => "tsapi_port",
        "TSHttpParser" => "tsapi_httpparser",
        "TSMimeParser" => "tsapi_mimeparser",
        "TSHostLookupResult" => "tsapi_hostlookupresult",
        _ => return None,
    })
}

/// Appends a type; one that was written before is a reference to its place.
fn write(what: &Type, seen: &mut Vec<Type>, text: &mut String) {
    if let Type::Builtin(letter) = what {
        return text.push(*letter);
    }
    if let Some(place) = seen.iter().position(|known| known == what) {
        text.push('S');
        if let Some(digit) = place.checked_sub(1) {
            text.extend(char::from_digit(digit as u32, 36).map(|c| c.to_ascii_uppercase()));
        }
        return text.push('_');
    }
    match what {
        Type::Builtin(_) => {}
        Type::Named(name) => text.push_str(&format!("{}{name}", name.len())),
        Type::Pointer(inner) => {
            text.push('P');
            write(inner, seen, text);
        }
        Type::Const(inner) => {
            text.push('K');
            write(inner, seen, text);
        }
        Type::Function(parts) => {
            text.push('F');
            parts.iter().for_each(|part| write(part, seen, text));
            text.push('E');
        }
    }
    seen.push(what.clone());
}
