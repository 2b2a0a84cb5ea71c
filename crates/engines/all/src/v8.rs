//! Whether V8 may be opened in the address space that the process has.

use rustix::process::{Resource, getrlimit};
use weir_engine::Unavailable;

/// Addresses below which V8 is refused. V8 reserves 128 MiB and more for each VM and ends the process where it gets none, which
/// happens at once below 2 GiB; this is room for a hundred VMs.
const ADDRESSES: u64 = 16 << 30;

/// Refuses V8 where addresses may run out.
pub(crate) fn check_addresses() -> Result<(), Unavailable> {
    check(getrlimit(Resource::As).current)
}

fn check(limit: Option<u64>) -> Result<(), Unavailable> {
    match limit {
        Some(limit) if limit < ADDRESSES => Err(Unavailable {
            problem: format!(
                "addresses are limited to {} MiB (`ulimit -v`), and V8 ends the process when it runs out of them",
                limit >> 20
            ),
            remedy: "allow at least 16 GiB, bound memory by the control group (`MemoryMax=`) instead, or choose another runtime"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v8_is_refused_where_addresses_are_few() {
        assert!(check(None).is_ok() && check(Some(ADDRESSES)).is_ok());
        let refusal = check(Some(1 << 30)).unwrap_err();
        assert!(
            refusal.problem.contains("limited to 1024 MiB"),
            "{}",
            refusal.problem
        );
    }
}
