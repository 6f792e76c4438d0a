//! What deliveries of accounts that came to nothing give back to the windows of those (`contracts/imsg.md` 1.4): a unit each,
//! in the transaction that ends them. A delivery ends so once, whoever ends it, for what is written names where it stood.

use std::collections::BTreeMap;

use hongyan_core::{
    account::AccountNo,
    delivery::{State, Track},
    id::Id,
    time::Timestamp,
};

use crate::{
    row::Row,
    session::Session,
    trouble::Outcome,
    windows::{Ask, Windows},
};

/// Units by account and message, each at its moment.
#[derive(Debug, Default)]
pub(crate) struct Refunds(BTreeMap<(AccountNo, Id), (u32, Timestamp)>);

impl Refunds {
    /// A delivery moved from where `row` says to `to`.
    pub(crate) fn note(&mut self, row: &Row, to: &Track, now: Timestamp) {
        if let Some(account) = of(row, to) {
            let (amount, at) = self.0.entry((account, row.message)).or_insert((0, now));
            *amount += 1;
            *at = now.max(*at);
        }
    }

    /// Gives it back. The accounts are locked in their order; of all that a transaction holds that others wait for they are the
    /// last.
    pub(crate) async fn give_back(&self, db: &Session) -> Outcome<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let ask = |((account, id), (amount, now)): (&(AccountNo, Id), &(u32, Timestamp))| {
            (Ask::Refund { account: account.windows(), id: *id, amount: *amount }, *now)
        };
        let asks: Vec<_> = self.0.iter().map(ask).collect();
        // What has left both windows, or was never admitted, is not given back.
        Windows { asks: &asks, begins: false }.decide(db).await?;
        Ok(())
    }
}

/// The account to which a unit goes back when a delivery moves so.
pub(crate) fn of(row: &Row, to: &Track) -> Option<AccountNo> {
    let came_to_nothing = |state| matches!(state, State::Failed | State::Expired | State::Cancelled);
    let is_so_now = came_to_nothing(to.state) && !came_to_nothing(row.track.state);
    AccountNo::of_app(row.app).filter(|_| is_so_now)
}
