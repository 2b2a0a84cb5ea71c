//! CPU time of another process.

use anyhow::{Context, Result};

/// Clock ticks a second in `/proc`: fixed at 100 for user space on Linux, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU, user and system, that all threads of a process have used so far.
pub fn seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse(&stat).with_context(|| format!("{path} has another form"))
}

/// Fields 14 and 15 of `stat`; the second field, the name in parentheses, may hold blanks.
fn parse(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn user_and_system_time_are_added() {
        assert_eq!(
            parse("7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1"),
            Some(2.0)
        );
        assert_eq!(parse("7 (a"), None);
    }
}
