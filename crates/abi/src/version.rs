//! Versions of the ABI and the marker exports by which modules name theirs.

use std::fmt;

/// A version of the Proxy-Wasm ABI. Later versions compare greater.
///
/// Every version gets the same imports, because modules do not keep to their own marker. The version decides what the
/// methods of this type say, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AbiVersion {
    /// 0.1.0: header callbacks without `end_of_stream`, `proxy_get_configuration`.
    V0_1_0,
    /// 0.2.0: configuration in buffers, `proxy_continue_stream`.
    V0_2_0,
    /// 0.2.1: adds `proxy_get_log_level`.
    V0_2_1,
}

impl AbiVersion {
    /// Every version, oldest first.
    pub const ALL: &'static [Self] = &[Self::V0_1_0, Self::V0_2_0, Self::V0_2_1];

    /// Name of the function, `() -> ()` and never called, that a module of this version exports.
    pub const fn marker(self) -> &'static str {
        match self {
            Self::V0_1_0 => "proxy_abi_version_0_1_0",
            Self::V0_2_0 => "proxy_abi_version_0_2_0",
            Self::V0_2_1 => "proxy_abi_version_0_2_1",
        }
    }

    /// The version that an export of this name marks. Of several markers in a module, the first exported counts.
    pub fn from_marker(export: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|version| version.marker() == export)
    }

    /// The version's name, such as `0.2.1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
        }
    }

    /// True if the headers callbacks take `end_of_stream` as a third parameter.
    pub const fn headers_carry_end_of_stream(self) -> bool {
        !matches!(self, Self::V0_1_0)
    }

    /// True if `proxy_get_header_map_value` answers `NotFound` for a header that is missing. In 0.1.0 it answers `Ok`
    /// with an empty value.
    pub const fn missing_header_is_not_found(self) -> bool {
        !matches!(self, Self::V0_1_0)
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_name_their_version() {
        for version in AbiVersion::ALL {
            assert_eq!(AbiVersion::from_marker(version.marker()), Some(*version));
            assert_eq!(
                version.marker(),
                format!("proxy_abi_version_{}", version.name().replace('.', "_"))
            );
        }
        assert_eq!(AbiVersion::from_marker("proxy_abi_version_0_2_100"), None);
        assert!(AbiVersion::V0_1_0 < AbiVersion::V0_2_0 && AbiVersion::V0_2_0 < AbiVersion::V0_2_1);
    }
}
