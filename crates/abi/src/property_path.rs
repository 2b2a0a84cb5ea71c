//! Property paths as they come over the wire: segments joined by NUL (specification, `proxy_get_property`).

/// The path without the one trailing NUL that the C++ SDK sometimes sends. Exactly one is cut.
pub fn strip(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"\0").unwrap_or(path)
}

/// The segments of a path, one trailing NUL ignored. Dots do not separate: a header name with dots is one segment. An
/// empty path has one empty segment.
pub fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    strip(path).split(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(path: &[u8]) -> Vec<&[u8]> {
        segments(path).collect()
    }

    #[test]
    fn paths_of_sdks() {
        assert_eq!(
            split(b"request\0headers\0x.y"),
            [&b"request"[..], b"headers", b"x.y"]
        );
        assert_eq!(split(b"plugin_root_id"), [b"plugin_root_id"]);
        assert_eq!(split(b"plugin_root_id\0"), [b"plugin_root_id"]);
        assert_eq!(split(b"a\0\0"), [&b"a"[..], b""]);
        assert_eq!(split(b""), [b""]);
    }

    proptest! {
        #[test]
        fn joining_segments_gives_the_path_back(path: Vec<u8>) {
            let joined = split(&path).join(&0);
            prop_assert_eq!(joined, strip(&path));
        }
    }
}
