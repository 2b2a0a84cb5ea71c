//! Header lines of messages that the configuration spells out.

use weir_http_rules::names::{is_token, is_value};

use crate::read::{Field, listed, quoted};

/// A map from field name to a value or a list of values.
pub(super) fn headers(field: &Field<'_>) -> Option<Vec<(String, String)>> {
    /// The proxy frames the answer itself.
    const OWN: [&str; 3] = ["connection", "content-length", "transfer-encoding"];
    let mut lines = Vec::new();
    for (name, field) in field.named()? {
        if !is_token(name.as_bytes()) {
            field.report(format!("expected a header name, found {}", quoted(name)));
        } else if OWN.contains(&name.to_ascii_lowercase().as_str()) {
            field.report(format!("set by the proxy; expected none of {}", listed(OWN)));
        }
        for value in field.items_or_one() {
            const EXPECTED: &str = "a header value without line break";
            match value.scalar(EXPECTED) {
                Some(text) if !is_value(text.as_bytes()) => {
                    value.expected::<()>(EXPECTED);
                }
                Some(text) => lines.push((name.to_owned(), text.to_owned())),
                None => {}
            }
        }
    }
    Some(lines)
}
