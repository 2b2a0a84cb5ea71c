//! Charges to an account.

use std::fmt;
use std::sync::Arc;

use crate::{Account, Full};

/// Bytes that an account has been charged. Kept beside the bytes; dropping it credits the account.
#[derive(Default)]
pub struct Charge {
    account: Option<Arc<Account>>,
    bytes: usize,
}

impl Charge {
    /// A charge of nothing, to no account: for bytes that no guest asked for.
    pub const fn none() -> Self {
        Self {
            account: None,
            bytes: 0,
        }
    }

    pub(crate) fn of(account: &Arc<Account>, bytes: usize) -> Self {
        Self {
            account: Some(Arc::clone(account)),
            bytes,
        }
    }

    /// Returns the bytes charged.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Charges more bytes to the same account. A charge to no account takes everything.
    ///
    /// # Errors
    ///
    /// There is no room; the charge is what it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        if let Some(account) = &self.account {
            account.take(bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Charges the same account for something else.
    ///
    /// # Errors
    ///
    /// There is no room.
    pub fn another(&self, bytes: usize) -> Result<Self, Full> {
        match &self.account {
            Some(account) => account.charge(bytes),
            None => Ok(Self::none()),
        }
    }

    /// Credits what is charged beyond this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(account) = &self.account
            && self.bytes > bytes
        {
            account.give_back(self.bytes - bytes);
            self.bytes = bytes;
        }
    }

    /// Returns true for a charge to this account.
    #[inline]
    pub(crate) fn is_of(&self, account: &Arc<Account>) -> bool {
        self.account.as_ref().is_some_and(|own| Arc::ptr_eq(own, account))
    }

    /// Takes another charge in, if it is to the same account; else gives it back.
    pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
        match (&self.account, &other.account) {
            (_, None) => Ok(()),
            (None, Some(_)) => {
                *self = other;
                Ok(())
            }
            (Some(own), Some(others)) if Arc::ptr_eq(own, others) => {
                self.bytes += std::mem::take(&mut other.bytes);
                Ok(())
            }
            _ => Err(other),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(account) = &self.account
            && self.bytes > 0
        {
            account.give_back(self.bytes);
        }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({})", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ceiling;

    #[test]
    fn charges_grow_and_shrink_within_their_account() {
        let account = Account::new(100, &Ceiling::default());
        let mut charge = account.charge(10).unwrap();
        charge.grow(90).unwrap();
        assert_eq!(charge.grow(1), Err(Full::Account { limit: 100 }));
        charge.shrink_to(30);
        charge.shrink_to(50);
        assert_eq!((charge.bytes(), account.held()), (30, 30));
        charge.merge(account.charge(5).unwrap()).unwrap();
        assert!(charge.another(66).is_err() && charge.another(65).is_ok());
        let other = Account::new(100, &Ceiling::default());
        let charge = charge.merge(other.charge(7).unwrap()).unwrap_err();
        assert_eq!((charge.bytes(), other.held(), account.held()), (7, 7, 35));
    }

    #[test]
    fn charges_to_nobody_cost_nothing() {
        let mut none = Charge::none();
        none.grow(usize::MAX).unwrap();
        assert_eq!(none.bytes(), 0);
        let account = Account::new(100, &Ceiling::default());
        none.merge(account.charge(7).unwrap()).unwrap();
        assert_eq!(none.bytes(), 7);
    }
}
