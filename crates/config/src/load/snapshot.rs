//! `snapshot:`.

use weir_http_rules::pseudo;

use super::bytes::configuration;
use super::headers::headers;
use super::or;
use crate::read::{Field, quoted};
use crate::{Snapshot, WarmUp};

/// `true`, `false`, or a map with what is to be done before.
pub(super) fn read(field: &Field<'_>) -> Option<Snapshot> {
    if !field.is_map() {
        let on = field.boolean_or("true, false or a map with warm_up")?;
        return on.then(Snapshot::default);
    }
    let keys = field.keys()?;
    let warm_up = or(keys.take("warm_up"), Vec::new(), |field| {
        Some(field.items()?.iter().filter_map(request).collect())
    });
    keys.finish();
    Some(Snapshot { warm_up })
}

/// Reads one made-up request into the form in which a guest sees it.
fn request(field: &Field<'_>) -> Option<WarmUp> {
    let keys = field.keys()?;
    let method = or(keys.take("method"), "GET".to_owned(), |field| {
        let name = field.string()?;
        if pseudo::method(name.as_bytes()).is_some() {
            return Some(name);
        }
        field.report(format!("expected a method such as GET, found {}", quoted(&name)));
        None
    });
    let path = or(keys.take("path"), "/".to_owned(), |field| {
        let path = field.string()?;
        if pseudo::path(path.as_bytes()).is_some() {
            return Some(path);
        }
        field.report(format!(
            "expected a path as it stands in a request, such as /search?q=%20, found {}",
            quoted(&path)
        ));
        None
    });
    let authority = or(
        keys.take_any(&["authority", "host"]),
        "localhost".to_owned(),
        Field::string,
    );
    let fields = or(keys.take("headers"), Vec::new(), headers);
    let body = or(keys.take("body"), Vec::new(), configuration);
    keys.finish();
    let line = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let mut headers = vec![
        line(":method", &method),
        line(":path", &path),
        line(":authority", &authority),
        line(":scheme", "http"),
    ];
    let fields = fields.iter();
    headers.extend(fields.map(|(name, value)| line(&name.to_ascii_lowercase(), value)));
    if !body.is_empty() {
        headers.push(line("content-length", &body.len().to_string()));
    }
    Some(WarmUp { headers, body })
}
