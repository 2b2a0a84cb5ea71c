//! Charges to several accounts.

use std::sync::Arc;

use crate::{Account, Charge, Full};

/// Charges to the accounts of several VMs, for bytes that filters of a chain hold together. The first account, which is mostly
/// the only one, costs no allocation.
#[derive(Debug, Default)]
pub struct Charges {
    first: Charge,
    more: Vec<Charge>,
}

impl Charges {
    /// Charges bytes to an account.
    ///
    /// # Errors
    ///
    /// There is no room; nothing was charged.
    #[inline]
    pub fn charge(&mut self, account: &Arc<Account>, bytes: usize) -> Result<(), Full> {
        if self.first.is_of(account) {
            return self.first.grow(bytes);
        }
        self.add(account.charge(bytes)?);
        Ok(())
    }

    /// Credits an account with bytes that it was charged here.
    pub fn credit(&mut self, account: &Arc<Account>, bytes: usize) {
        let mut all = std::iter::once(&mut self.first).chain(&mut self.more);
        if let Some(charge) = all.find(|charge| charge.is_of(account)) {
            charge.shrink_to(charge.bytes().saturating_sub(bytes));
        }
    }

    /// Takes a charge in.
    pub fn add(&mut self, charge: Charge) {
        let mut charge = charge;
        for own in std::iter::once(&mut self.first).chain(&mut self.more) {
            match own.merge(charge) {
                Ok(()) => return,
                Err(others) => charge = others,
            }
        }
        self.more.push(charge);
    }

    /// Takes all charges of `others` in.
    pub fn append(&mut self, others: &mut Self) {
        let others = std::mem::take(others);
        self.add(others.first);
        others.more.into_iter().for_each(|charge| self.add(charge));
    }

    /// Returns the bytes charged to all accounts.
    pub fn bytes(&self) -> usize {
        let more = self.more.iter().map(Charge::bytes);
        self.first.bytes() + more.sum::<usize>()
    }

    /// Credits what all charges together have beyond this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let mut left = bytes;
        for charge in std::iter::once(&mut self.first).chain(&mut self.more) {
            charge.shrink_to(left);
            left -= charge.bytes().min(left);
        }
        if bytes == 0 {
            self.more.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Ceiling};

    #[test]
    fn each_account_is_charged_for_its_own() {
        let accounts = [(); 2].map(|()| Account::new(1000, &Ceiling::default()));
        let held = || accounts.each_ref().map(|account| account.held());
        let mut charges = Charges::default();
        charges.add(Charge::none());
        for (account, bytes) in [(0, 10), (1, 20), (0, 30)] {
            charges.add(accounts[account].charge(bytes).unwrap());
        }
        assert_eq!((charges.bytes(), held()), (60, [40, 20]));
        let mut all = Charges::default();
        all.add(accounts[1].charge(5).unwrap());
        all.append(&mut charges);
        assert_eq!((charges.bytes(), all.bytes()), (0, 65));
        all.charge(&accounts[0], 3).unwrap();
        all.charge(&accounts[1], 4).unwrap();
        assert_eq!(held(), [43, 29]);
        all.credit(&accounts[0], 3);
        all.credit(&accounts[1], 4);
        all.shrink_to(30);
        assert_eq!(held(), [5, 25]);
        all.shrink_to(0);
        assert_eq!(held(), [0, 0]);
    }
}
