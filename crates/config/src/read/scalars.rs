//! Scalars with a meaning: switches, numbers, sizes, durations, choices.

use std::time::Duration;

use weir_abi::limits::CpuShare;

use super::field::Field;

impl Field<'_> {
    /// Any scalar, as text.
    pub(crate) fn string(&self) -> Option<String> {
        self.scalar("a string").map(str::to_owned)
    }

    /// `true` or `false`, or one of the spellings of YAML 1.1.
    pub(crate) fn boolean(&self) -> Option<bool> {
        self.boolean_or("true or false")
    }

    /// As [`Field::boolean`], where something else would be right too.
    pub(crate) fn boolean_or(&self, expected: &str) -> Option<bool> {
        match self.scalar(expected)?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => self.expected(expected),
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn number(&self, least: usize, most: usize) -> Option<usize> {
        let expected = match most {
            usize::MAX => format!("a whole number, at least {least}"),
            _ => format!("a whole number from {least} to {most}"),
        };
        match self.scalar(&expected)?.parse() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => self.expected(&expected),
        }
    }

    /// Bytes, such as `512`, `64KiB` or `1.5MB`; more than none.
    pub(crate) fn size(&self) -> Option<u64> {
        const EXPECTED: &str = "a size such as 65536, 64KiB or 1MiB";
        let text = self.scalar(EXPECTED)?;
        let bytes = with_unit(text, &SIZE_UNITS).or_else(|| text.parse().ok());
        bytes
            .filter(|bytes| *bytes > 0)
            .or_else(|| self.expected(EXPECTED))
    }

    /// A time span with its unit, such as `250ms`, `10s` or `1h30m`; longer than none.
    pub(crate) fn duration(&self) -> Option<Duration> {
        const EXPECTED: &str = "a duration with its unit such as 250ms, 10s, 5m or 1h";
        let text = self.scalar(EXPECTED)?;
        let nanos = spans(text).filter(|nanos| *nanos > 0);
        nanos
            .map(Duration::from_nanos)
            .or_else(|| self.expected(EXPECTED))
    }

    /// A share of a thread, such as `0.5`, in steps of a thousandth.
    pub(crate) fn cpu_share(&self) -> Option<CpuShare> {
        const EXPECTED: &str = "a share from 0.001 to 1";
        let text = self.scalar(EXPECTED)?;
        let thousandths = decimal(text, 1000).and_then(|share| u16::try_from(share).ok());
        thousandths
            .and_then(CpuShare::from_thousandths)
            .or_else(|| self.expected(EXPECTED))
    }

    /// One of several words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = match words.as_slice() {
            [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            _ => words.concat(),
        };
        let text = self.scalar(&expected)?;
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found
            .map(|(_, value)| *value)
            .or_else(|| self.expected(&expected))
    }
}

const SIZE_UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

const TIME_UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// `1h30m` in nanoseconds.
fn spans(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let unit = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        let end = rest[unit..]
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .map_or(rest.len(), |end| unit + end);
        total = total.checked_add(with_unit(&rest[..end], &TIME_UNITS)?)?;
        rest = rest[end..].trim_start();
    }
    Some(total)
}

/// A decimal number and one of `units`, multiplied.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text[number.len()..].to_ascii_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    decimal(number.trim_end(), *factor)
}

/// `1.5` times `factor`, exactly, cut to whole units; `None` for anything else than digits and one point.
fn decimal(text: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |part: &str| !part.is_empty() && part.len() <= 18 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = fraction.parse::<u128>().ok()? * u128::from(factor) / scale;
    let whole = whole.parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
    u64::try_from(whole + fraction).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        let second = 1_000_000_000;
        let cases = [
            ("250ms", Some(second / 4)),
            ("0.25s", Some(second / 4)),
            ("10s", Some(10 * second)),
            ("10 s", Some(10 * second)),
            ("1h30m", Some(5400 * second)),
            ("1m 1s", Some(61 * second)),
            ("1us", Some(1000)),
            ("2d", Some(172_800 * second)),
            ("1.5ns", Some(1)),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1s2", None),
            ("1..5s", None),
            ("1.s", None),
            ("1 week", None),
            ("9999999999d", None),
            ("é1s", None),
            ("1é", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(spans(text), nanos, "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let cases = [
            ("1KiB", Some(1024)),
            ("1kib", Some(1024)),
            ("1.5 MiB", Some(3 << 19)),
            ("10MB", Some(10_000_000)),
            ("7B", Some(7)),
            ("1K", None),
            ("MiB", None),
            ("99999999999TiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(with_unit(text, &SIZE_UNITS), bytes, "{text}");
        }
    }
}
