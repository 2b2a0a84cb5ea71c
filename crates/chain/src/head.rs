//! Heads of messages as filters see them: pseudo-headers first, then the fields in order.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, StatusCode, Version};
use weir_host::{Edit, HeaderEdit, Lookup};
use weir_http_rules::guest::{is_empty_te, is_reserved};
use weir_http_rules::names::is_forbidden_in_trailers;
use weir_http_rules::pseudo::{self, is_request_pseudo};
use weir_http_rules::request_path::RequestPath;
use weir_http_rules::{fields, status};

/// Most lines that a guest can bring a map to; `http::HeaderMap` has a bound of its own above this.
const MAX_LINES: usize = 4096;

/// Head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// `:method`.
    pub method: Method,
    /// `:scheme`.
    pub scheme: Scheme,
    /// `:authority`; empty where an HTTP/1.0 client named none.
    pub authority: Bytes,
    /// `:path`, with the query.
    pub path: RequestPath,
    /// The client's version.
    pub version: Version,
    /// The fields. A `host` field may stand among them and is hidden: filters see `:authority`, which is what is sent.
    pub fields: HeaderMap,
}

/// Head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// `:status`.
    pub status: StatusCode,
    /// The fields.
    pub fields: HeaderMap,
}

/// The operations of filters on a head or on trailers.
pub trait FieldLines {
    /// Value of the first line of a name.
    fn value(&self, name: &[u8], out: &mut Vec<u8>) -> Lookup;
    /// All lines, pseudo-headers first.
    fn visit(&self, visit: &mut dyn FnMut(&[u8], &[u8]));
    /// Number of lines that [`FieldLines::visit`] shows.
    fn count(&self) -> usize;
    /// Changes lines.
    fn edit(&mut self, edit: HeaderEdit<'_>) -> Edit;
}

impl FieldLines for RequestHead {
    fn value(&self, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        match name {
            b":authority" => found(&self.authority, out),
            b":path" => found(self.path.as_bytes(), out),
            b":method" => found(self.method.as_str().as_bytes(), out),
            b":scheme" => found(self.scheme.as_str().as_bytes(), out),
            name => first_line(&self.fields, name, out),
        }
    }

    fn visit(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        visit(b":authority", &self.authority);
        visit(b":path", self.path.as_bytes());
        visit(b":method", self.method.as_str().as_bytes());
        visit(b":scheme", self.scheme.as_str().as_bytes());
        for (name, value) in &self.fields {
            if name != header::HOST {
                visit(name.as_str().as_bytes(), value.as_bytes());
            }
        }
    }

    fn count(&self) -> usize {
        4 + self.fields.len() - self.fields.get_all(header::HOST).iter().count()
    }

    fn edit(&mut self, edit: HeaderEdit<'_>) -> Edit {
        match edit {
            HeaderEdit::Add(name, value) | HeaderEdit::Replace(name, value) if is_request_pseudo(name) => {
                self.set_pseudo(name, value)
            }
            // Without them there is no request; the host warns about it.
            HeaderEdit::Remove(name) if is_request_pseudo(name) => Edit::Invalid,
            HeaderEdit::SetAll(lines) => self.set_all(lines),
            edit => edit_fields(&mut self.fields, edit),
        }
    }
}

impl RequestHead {
    /// The head of a request as hyper's server gives it. `scheme` is that of the connection. Without a target URI of its own
    /// (HTTP/2, a proxy's client) the request's authority is its `host` field.
    pub fn from_parts(parts: http::request::Parts, scheme: Scheme) -> Self {
        let own = parts
            .uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let host = || parts.headers.get(header::HOST).map(HeaderValue::as_bytes);
        let authority = own.or_else(host).map_or_else(Bytes::new, Bytes::copy_from_slice);
        let path = parts.uri.path_and_query().cloned();
        Self {
            method: parts.method,
            scheme,
            authority,
            path: path.map_or_else(RequestPath::root, RequestPath::from),
            version: parts.version,
            fields: parts.headers,
        }
    }

    fn set_pseudo(&mut self, name: &[u8], value: &[u8]) -> Edit {
        let done = match name {
            b":path" => set(&mut self.path, RequestPath::new(value)),
            b":method" => set(&mut self.method, pseudo::method(value)),
            b":scheme" => set(&mut self.scheme, pseudo::scheme(value)),
            _ => set(&mut self.authority, parse_authority(value)),
        };
        if done { Edit::Done } else { Edit::Invalid }
    }

    fn set_all(&mut self, lines: &[(&[u8], &[u8])]) -> Edit {
        let mut new = Self {
            fields: HeaderMap::with_capacity(lines.len()),
            ..self.clone()
        };
        for (name, value) in lines {
            let outcome = if is_request_pseudo(name) {
                new.set_pseudo(name, value)
            } else {
                keep_length(&self.fields, &mut new.fields, name);
                new.edit(HeaderEdit::Add(name, value))
            };
            if outcome != Edit::Done {
                return outcome;
            }
        }
        *self = new;
        Edit::Done
    }
}

impl FieldLines for ResponseHead {
    fn value(&self, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        match name {
            b":status" => found(self.status.as_str().as_bytes(), out),
            name => first_line(&self.fields, name, out),
        }
    }

    fn visit(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        visit(b":status", self.status.as_str().as_bytes());
        self.fields.visit(visit);
    }

    fn count(&self) -> usize {
        1 + self.fields.len()
    }

    fn edit(&mut self, edit: HeaderEdit<'_>) -> Edit {
        match edit {
            HeaderEdit::Add(b":status", value) | HeaderEdit::Replace(b":status", value) => {
                self.set_status(value)
            }
            HeaderEdit::Remove(b":status") => Edit::Invalid,
            HeaderEdit::SetAll(lines) => {
                let mut new = Self {
                    fields: HeaderMap::with_capacity(lines.len()),
                    ..*self
                };
                for (name, value) in lines {
                    keep_length(&self.fields, &mut new.fields, name);
                    match new.edit(HeaderEdit::Add(name, value)) {
                        Edit::Done => {}
                        other => return other,
                    }
                }
                *self = new;
                Edit::Done
            }
            edit => edit_fields(&mut self.fields, edit),
        }
    }
}

impl ResponseHead {
    fn set_status(&mut self, value: &[u8]) -> Edit {
        if set(&mut self.status, status::of_final_response(value)) {
            Edit::Done
        } else {
            Edit::Invalid
        }
    }
}

/// Trailers.
impl FieldLines for HeaderMap {
    fn value(&self, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        first_line(self, name, out)
    }

    fn visit(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self {
            visit(name.as_str().as_bytes(), value.as_bytes());
        }
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn edit(&mut self, edit: HeaderEdit<'_>) -> Edit {
        let forbidden = |name: &[u8]| HeaderName::from_bytes(name).is_ok_and(is_forbidden_in_trailers);
        match edit {
            HeaderEdit::Add(name, _) | HeaderEdit::Replace(name, _) if forbidden(name) => Edit::Invalid,
            HeaderEdit::SetAll(lines) => {
                let mut new = Self::with_capacity(lines.len());
                for (name, value) in lines {
                    match FieldLines::edit(&mut new, HeaderEdit::Add(name, value)) {
                        Edit::Done => {}
                        other => return other,
                    }
                }
                *self = new;
                Edit::Done
            }
            edit => edit_fields(self, edit),
        }
    }
}

/// An authority as it may stand in a request. Empty is legal where a request has none.
pub fn parse_authority(value: &[u8]) -> Option<Bytes> {
    if value.is_empty() {
        return Some(Bytes::new());
    }
    pseudo::authority(value).map(|_| Bytes::copy_from_slice(value))
}

/// Takes a message's length, and the protocol that it asks for, over into the map that replaces its fields, where that names them:
/// the values are the proxy's.
fn keep_length(old: &HeaderMap, new: &mut HeaderMap, name: &[u8]) {
    let kept = match name {
        b"content-length" => header::CONTENT_LENGTH,
        b"upgrade" => header::UPGRADE,
        _ => return,
    };
    if let Some(value) = old.get(&kept) {
        new.insert(kept, value.clone());
    }
}

/// Changes ordinary fields. Setting a field that frames the message or belongs to one connection has no effect.
fn edit_fields(fields: &mut HeaderMap, edit: HeaderEdit<'_>) -> Edit {
    match edit {
        HeaderEdit::Add(name, value) | HeaderEdit::Replace(name, value) => {
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
                return Edit::Invalid;
            };
            if is_reserved(&name) || is_empty_te(&name, value.as_bytes()) {
                return Edit::Done;
            }
            if name == header::TE {
                // All of it that is passed on.
                fields.insert(name, HeaderValue::from_static("trailers"));
                return Edit::Done;
            }
            if fields.len() >= MAX_LINES {
                return Edit::Invalid;
            }
            let stored = if matches!(edit, HeaderEdit::Replace(..)) {
                fields.try_insert(name, value).is_ok()
            } else {
                fields.try_append(name, value).is_ok()
            };
            if stored { Edit::Done } else { Edit::Invalid }
        }
        HeaderEdit::Remove(name) => {
            if let Ok(name) = HeaderName::from_bytes(name) {
                fields::remove(fields, &name);
            }
            Edit::Done
        }
        HeaderEdit::SetAll(_) => Edit::Invalid,
    }
}

fn set<T>(place: &mut T, value: Option<T>) -> bool {
    value.map(|value| *place = value).is_some()
}

fn found(value: &[u8], out: &mut Vec<u8>) -> Lookup {
    out.extend_from_slice(value);
    Lookup::Found
}

fn first_line(fields: &HeaderMap, name: &[u8], out: &mut Vec<u8>) -> Lookup {
    // Looking up by text costs no allocation, unlike making a name of one that is not in the standard table.
    match std::str::from_utf8(name).ok().and_then(|name| fields.get(name)) {
        Some(value) => found(value.as_bytes(), out),
        None => Lookup::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> RequestHead {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("host", "a.example"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-two", "3"),
            ("x-three", "4"),
        ] {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        RequestHead {
            method: Method::GET,
            scheme: Scheme::HTTP,
            authority: Bytes::from_static(b"a.example"),
            path: RequestPath::new(b"/p?q").unwrap(),
            version: Version::HTTP_11,
            fields,
        }
    }

    fn lines(head: &dyn FieldLines) -> String {
        let mut text = String::new();
        head.visit(&mut |name, value| {
            text.push_str(&format!(
                "{}={} ",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value)
            ));
        });
        text
    }

    #[test]
    fn pseudo_headers_come_first_and_host_is_hidden() {
        let head = request();
        assert_eq!(
            lines(&head),
            ":authority=a.example :path=/p?q :method=GET :scheme=http x-one=1 x-two=2 x-two=3 x-three=4 "
        );
        assert_eq!(head.count(), 8);
    }

    #[test]
    fn replacing_keeps_the_place_of_the_first() {
        let mut head = request();
        assert_eq!(head.edit(HeaderEdit::Replace(b"x-two", b"new")), Edit::Done);
        assert_eq!(head.edit(HeaderEdit::Remove(b"x-one")), Edit::Done);
        assert_eq!(head.edit(HeaderEdit::Add(b"x-three", b"5")), Edit::Done);
        assert_eq!(
            lines(&head),
            ":authority=a.example :path=/p?q :method=GET :scheme=http x-two=new x-three=4 x-three=5 "
        );
    }

    #[test]
    fn pseudo_headers_are_checked() {
        let mut head = request();
        for (name, value) in [
            (&b":path"[..], &b"no-slash"[..]),
            (b":path", b"/sp ace"),
            (b":path", b"/x#fragment"),
            (b":method", b"GE T"),
            (b":authority", b"user@host"),
            (b":authority", b"a b"),
            (b":scheme", b"1:"),
        ] {
            assert_eq!(
                head.edit(HeaderEdit::Replace(name, value)),
                Edit::Invalid,
                "{name:?} {value:?}"
            );
        }
        assert_eq!(head.edit(HeaderEdit::Remove(b":path")), Edit::Invalid);
        assert_eq!(head.edit(HeaderEdit::Add(b":path", b"/new")), Edit::Done);
        assert_eq!(head.path.as_bytes(), b"/new");
        assert_eq!(head.edit(HeaderEdit::Add(b":path", b"/<\xff")), Edit::Done);
        assert_eq!(head.path.as_bytes(), b"/<\xff");
        assert_eq!(head.path.sent().as_str(), "/%3C%FF");
    }

    #[test]
    fn setting_all_keeps_missing_pseudo_headers_and_is_all_or_nothing() {
        let mut head = request();
        let before = lines(&head);
        assert_eq!(
            head.edit(HeaderEdit::SetAll(&[(b"ok", b"1"), (b"bad name", b"2")])),
            Edit::Invalid
        );
        assert_eq!(lines(&head), before);
        assert_eq!(
            head.edit(HeaderEdit::SetAll(&[
                (b":path", b"/n"),
                (b"b", b"1"),
                (b"a", b"\xff")
            ])),
            Edit::Done
        );
        assert_eq!(head.path.as_bytes(), b"/n");
        assert_eq!(head.method, Method::GET);
        assert_eq!(head.fields.len(), 2);
        let mut value = Vec::new();
        assert_eq!(head.value(b"a", &mut value), Lookup::Found);
        assert_eq!(value, b"\xff");
    }

    #[test]
    fn framing_and_connection_fields_are_not_the_guests_to_set() {
        let mut head = request();
        head.fields
            .insert(header::CONTENT_LENGTH, HeaderValue::from_static("4"));
        let before = lines(&head);
        for name in [
            "content-length",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "upgrade",
            "http2-settings",
        ] {
            for edit in [
                HeaderEdit::Add(name.as_bytes(), b"60"),
                HeaderEdit::Replace(name.as_bytes(), b"60"),
            ] {
                assert_eq!(head.edit(edit), Edit::Done);
                assert_eq!(lines(&head), before);
            }
        }
        let all: &[(&[u8], &[u8])] = &[
            (b"x-one", b"1"),
            (b"content-length", b"60"),
            (b"transfer-encoding", b"chunked"),
            (b"te", b"gzip"),
        ];
        assert_eq!(head.edit(HeaderEdit::SetAll(all)), Edit::Done);
        let pseudo = ":authority=a.example :path=/p?q :method=GET :scheme=http ";
        assert_eq!(lines(&head), format!("{pseudo}x-one=1 content-length=4 "));
        assert_eq!(
            head.edit(HeaderEdit::SetAll(&[(b"te", b"gzip, Trailers")])),
            Edit::Done
        );
        assert_eq!(lines(&head), format!("{pseudo}te=trailers "));
        assert_eq!(
            head.edit(HeaderEdit::Replace(b":method", b"CONNECT")),
            Edit::Invalid
        );
    }

    #[test]
    fn a_status_must_end_the_exchange() {
        let mut head = ResponseHead {
            status: StatusCode::OK,
            fields: HeaderMap::new(),
        };
        for status in [&b"100"[..], b"600", b"abc", b""] {
            assert_eq!(head.edit(HeaderEdit::Replace(b":status", status)), Edit::Invalid);
        }
        assert_eq!(head.edit(HeaderEdit::Replace(b":status", b"418")), Edit::Done);
        assert_eq!(head.status, 418);
    }

    #[test]
    fn trailers_hold_no_framing() {
        let mut trailers = HeaderMap::new();
        assert_eq!(
            FieldLines::edit(&mut trailers, HeaderEdit::Add(b"content-length", b"1")),
            Edit::Invalid
        );
        assert_eq!(
            FieldLines::edit(&mut trailers, HeaderEdit::Add(b"x-hash", b"1")),
            Edit::Done
        );
        assert_eq!(trailers.len(), 1);
    }
}
