//! Statuses: which end an exchange, which have no body, and their reason phrases.

use http::StatusCode;

/// Reads a `:status` that ends an exchange: 200 to 599.
///
/// After an informational status everything that follows on the connection would be out of step.
pub fn of_final_response(value: &[u8]) -> Option<StatusCode> {
    StatusCode::from_bytes(value)
        .ok()
        .filter(|status| !status.is_informational() && status.as_u16() < 600)
}

/// Returns true for a final status whose response has no body, whatever its fields say: 204, 205 and 304 (RFC 9110, 15.3.5,
/// 15.3.6 and 15.4.5).
pub const fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

/// Returns the reason phrase of a status for HTTP/1.1; `Unknown` for a status that has none.
pub fn reason_phrase(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_must_end_the_exchange() {
        for status in [&b"100"[..], b"199", b"600", b"abc", b"20", b""] {
            assert_eq!(of_final_response(status), None, "{status:?}");
        }
        assert_eq!(of_final_response(b"418"), Some(StatusCode::IM_A_TEAPOT));
    }

    #[test]
    fn every_status_has_a_phrase() {
        assert_eq!(reason_phrase(404), "Not Found");
        assert_eq!(reason_phrase(599), "Unknown");
        assert_eq!(reason_phrase(0), "Unknown");
    }
}
