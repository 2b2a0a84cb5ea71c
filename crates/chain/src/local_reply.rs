//! Answers that the proxy gives itself, on its own account or a filter's.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use weir_host::LocalResponse;
use weir_http_rules::content_type;
use weir_http_rules::guest::is_reserved;
use weir_http_rules::status::{is_bodiless, reason_phrase};

use crate::head::ResponseHead;

/// Reasons of this many bytes at most go into `grpc-message`.
const MAX_GRPC_MESSAGE: usize = 1024;

/// An answer with a plain text.
pub fn plain(status: u16, details: &str, body: &str) -> LocalResponse {
    LocalResponse {
        status,
        details: details.to_owned(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        grpc_status: None,
    }
}

/// An answer whose text is the status's reason phrase.
pub fn phrase(status: u16, details: &str) -> LocalResponse {
    plain(status, details, reason_phrase(status))
}

/// Turns an answer into a head and a body, as Envoy does: `content-length`, `content-type`, then the lines given. A
/// gRPC request gets status 200 and says the rest in `grpc-status` and `grpc-message`.
pub fn render(response: LocalResponse, request: &HeaderMap, method: &Method) -> (ResponseHead, Bytes) {
    if is_grpc(request) {
        return (grpc_head(&response), Bytes::new());
    }
    let mut status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_informational() {
        // hyper sends no informational answer as the final one, and no client could make sense of it.
        status = StatusCode::INTERNAL_SERVER_ERROR;
    }
    let mut fields = HeaderMap::with_capacity(response.headers.len() + 2);
    let bodiless = is_bodiless(status.as_u16());
    if !bodiless {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(response.body.len()));
    }
    if !response.body.is_empty() && !bodiless {
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    let mut typed = false;
    for (name, value) in &response.headers {
        let Some((name, value)) = line(name, value) else {
            continue;
        };
        if name == header::CONTENT_TYPE && !typed {
            typed = true;
            fields.insert(name, value);
        } else {
            fields.append(name, value);
        }
    }
    let body = if bodiless || method == Method::HEAD {
        Bytes::new()
    } else {
        Bytes::from(response.body)
    };
    (ResponseHead { status, fields }, body)
}

/// A line that can stand in a response. Others are dropped: the answer matters more than one of its lines.
fn line(name: &[u8], value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name).ok()?;
    let value = HeaderValue::from_bytes(value).ok()?;
    (!is_reserved(&name)).then_some((name, value))
}

fn is_grpc(request: &HeaderMap) -> bool {
    let kind = request.get(header::CONTENT_TYPE);
    kind.is_some_and(|value| content_type::is_grpc(value.as_bytes()))
}

fn grpc_head(response: &LocalResponse) -> ResponseHead {
    let status = response
        .grpc_status
        .unwrap_or_else(|| grpc_status(response.status));
    let mut fields = HeaderMap::with_capacity(response.headers.len() + 3);
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert("grpc-status", HeaderValue::from(status));
    if !response.body.is_empty()
        && let Ok(message) = HeaderValue::from_str(&percent_encode(&response.body))
    {
        fields.insert("grpc-message", message);
    }
    for (name, value) in &response.headers {
        if let Some((name, value)) = line(name, value)
            && name != header::CONTENT_TYPE
        {
            fields.append(name, value);
        }
    }
    ResponseHead {
        status: StatusCode::OK,
        fields,
    }
}

/// The gRPC status that stands for an HTTP status (gRPC, "HTTP to gRPC Status Code Mapping").
fn grpc_status(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Percent-encodes what gRPC does not allow in a message.
fn percent_encode(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.iter().take(MAX_GRPC_MESSAGE) {
        match byte {
            b' '..=b'~' if *byte != b'%' => encoded.push(char::from(*byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render_for(
        content_type: Option<&'static str>,
        method: &Method,
        response: LocalResponse,
    ) -> (ResponseHead, Bytes) {
        let mut request = HeaderMap::new();
        if let Some(content_type) = content_type {
            request.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        render(response, &request, method)
    }

    #[test]
    fn a_text_comes_with_length_and_type_and_bad_lines_are_dropped() {
        let mut response = plain(403, "denied", "Access forbidden.\n");
        response.headers = vec![
            (b"powered-by".to_vec(), b"proxy-wasm".to_vec()),
            (b"bad name".to_vec(), b"x".to_vec()),
            (b"transfer-encoding".to_vec(), b"chunked".to_vec()),
            (b"content-length".to_vec(), b"1".to_vec()),
        ];
        let (head, body) = render_for(None, &Method::GET, response);
        assert_eq!(head.status, 403);
        let lines: Vec<_> = head
            .fields
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
            .collect();
        assert_eq!(
            lines,
            [
                "content-length: 18",
                "content-type: text/plain",
                "powered-by: proxy-wasm"
            ]
        );
        assert_eq!(body, "Access forbidden.\n");
    }

    #[test]
    fn the_type_given_replaces_the_default() {
        let mut response = plain(200, "", "{}");
        response.headers = vec![(b"content-type".to_vec(), b"application/json".to_vec())];
        let (head, _) = render_for(None, &Method::GET, response);
        assert_eq!(head.fields.get_all(header::CONTENT_TYPE).iter().count(), 1);
        assert_eq!(head.fields[header::CONTENT_TYPE], "application/json");
    }

    #[test]
    fn no_body_for_head_and_204() {
        let (head, body) = render_for(None, &Method::HEAD, plain(404, "", "not here"));
        assert_eq!(head.fields[header::CONTENT_LENGTH], "8");
        assert!(body.is_empty());
        let (head, body) = render_for(None, &Method::GET, plain(204, "", "ignored"));
        assert!(head.fields.is_empty());
        assert!(body.is_empty());
    }

    #[test]
    fn grpc_is_told_in_its_own_words() {
        let mut response = plain(403, "", "no %\n");
        let (head, body) = render_for(Some("application/grpc+proto"), &Method::POST, response.clone());
        assert_eq!(head.status, 200);
        assert_eq!(head.fields["grpc-status"], "7");
        assert_eq!(head.fields["grpc-message"], "no %25%0A");
        assert!(body.is_empty());
        response.grpc_status = Some(9);
        let (head, _) = render_for(Some("application/grpc"), &Method::POST, response.clone());
        assert_eq!(head.fields["grpc-status"], "9");
        let (head, _) = render_for(Some("application/grpc-web"), &Method::POST, response);
        assert_eq!(head.status, 403);
    }
}
