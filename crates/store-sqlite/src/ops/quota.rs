//! Quotas and paces: the arithmetic is `core`'s, this loads what it works on and keeps what it says. The writer is the only
//! one who writes, so nothing need be locked.

use std::time::Duration;

use hongyan_core::{
    id::Id,
    pace::{Meter, Tokens},
    quota::{Admission, Admitted},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, params};

use crate::{operation::Operation, transaction::Transaction, trouble::Outcome, windows};

/// Admits a request to an account.
pub(crate) struct WindowAdmit {
    pub admission: Admission,
    pub now: Timestamp,
}

impl Operation for WindowAdmit {
    type Answer = Admitted;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Admitted> {
        tx.memory.see(self.now);
        windows::admit(tx.db, &self.admission, self.now)
    }
}

/// Gives back what came to nothing.
pub(crate) struct WindowRefund {
    pub account: String,
    pub id: Id,
    pub amount: u32,
    pub now: Timestamp,
}

impl Operation for WindowRefund {
    type Answer = u32;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<u32> {
        tx.memory.see(self.now);
        windows::refund(tx.db, &self.account, self.id, self.amount, self.now)
    }
}

/// Takes tokens of a pace.
pub(crate) struct TokensTake {
    pub key: String,
    pub rate: f64,
    pub burst: u32,
    pub want: u32,
    pub now: Timestamp,
}

impl Operation for TokensTake {
    type Answer = Tokens;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Tokens> {
        tx.memory.see(self.now);
        let kept = tx
            .db
            .prepare_cached("SELECT seen, ahead_ns FROM meter WHERE key = ?1")?
            .query_row([&self.key], |row| {
                let ahead: i64 = row.get(1)?;
                let ahead = Duration::from_nanos(u64::try_from(ahead).unwrap_or(0));
                Ok(Meter { seen: Timestamp::from_ms(row.get(0)?), ahead })
            })
            .optional()?;
        let mut meter = kept.unwrap_or_else(|| Meter::new(self.now));
        let tokens = meter.take(self.rate, self.burst, self.want, self.now);
        let ahead = i64::try_from(meter.ahead.as_nanos()).unwrap_or(i64::MAX);
        tx.db.prepare_cached("INSERT OR REPLACE INTO meter VALUES (?1, ?2, ?3)")?.execute(params![
            self.key,
            meter.seen.ms(),
            ahead
        ])?;
        Ok(tokens)
    }
}
