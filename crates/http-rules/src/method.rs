//! Methods: which requests have a body, and which say its length even where they have none.

/// Returns true for a method whose requests have no body as a rule. A request of another method that has come without a
/// length may have one.
#[inline]
pub fn is_bodiless(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"CONNECT" | b"DELETE"
    )
}

/// Returns true for a method that gives its body a meaning: a request without a body states a length of 0 (RFC 9110, 8.6).
/// Some servers, Traffic Server among them, refuse it otherwise.
#[inline]
pub fn needs_length(method: &[u8]) -> bool {
    matches!(method, b"POST" | b"PUT" | b"PATCH" | b"PUSH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_need_a_length_may_have_a_body() {
        for method in ["POST", "PUT", "PATCH", "PUSH"] {
            assert!(needs_length(method.as_bytes()) && !is_bodiless(method.as_bytes()));
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "DELETE"] {
            assert!(is_bodiless(method.as_bytes()) && !needs_length(method.as_bytes()));
        }
        // Neither is known of a method that no standard describes, nor of another spelling.
        for method in ["PURGE", "post", ""] {
            assert!(!is_bodiless(method.as_bytes()) && !needs_length(method.as_bytes()));
        }
    }
}
