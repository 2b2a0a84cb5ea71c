//! Arguments of foreign functions, read.

use std::net::{IpAddr, SocketAddr};

use weir_abi::Status;

/// Text, without the white space around it; some SDKs count a NUL at the end.
pub(super) fn text(arguments: &[u8]) -> Result<&str, Status> {
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(arguments);
    let text = std::str::from_utf8(arguments).map_err(|_| Status::BadArgument)?;
    Ok(text.trim())
}

/// The lines `name=value` of an argument; at least one.
pub(super) fn pairs(arguments: &[u8]) -> Result<Vec<(&str, &str)>, Status> {
    let pairs: Vec<_> = text(arguments)?
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            line.split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
        })
        .collect::<Option<_>>()
        .ok_or(Status::BadArgument)?;
    if pairs.is_empty() {
        Err(Status::BadArgument)
    } else {
        Ok(pairs)
    }
}

/// `on` or `off`.
pub(super) fn truth(text: &str) -> Result<bool, Status> {
    match text {
        "on" | "1" | "true" => Ok(true),
        "off" | "0" | "false" => Ok(false),
        _ => Err(Status::BadArgument),
    }
}

/// A whole number that is not negative.
pub(super) fn number(text: &str) -> Result<u32, Status> {
    text.parse::<u32>()
        .ok()
        .filter(|number| i32::try_from(*number).is_ok())
        .ok_or(Status::BadArgument)
}

/// The next hop of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hop<'a> {
    /// An address.
    Address(SocketAddr),
    /// A name, to be resolved, and a port.
    Name(&'a str, u16),
}

/// `address:port` or `name:port`; the port is 80 where none is given.
pub(super) fn hop(text: &str) -> Result<Hop<'_>, Status> {
    const PORT: u16 = 80;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return real(Hop::Address(address), address.port());
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Hop::Address(SocketAddr::new(address, PORT)));
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().map_err(|_| Status::BadArgument)?),
        None => (text, PORT),
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || name.len() > 255 || !name.bytes().all(legal) {
        return Err(Status::BadArgument);
    }
    real(Hop::Name(name, port), port)
}

fn real(hop: Hop<'_>, port: u16) -> Result<Hop<'_>, Status> {
    if port == 0 {
        Err(Status::BadArgument)
    } else {
        Ok(hop)
    }
}

/// An absolute URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port as they are written.
    pub authority: String,
    /// Path and query, where any are given.
    pub path: Option<String>,
}

/// An absolute URL of http or https, with a host.
pub(super) fn target(text: &str) -> Result<Target, Status> {
    let uri: http::Uri = text.parse().map_err(|_| Status::BadArgument)?;
    let scheme = uri.scheme_str().ok_or(Status::BadArgument)?.to_ascii_lowercase();
    let authority = uri.authority().ok_or(Status::BadArgument)?;
    if !matches!(scheme.as_str(), "http" | "https")
        || authority.host().is_empty()
        || authority.as_str().contains('@')
    {
        return Err(Status::BadArgument);
    }
    let (_, after) = text.split_once("://").ok_or(Status::BadArgument)?;
    Ok(Target {
        scheme,
        authority: authority.as_str().to_owned(),
        // A URL that ends with its host says nothing about the path.
        path: after
            .contains(['/', '?'])
            .then(|| uri.path_and_query().map(|path| path.as_str().to_owned()))
            .flatten(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: Status = Status::BadArgument;

    #[test]
    fn texts_and_pairs_are_read_without_blanks() {
        assert_eq!(text(b" a b\n\0"), Ok("a b"));
        assert_eq!(text(b"\xff"), Err(BAD));
        assert_eq!(
            pairs(b"a=1\r\n\n b = x = y \n"),
            Ok(vec![("a", "1"), ("b", "x = y")])
        );
        assert_eq!(pairs(b"a"), Err(BAD));
        assert_eq!(pairs(b" \n"), Err(BAD));
    }

    #[test]
    fn truths_and_numbers_are_read_or_refused() {
        assert_eq!(
            (truth("on"), truth("0"), truth("")),
            (Ok(true), Ok(false), Err(BAD))
        );
        assert_eq!(number("2147483647"), Ok(2_147_483_647));
        for bad in ["", "-1", "2147483648", "1s"] {
            assert_eq!(number(bad), Err(BAD), "{bad}");
        }
    }

    #[test]
    fn hops_are_addresses_or_names_with_a_port() {
        let address = |text: &str| Ok(Hop::Address(text.parse().expect("an address")));
        assert_eq!(hop("10.0.0.1:8080"), address("10.0.0.1:8080"));
        assert_eq!(hop("10.0.0.1"), address("10.0.0.1:80"));
        assert_eq!(hop("[::1]:81"), address("[::1]:81"));
        assert_eq!(hop("[::1]"), address("[::1]:80"));
        assert_eq!(hop("::1"), address("[::1]:80"));
        assert_eq!(hop("parent.example:3128"), Ok(Hop::Name("parent.example", 3128)));
        assert_eq!(hop("parent"), Ok(Hop::Name("parent", 80)));
        for bad in [
            "",
            ":80",
            "a:",
            "a:0",
            "10.0.0.1:0",
            "a b:80",
            "a/b",
            "a:65536",
            "a\0",
        ] {
            assert_eq!(hop(bad), Err(BAD), "{bad}");
        }
    }

    #[test]
    fn targets_are_whole_urls() {
        let whole = target("HTTPS://b.example:8443/x?y=z").expect("a URL");
        assert_eq!(
            (whole.scheme.as_str(), whole.authority.as_str()),
            ("https", "b.example:8443")
        );
        assert_eq!(whole.path.as_deref(), Some("/x?y=z"));
        assert_eq!(target("http://b.example").expect("a URL").path, None);
        assert_eq!(
            target("http://[::1]:80/").expect("a URL").path.as_deref(),
            Some("/")
        );
        for bad in [
            "",
            "/x",
            "b.example",
            "ftp://b/",
            "http:///x",
            "http://u@b/",
            "http://a b/",
        ] {
            assert_eq!(target(bad), Err(BAD), "{bad}");
        }
    }
}
