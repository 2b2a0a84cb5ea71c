//! Header lines of messages that the configuration spells out.

use weir_http_rules::names::{FRAMING_FIELDS, is_framing_field, is_token, is_value};

use crate::read::{Field, listed, quoted};

/// A map from field name to a value or a list of values.
pub(super) fn headers(field: &Field<'_>) -> Option<Vec<(String, String)>> {
    let mut lines = Vec::new();
    for (name, field) in field.named()? {
        if !is_token(name.as_bytes()) {
            field.report(format!("expected a header name, found {}", quoted(name)));
        } else if is_framing_field(name.to_ascii_lowercase()) {
            let framing = listed(FRAMING_FIELDS);
            field.report(format!("set by the proxy; expected none of {framing}"));
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
