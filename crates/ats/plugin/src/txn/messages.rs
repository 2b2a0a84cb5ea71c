//! The messages of one transaction as filters see them: read and changed where they lie, in the server's memory.

use std::borrow::Cow;

use weir_abi::MapType;
use weir_ats_sys::{
    TS_SUCCESS, TSHttpTxn, TSHttpTxnClientReqGet, TSHttpTxnClientRespGet, TSHttpTxnServerReqGet,
    TSHttpTxnTransformRespGet,
};
use weir_chain::{Direction, FieldLines, Messages, ResponseHead};
use weir_host::{Edit, Fact, FactValue, HeaderEdit, Lookup};
use weir_http_rules::flags;
use weir_http_rules::method::is_bodiless;
use weir_http_rules::names::{is_connection_field, is_connection_field_of};

use super::access::Access;
use super::client;
use super::edits::{edit_request, edit_response};
use super::facts::{self, TxnFacts};
use super::mapping::Mapping;
use super::mime::Head;
use super::well_known::names;
use crate::net_thread::NetThread;
use crate::property;

/// The messages of one transaction, and what is known of it.
pub(crate) struct TxnMessages {
    /// The transaction; `None` once the server has ended it.
    txn: Option<TSHttpTxn>,
    /// The net thread on which it began.
    thread: &'static NetThread,
    /// Which head the response is.
    pub response: Response,
    /// The request to the origin has been made from the client's: what is changed now is changed in both.
    pub server_request: bool,
    /// The request is a HEAD.
    pub is_head: bool,
    /// The request has come with a `Transfer-Encoding`, which filters cannot change.
    pub request_is_coded: bool,
    /// The remap rule whose filters the request's head is with.
    pub mapping: Option<Mapping>,
    /// The server has gone on behind the mapping, where it makes `Host` that of the origin.
    pub host_is_mapped: bool,
    /// Facts beyond the messages.
    pub facts: TxnFacts,
    /// The rest of the messages when the transaction has ended, for contexts that wait for `proxy_done`.
    kept: Option<Box<Kept>>,
}

// SAFETY: the handle is an address. It is used by whoever works on the transaction, which is one thread at a time: the
// server's, under the transaction's mutex, or one of ours while the transaction waits for us; and both hold the lock of
// the net thread that the stream belongs to (`crate::net_thread`).
unsafe impl Send for TxnMessages {}
// SAFETY: nothing is changed through a shared reference, and one thread at a time works on the transaction.
unsafe impl Sync for TxnMessages {}

/// Which head is the response's.
pub(crate) enum Response {
    /// There is none yet.
    None,
    /// The one that goes to the client, at SEND_RESPONSE_HDR. Its framing is the server's.
    Client,
    /// The one of the transform, before its output has been opened.
    Transform(Framing),
    /// An answer of a filter, which the server does not have yet.
    Local(Box<ResponseHead>),
}

/// The length of a transformed response, as filters see it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    /// The value of `content-length`.
    pub length: Option<u64>,
    /// A filter removed it.
    pub removed: bool,
}

struct Kept {
    request: Vec<(Vec<u8>, Vec<u8>)>,
    response: Vec<(Vec<u8>, Vec<u8>)>,
}

impl TxnMessages {
    /// The messages of a transaction whose request has been read, and which begins on this net thread.
    ///
    /// # Safety
    ///
    /// The transaction exists until [`TxnMessages::end`] is called, under the lock of the thread.
    pub unsafe fn new(txn: TSHttpTxn, thread: &'static NetThread, facts: TxnFacts) -> Self {
        Self {
            txn: Some(txn),
            thread,
            response: Response::None,
            server_request: false,
            is_head: false,
            request_is_coded: true,
            mapping: None,
            host_is_mapped: false,
            facts,
            kept: None,
        }
    }

    /// The right to look into the transaction, or at what is left of it; see [`Access`].
    #[inline]
    pub fn access(&self) -> Option<Access> {
        Access::to(self.txn, self.thread)
    }

    /// The transaction, while the server has it.
    pub const fn txn(&self) -> Option<TSHttpTxn> {
        self.txn
    }

    /// The transaction ends. `keep`: somebody may still want to read the messages.
    pub fn end(&mut self, keep: bool) {
        if keep {
            self.facts.duration = self.txn.and_then(facts::elapsed);
            let mut kept = Box::new(Kept {
                request: Vec::new(),
                response: Vec::new(),
            });
            let push = |lines: &mut Vec<(Vec<u8>, Vec<u8>)>, name: &[u8], value: &[u8]| {
                lines.push((name.to_vec(), value.to_vec()));
            };
            self.visit_request(&mut |name, value| push(&mut kept.request, name, value));
            self.visit_response(&mut |name, value| push(&mut kept.response, name, value));
            self.kept = Some(kept);
        }
        self.txn = None;
    }

    /// The client's request.
    pub fn client_request(&self) -> Option<Head> {
        let txn = self.txn?;
        // SAFETY: the transaction exists (`new`), and with it its request.
        unsafe { Head::from_getter(|buffer, loc| TSHttpTxnClientReqGet(txn, buffer, loc) == TS_SUCCESS) }
    }

    /// The request to the origin, once there is one.
    pub fn origin_request(&self) -> Option<Head> {
        let txn = self.txn?;
        // SAFETY: the transaction exists (`new`); the getter says whether the message does.
        unsafe { Head::from_getter(|buffer, loc| TSHttpTxnServerReqGet(txn, buffer, loc) == TS_SUCCESS) }
    }

    /// The response's head in the server's memory.
    pub fn server_response(&self) -> Option<Head> {
        let txn = self.txn?;
        // SAFETY: the transaction exists (`new`); the getters say whether the message does, and it stays until the hook
        // or transform event is over that set `response`, or to the transaction's end.
        unsafe {
            match self.response {
                Response::Client => {
                    Head::from_getter(|buffer, loc| TSHttpTxnClientRespGet(txn, buffer, loc) == TS_SUCCESS)
                }
                Response::Transform(_) => {
                    Head::from_getter(|buffer, loc| TSHttpTxnTransformRespGet(txn, buffer, loc) == TS_SUCCESS)
                }
                Response::None | Response::Local(_) => None,
            }
        }
    }

    /// Appends `:authority`: the `Host` field, or else the host in the request line.
    pub fn authority(&self, out: &mut Vec<u8>) {
        if let Some(head) = self.client_request() {
            self.authority_of(head, out);
        }
    }

    /// Appends `:path`.
    pub fn path(&self, out: &mut Vec<u8>) {
        if let Some(head) = self.client_request() {
            self.path_of(head, out);
        }
    }

    fn authority_of(&self, head: Head, out: &mut Vec<u8>) {
        match (self.mapping, self.txn) {
            (Some(_), Some(txn)) if self.host_is_mapped || !head.has(names().host) => {
                Mapping::authority(txn, out);
            }
            _ => authority(head, out),
        }
    }

    fn path_of(&self, head: Head, out: &mut Vec<u8>) {
        match (self.mapping, self.txn) {
            (Some(mapping), Some(txn)) => mapping.path(txn, head, out),
            _ => {
                if let Some(url) = head.url() {
                    url.path(out);
                }
            }
        }
    }

    /// Looks at what the rest depends on, and whether the request has a body.
    pub fn look_at_request(&mut self) -> bool {
        let (Some(txn), Some(head)) = (self.txn, self.client_request()) else {
            return false;
        };
        let method = head.method();
        self.is_head = method == b"HEAD";
        self.request_is_coded = head.has(names().transfer_encoding);
        match head.content_length() {
            Some(length) => length > 0,
            None if self.request_is_coded => true,
            // HTTP/2 need not announce a body, and the server does not tell: it is expected where the method has one. What
            // comes with another method is refused before it is sent on (`Txn::on_send_request`).
            None => !is_bodiless(method) && client::is_http2(txn),
        }
    }

    fn request_value(&self, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        let Some(head) = self.client_request() else {
            return match &self.kept {
                Some(kept) => kept_value(&kept.request, name, out),
                None => Lookup::NoMap,
            };
        };
        match name {
            b":authority" => self.authority_of(head, out),
            b":path" => self.path_of(head, out),
            b"host" if self.mapping.is_some() && self.host_is_mapped => self.authority_of(head, out),
            b":method" => out.extend_from_slice(head.method()),
            b":scheme" => out.extend_from_slice(self.scheme(head).as_ref()),
            name if is_connection_field(name)
                && is_connection_field_of(name, head.has(names().connection)) =>
            {
                return Lookup::Missing;
            }
            name => return found(head.value(name, out)),
        }
        Lookup::Found
    }

    fn visit_request(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        let Some(head) = self.client_request() else {
            return match &self.kept {
                Some(kept) => kept_lines(&kept.request, visit),
                None => Lookup::NoMap,
            };
        };
        let mut text = Vec::with_capacity(64);
        self.authority_of(head, &mut text);
        visit(b":authority", &text);
        text.clear();
        self.path_of(head, &mut text);
        visit(b":path", &text);
        visit(b":method", head.method());
        visit(b":scheme", self.scheme(head).as_ref());
        let named = head.has(names().connection);
        head.visit(&mut |name, value| {
            if name != b"host" && !is_connection_field_of(name, named) {
                visit(name, value);
            }
        });
        Lookup::Found
    }

    fn scheme(&self, head: Head) -> Cow<'static, [u8]> {
        if let (Some(_), Some(txn)) = (self.mapping, self.txn)
            && let Some(scheme) = Mapping::scheme(txn)
        {
            return Cow::Owned(scheme);
        }
        let written = head.url().map(|url| url.scheme().to_vec()).unwrap_or_default();
        if !written.is_empty() {
            return Cow::Owned(written);
        }
        let tls = self.txn.is_some_and(facts::is_tls);
        Cow::Borrowed(if tls { b"https" } else { b"http" })
    }

    fn edit_request(&mut self, edit: HeaderEdit<'_>) -> Edit {
        let Some(client) = self.client_request() else {
            return Edit::Absent;
        };
        let outcome = match (self.mapping, self.txn) {
            (Some(mapping), Some(txn)) => mapping.edit(txn, client, edit),
            _ => edit_request(client, edit),
        };
        if let HeaderEdit::Add(b":method", _) | HeaderEdit::Replace(b":method", _) | HeaderEdit::SetAll(_) =
            edit
        {
            self.is_head = client.method() == b"HEAD";
        }
        // The server has made its copy already, so the copy is changed as well.
        if outcome == Edit::Done
            && self.server_request
            && let Some(origin) = self.origin_request()
        {
            edit_request(origin, edit);
        }
        outcome
    }

    fn response_value(&self, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        if let Response::Local(head) = &self.response {
            return head.value(name, out);
        }
        let Some(head) = self.server_response() else {
            return match &self.kept {
                Some(kept) if !kept.response.is_empty() => kept_value(&kept.response, name, out),
                _ => Lookup::NoMap,
            };
        };
        match name {
            b":status" => {
                out.extend_from_slice(head.status().to_string().as_bytes());
                Lookup::Found
            }
            b"content-length" if matches!(self.response, Response::Transform(_)) => match self.shown_length()
            {
                Some(length) => {
                    out.extend_from_slice(length.to_string().as_bytes());
                    Lookup::Found
                }
                None => Lookup::Missing,
            },
            name if is_connection_field(name)
                && is_connection_field_of(name, head.has(names().connection)) =>
            {
                Lookup::Missing
            }
            name => found(head.value(name, out)),
        }
    }

    fn visit_response(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        if let Response::Local(head) = &self.response {
            head.visit(visit);
            return Lookup::Found;
        }
        let Some(head) = self.server_response() else {
            return match &self.kept {
                Some(kept) if !kept.response.is_empty() => kept_lines(&kept.response, visit),
                _ => Lookup::NoMap,
            };
        };
        visit(b":status", head.status().to_string().as_bytes());
        let transformed = matches!(self.response, Response::Transform(_));
        let named = head.has(names().connection);
        head.visit(&mut |name, value| {
            if !(is_connection_field_of(name, named) || (transformed && name == b"content-length")) {
                visit(name, value);
            }
        });
        if transformed && let Some(length) = self.shown_length() {
            visit(b"content-length", length.to_string().as_bytes());
        }
        Lookup::Found
    }

    fn shown_length(&self) -> Option<u64> {
        match self.response {
            Response::Transform(framing) if !framing.removed => framing.length,
            _ => None,
        }
    }

    fn edit_response(&mut self, edit: HeaderEdit<'_>) -> Edit {
        if let Response::Local(head) = &mut self.response {
            return head.edit(edit);
        }
        let Some(head) = self.server_response() else {
            return Edit::Absent;
        };
        let outcome = edit_response(head, edit);
        if let (Edit::Done, Response::Transform(framing)) = (outcome, &mut self.response) {
            let removes = match edit {
                HeaderEdit::Remove(name) => name == b"content-length",
                HeaderEdit::SetAll(lines) => !lines.iter().any(|(name, _)| *name == b"content-length"),
                HeaderEdit::Add(..) | HeaderEdit::Replace(..) => false,
            };
            framing.removed |= removes;
        }
        outcome
    }
}

impl Messages for TxnMessages {
    fn head_count(&self, direction: Direction) -> usize {
        let Some(_access) = self.access() else {
            return 0;
        };
        match direction {
            Direction::Request => self.client_request().map_or(0, |head| {
                // The server refuses requests with two `Host` fields.
                4 + head.lines()
                    - usize::from(head.has(names().host))
                    - hidden_lines(head, self.request_is_coded)
            }),
            Direction::Response => {
                if let Response::Local(head) = &self.response {
                    return head.count();
                }
                let Some(head) = self.server_response() else {
                    return 0;
                };
                let mut count = 1 + head.lines() - hidden_lines(head, true);
                if matches!(self.response, Response::Transform(_)) {
                    count -= head.lines_of(names().content_length);
                    count += usize::from(self.shown_length().is_some());
                }
                count
            }
        }
    }

    /// The plugin interface of the server has no trailers.
    fn trailers_count(&self, _direction: Direction) -> Option<usize> {
        None
    }

    fn header(&self, map: MapType, name: &[u8], out: &mut Vec<u8>) -> Lookup {
        let Some(_access) = self.access() else {
            return Lookup::Busy;
        };
        match map {
            MapType::HttpRequestHeaders => self.request_value(name, out),
            MapType::HttpResponseHeaders => self.response_value(name, out),
            _ => Lookup::NoMap,
        }
    }

    fn headers(&self, map: MapType, visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
        let Some(_access) = self.access() else {
            return Lookup::Busy;
        };
        match map {
            MapType::HttpRequestHeaders => self.visit_request(visit),
            MapType::HttpResponseHeaders => self.visit_response(visit),
            _ => Lookup::NoMap,
        }
    }

    fn edit(&mut self, map: MapType, edit: HeaderEdit<'_>, may_add: bool) -> Edit {
        let Some(_access) = self.access() else {
            return Edit::Busy;
        };
        match map {
            MapType::HttpRequestHeaders => self.edit_request(edit),
            MapType::HttpResponseHeaders => self.edit_response(edit),
            _ => {
                if may_add {
                    warn_of_trailers();
                }
                Edit::Absent
            }
        }
    }

    fn fact(&self, fact: Fact) -> Option<FactValue> {
        let _access = self.access()?;
        facts::fact(self.txn, &self.facts, fact)
    }

    fn custom_property(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(_access) = self.access() else {
            return false;
        };
        self.txn.is_some_and(|txn| property::read(txn, path, out))
    }

    fn source_failed(&mut self, direction: Direction) {
        self.facts.flags |= match direction {
            Direction::Request => flags::DOWNSTREAM_TERMINATION,
            Direction::Response => flags::UPSTREAM_REMOTE_RESET,
        };
    }
}

/// A copy of a request's head for what wants one that lies outside of the server's memory.
pub(crate) fn content_type_and_method(messages: &TxnMessages) -> (http::HeaderMap, http::Method) {
    let mut fields = http::HeaderMap::new();
    let mut method = http::Method::GET;
    if let Some(head) = messages.client_request() {
        head.with_value(names().content_type, |value| {
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                fields.insert(http::header::CONTENT_TYPE, value);
            }
        });
        method = http::Method::from_bytes(head.method()).unwrap_or_default();
    }
    (fields, method)
}

fn authority(head: Head, out: &mut Vec<u8>) {
    let host = head.with_value(names().host, |value| out.extend_from_slice(value));
    if host.is_some() {
        return;
    }
    if let Some(url) = head.url() {
        out.extend_from_slice(url.host());
        if let Some(port) = url.port()
            && !url.host().is_empty()
        {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
    }
}

/// Number of lines of the fields that filters do not see ([`is_connection_field_of`]); `coded`: one may be
/// `Transfer-Encoding`.
fn hidden_lines(head: Head, coded: bool) -> usize {
    // Each look is a call of the server.
    let connection = head.lines_of(names().connection);
    let is_hidden =
        |name: &str| is_connection_field_of(name, connection > 0) && (coded || name != "transfer-encoding");
    let others = names().of_connections.iter().filter(|(name, _)| is_hidden(name));
    connection + others.map(|(_, name)| head.lines_of(*name)).sum::<usize>()
}

fn found(found: bool) -> Lookup {
    if found { Lookup::Found } else { Lookup::Missing }
}

fn kept_value(lines: &[(Vec<u8>, Vec<u8>)], name: &[u8], out: &mut Vec<u8>) -> Lookup {
    match lines.iter().find(|(known, _)| known == name) {
        Some((_, value)) => {
            out.extend_from_slice(value);
            Lookup::Found
        }
        None => Lookup::Missing,
    }
}

fn kept_lines(lines: &[(Vec<u8>, Vec<u8>)], visit: &mut dyn FnMut(&[u8], &[u8])) -> Lookup {
    lines.iter().for_each(|(name, value)| visit(name, value));
    Lookup::Found
}

#[cold]
fn warn_of_trailers() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            "a filter wants to add trailers; Traffic Server has no plugin interface for trailers, so they are dropped \
             (said once)"
        );
    });
}
