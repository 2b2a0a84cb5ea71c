//! Numbers of bytes for people.

use std::fmt;

const UNITS: [(u64, &str); 2] = [(1 << 20, "MiB"), (1 << 10, "KiB")];

/// A number of bytes, for messages to people. Displayed exactly, in the largest binary unit that divides it (`192 KiB`,
/// `1001 bytes`), as limits are written. With a precision (`{:.1}`) displayed rounded, in the largest unit that the number
/// reaches (`103.7 KiB`), as measured sizes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        match f.precision() {
            Some(digits) => match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
                Some((unit, name)) => write!(f, "{:.digits$} {name}", bytes as f64 / *unit as f64),
                None => write!(f, "{bytes} bytes"),
            },
            None => match UNITS
                .iter()
                .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
            {
                Some((unit, name)) => write!(f, "{} {name}", bytes / unit),
                None => write!(f, "{bytes} bytes"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact_and_measured_sizes_are_rounded() {
        for (bytes, exact, rounded) in [
            (0, "0 bytes", "0 bytes"),
            (7, "7 bytes", "7 bytes"),
            (1_001, "1001 bytes", "1001 bytes"),
            (1_025, "1025 bytes", "1.0 KiB"),
            (1_536, "1536 bytes", "1.5 KiB"),
            (192 << 10, "192 KiB", "192.0 KiB"),
            (3 << 20, "3 MiB", "3.0 MiB"),
            (5 << 30, "5120 MiB", "5120.0 MiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), exact);
            assert_eq!(format!("{:.1}", ByteSize(bytes)), rounded);
        }
    }
}
