//! The account of a VM, or of a `vm_id`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use weir_abi::limits::HOST_MEMORY_BLOCK;

use crate::{Ceiling, Charge};

/// The bytes that the host holds for one VM, or for one `vm_id`.
///
/// An account outlives its VM for as long as a charge does: bytes that a dead VM has left behind count for the process.
pub struct Account {
    held: AtomicUsize,
    limit: AtomicUsize,
    refused: AtomicU64,
    ceiling: Ceiling,
}

/// No room for a charge. Displays as the reason for a log line, with the key that makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The account holds as much as it may.
    Account {
        /// Its limit in bytes.
        limit: usize,
    },
    /// All accounts together hold as much as the process may.
    Process {
        /// The ceiling in bytes.
        limit: usize,
    },
}

impl Account {
    /// Opens an account that may hold this many bytes.
    pub fn new(limit: usize, ceiling: &Ceiling) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            refused: AtomicU64::new(0),
            ceiling: ceiling.clone(),
        })
    }

    /// Charges bytes that are about to be kept.
    ///
    /// # Errors
    ///
    /// There is no room; nothing was charged, and the refusal is counted.
    #[inline]
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, Full> {
        self.take(bytes)?;
        Ok(Charge::of(self, bytes))
    }

    /// Returns a charge of nothing that can grow.
    pub fn empty_charge(self: &Arc<Self>) -> Charge {
        Charge::of(self, 0)
    }

    /// Sets the limit in bytes. What is held beyond stays; nothing is added to it.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Raises the limit to this many bytes; a lower one changes nothing. For accounts that VMs with limits of their own share.
    pub fn raise_limit(&self, limit: usize) {
        self.limit.fetch_max(limit, Ordering::Relaxed);
    }

    /// Returns the bytes that are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns the limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Returns the number of charges that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns the ceiling that the account stands under.
    pub fn ceiling(&self) -> &Ceiling {
        &self.ceiling
    }

    #[inline]
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Full> {
        let limit = self.limit();
        if bytes > limit {
            return Err(self.refuse(Full::Account { limit }));
        }
        let old = self.held.fetch_add(bytes, Ordering::Relaxed);
        let new = old.saturating_add(bytes);
        // Every step over a border reaches the ceiling, also one that is taken back, so that the ceiling's sum stays right
        // whatever other threads do to the account between the steps.
        let blocks = blocks(new) - blocks(old);
        let fits = blocks == 0 || self.ceiling.add(blocks);
        if new <= limit && fits {
            return Ok(());
        }
        self.give_back(bytes);
        Err(self.refuse(if new > limit {
            Full::Account { limit }
        } else {
            Full::Process {
                limit: self.ceiling.limit(),
            }
        }))
    }

    #[inline]
    pub(crate) fn give_back(&self, bytes: usize) {
        let old = self.held.fetch_sub(bytes, Ordering::Relaxed);
        let blocks = blocks(old) - blocks(old.saturating_sub(bytes));
        if blocks != 0 {
            self.ceiling.remove(blocks);
        }
    }

    #[cold]
    fn refuse(&self, full: Full) -> Full {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.ceiling.count_refusal();
        full
    }
}

/// Bytes rounded up to whole blocks.
#[inline]
const fn blocks(bytes: usize) -> usize {
    bytes
        .div_ceil(HOST_MEMORY_BLOCK)
        .saturating_mul(HOST_MEMORY_BLOCK)
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({} of {})", self.held(), self.limit())
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, key) = match self {
            Self::Account { limit } => (limit, "limits.host_memory"),
            Self::Process { limit } => (limit, "host_memory of the process"),
        };
        write!(
            f,
            "the host would hold more than {limit} bytes for the filter ({key})"
        )
    }
}

impl std::error::Error for Full {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn charges_are_credited_when_dropped() {
        let account = Account::new(MIB, &Ceiling::default());
        let first = account.charge(MIB - 1).unwrap();
        assert_eq!(account.charge(2).unwrap_err(), Full::Account { limit: MIB });
        let second = account.charge(1).unwrap();
        assert_eq!((account.held(), account.refused()), (MIB, 1));
        drop((first, second));
        assert_eq!(account.held(), 0);
        assert!(account.charge(usize::MAX).is_err());
        assert_eq!((account.held(), account.ceiling().held()), (0, 0));
    }

    #[test]
    fn accounts_share_the_ceiling() {
        let ceiling = Ceiling::new(2 * MIB);
        let accounts = [(); 3].map(|()| Account::new(MIB, &ceiling));
        let charges: Vec<_> = accounts[..2]
            .iter()
            .map(|account| account.charge(MIB).unwrap())
            .collect();
        assert_eq!(
            accounts[2].charge(1).unwrap_err(),
            Full::Process { limit: 2 * MIB }
        );
        assert_eq!((ceiling.refused(), accounts[2].held()), (1, 0));
        drop(charges);
        assert!(accounts[2].charge(1).is_ok());
    }

    #[test]
    fn bytes_of_dropped_accounts_count_until_they_are_gone() {
        let ceiling = Ceiling::new(MIB);
        let account = Account::new(MIB, &ceiling);
        let charge = account.charge(MIB).unwrap();
        drop(account);
        assert_eq!(ceiling.held(), MIB);
        drop(charge);
        assert_eq!(ceiling.held(), 0);
    }

    #[test]
    fn threads_leave_nothing_behind() {
        let ceiling = Ceiling::new(4 * MIB);
        let account = Account::new(MIB, &ceiling);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (account, ceiling) = (&account, &ceiling);
                scope.spawn(move || {
                    let mut charges = Vec::new();
                    for step in 0..20_000 {
                        charges.extend(account.charge((thread * 7919 + step * 31) % 150_000));
                        if step % 3 == 0 {
                            charges.pop();
                        }
                        if charges.len() > 8 {
                            charges.clear();
                        }
                        assert!(ceiling.held() <= 8 * MIB);
                    }
                });
            }
        });
        assert_eq!((account.held(), ceiling.held()), (0, 0));
    }

    proptest! {
        #[test]
        fn the_ceiling_holds_the_blocks_of_its_accounts(steps in prop::collection::vec((0..3_usize, 0..200_000_usize, any::<bool>()), 0..200)) {
            let ceiling = Ceiling::new(2 * MIB);
            let accounts = [(); 3].map(|()| Account::new(MIB, &ceiling));
            let mut charges = Vec::new();
            for (account, bytes, drops) in steps {
                charges.extend(accounts[account].charge(bytes));
                if drops && !charges.is_empty() {
                    charges.swap_remove(bytes % charges.len());
                }
                prop_assert_eq!(ceiling.held(), accounts.iter().map(|account| blocks(account.held())).sum::<usize>());
                prop_assert!(ceiling.held() <= 2 * MIB);
                prop_assert_eq!(accounts.iter().map(|account| account.held()).sum::<usize>(), charges.iter().map(Charge::bytes).sum());
            }
        }
    }
}
