//! One filtered query of an account at a time on a node (decision 10): what it selects has to be counted, row by row, and whoever
//! asks for a second one before the first is answered is to come back in a moment.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use hongyan_core::account::AccountNo;

/// The accounts whose query is running.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashSet<AccountNo>>);

/// An account's turn; over when it is dropped, also where the caller goes away.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    account: AccountNo,
}

impl Turns {
    /// The turn of `account`; `None` while it has one.
    pub(crate) fn take(&self, account: AccountNo) -> Option<Turn<'_>> {
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        is_free.then(|| Turn { turns: self, account })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_for_each_account() {
        let turns = Turns::default();
        let first = turns.take(AccountNo(1));
        assert!(first.is_some());
        assert!(turns.take(AccountNo(1)).is_none());
        assert!(turns.take(AccountNo(1)).is_none(), "being refused ends nobody's turn");
        assert!(turns.take(AccountNo(2)).is_some());
        drop(first);
        assert!(turns.take(AccountNo(1)).is_some());
    }
}
