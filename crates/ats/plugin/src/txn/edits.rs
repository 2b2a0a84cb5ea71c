//! Changes of heads, as far as filters may make them.

use http::StatusCode;
use weir_host::{Edit, HeaderEdit};
use weir_http_rules::guest::{is_empty_te, is_reserved};
use weir_http_rules::method::needs_length;
use weir_http_rules::names::is_framing_field;
use weir_http_rules::pseudo::{self, is_request_pseudo};
use weir_http_rules::status::{is_bodiless, of_final_response};

use super::mime::{Head, is_name, is_value};
use super::templates::Templates;
use super::well_known::names;

/// A change of a request, pseudo-headers included.
pub(super) fn edit_request(head: Head, edit: HeaderEdit<'_>) -> Edit {
    match edit {
        HeaderEdit::Add(name, value) | HeaderEdit::Replace(name, value) if is_request_pseudo(name) => {
            set_pseudo(head, name, value)
        }
        // Without them there is no request; the host warns about it.
        HeaderEdit::Remove(name) if is_request_pseudo(name) => Edit::Invalid,
        HeaderEdit::SetAll(lines) => {
            let valid = |(name, value): &(&[u8], &[u8])| {
                if is_request_pseudo(name) {
                    pseudo_is_valid(head, name, value)
                } else {
                    is_name(name) && is_value(value)
                }
            };
            if !lines.iter().all(valid) {
                return Edit::Invalid;
            }
            head.retain(|name| name == b"host" || is_framing_field(name));
            for (name, value) in lines {
                let outcome = edit_request(head, HeaderEdit::Add(name, value));
                if outcome != Edit::Done {
                    return outcome;
                }
            }
            Edit::Done
        }
        edit => edit_field(head, edit),
    }
}

/// A change of a response, its status included.
pub(super) fn edit_response(head: Head, edit: HeaderEdit<'_>) -> Edit {
    match edit {
        HeaderEdit::Add(b":status", value) | HeaderEdit::Replace(b":status", value) => {
            match status_for(head, value) {
                Some(status) => {
                    head.set_status(status.as_u16());
                    Edit::Done
                }
                None => Edit::Invalid,
            }
        }
        HeaderEdit::Remove(b":status") => Edit::Invalid,
        HeaderEdit::SetAll(lines) => {
            let valid = |(name, value): &(&[u8], &[u8])| {
                if *name == b":status" {
                    status_for(head, value).is_some()
                } else {
                    is_name(name) && is_value(value)
                }
            };
            if !lines.iter().all(valid) {
                return Edit::Invalid;
            }
            head.retain(|name| is_framing_field(name));
            for (name, value) in lines {
                let outcome = edit_response(head, HeaderEdit::Add(name, value));
                if outcome != Edit::Done {
                    return outcome;
                }
            }
            Edit::Done
        }
        edit => edit_field(head, edit),
    }
}

/// The status that a response may get; `None` refuses the change. The server has framed the response by the status that it
/// found: under one that has no body it would still send a body, which the client takes for the next response, and under one
/// that has a body it would announce no length, so that the client waits for the end of the connection.
fn status_for(head: Head, value: &[u8]) -> Option<StatusCode> {
    let status = of_final_response(value)?;
    let framed_alike = is_bodiless(status.as_u16()) == is_bodiless(head.status());
    (framed_alike || head.is_empty()).then_some(status)
}

/// A change of an ordinary field. What frames the message and what belongs to the connection is the server's: such a
/// change is taken and has no effect, as on a proxy that strips and recomputes these fields afterwards.
fn edit_field(head: Head, edit: HeaderEdit<'_>) -> Edit {
    match edit {
        HeaderEdit::Add(name, value) => put(head, name, value, false),
        HeaderEdit::Replace(name, value) => put(head, name, value, true),
        HeaderEdit::Remove(name) => {
            if !is_framing_field(name) {
                head.remove(name);
            }
            Edit::Done
        }
        HeaderEdit::SetAll(_) => Edit::Invalid,
    }
}

/// Adds an ordinary field, perhaps in the place of all others of its name.
fn put(head: Head, name: &[u8], value: &[u8], replaces: bool) -> Edit {
    if is_empty_te(name, value) {
        return Edit::Done;
    }
    let replace = || replaces.then(|| head.replace_lines(name, value))?;
    let outcome = |done| if done { Edit::Done } else { Edit::Invalid };
    let mut templates = Templates::current();
    if let Some(template) = templates.as_mut().and_then(|templates| templates.get(name)) {
        // The name is one that filters may add.
        return outcome(template.takes(value) && replace().unwrap_or_else(|| template.add_to(head, value)));
    }
    if !(is_name(name) && is_value(value)) {
        return Edit::Invalid;
    }
    if is_reserved(name) {
        return Edit::Done;
    }
    outcome(replace().unwrap_or_else(|| {
        if let Some(templates) = &mut templates {
            templates.learn(name, value);
        }
        head.add(name, value)
    }))
}

fn set_pseudo(head: Head, name: &[u8], value: &[u8]) -> Edit {
    if !pseudo_is_valid(head, name, value) {
        return Edit::Invalid;
    }
    let done = match name {
        b":method" => {
            // The server refuses these without a length, and a request that had no body has none now.
            if needs_length(value)
                && !(head.has(names().content_length) || head.has(names().transfer_encoding))
            {
                head.add(b"Content-Length", b"0");
            }
            head.set_method(value)
        }
        b":path" => head.url().is_some_and(|url| url.set_path(value)),
        b":scheme" => match head.url() {
            // A request line without a host has no scheme either.
            Some(url) if !url.host().is_empty() => url.set_scheme(value),
            url => url.is_some(),
        },
        _ => {
            if let Some(url) = head.url()
                && !url.host().is_empty()
            {
                url.set_authority(value);
            }
            head.replace(b"Host", value)
        }
    };
    if done { Edit::Done } else { Edit::Invalid }
}

fn pseudo_is_valid(head: Head, name: &[u8], value: &[u8]) -> bool {
    match name {
        b":method" => {
            // The server frames the response by the method that it finds here, not by the one that the client sent.
            let now = head.method();
            let framed_alike = (now == b"HEAD") == (value == b"HEAD") && now != b"CONNECT";
            value == now || (framed_alike && pseudo::method(value).is_some())
        }
        b":path" => pseudo::path(value).is_some(),
        b":scheme" => pseudo::scheme(value).is_some(),
        _ => value.is_empty() || pseudo::authority(value).is_some(),
    }
}
