//! Content types that decide how a message is handled. All take the value of a `content-type` field, spelled in lower case.

const GRPC: &[u8] = b"application/grpc";

/// Returns true for a message of gRPC itself: `application/grpc`, alone or with a format such as `+proto`. gRPC-Web is
/// another protocol, with ordinary HTTP statuses.
pub fn is_grpc(value: &[u8]) -> bool {
    value
        .strip_prefix(GRPC)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
}

/// Returns true for a response whose receiver acts on each part when it comes: server-sent events, and gRPC in all its
/// variants. Nothing may wait for the end of such a body.
pub fn is_event_stream(value: &[u8]) -> bool {
    value.starts_with(b"text/event-stream") || value.starts_with(GRPC)
}

/// Returns true if the head of a response may wait until the length of its body is known. `content_type`: the value of the
/// field, if the response has it. Not where somebody listens for events ([`is_event_stream`]).
pub fn head_may_wait(content_type: Option<&[u8]>) -> bool {
    !content_type.is_some_and(is_event_stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_grpc_web() {
        for (value, grpc, events) in [
            ("application/grpc", true, true),
            ("application/grpc+proto", true, true),
            ("application/grpc-web", false, true),
            ("text/event-stream; charset=utf-8", false, true),
            ("text/plain", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_grpc(value.as_bytes()), grpc, "{value}");
            assert_eq!(is_event_stream(value.as_bytes()), events, "{value}");
            assert_eq!(head_may_wait(Some(value.as_bytes())), !events, "{value}");
        }
        assert!(head_may_wait(None));
    }
}
