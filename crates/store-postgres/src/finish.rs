//! Ending deliveries that were found and locked: they leave the hot table, and memory, counters and waiters follow.

use std::collections::BTreeMap;

use hongyan_core::{
    delivery::{Policy, Reason, Repeat, State, Track},
    retry::RetrySchedule,
    time::Timestamp,
};

use crate::{
    engine::{SHARED_LANE, Transaction},
    row::{Row, bucket_of, signed, state_number},
    session::{Param, Query},
    sql::hot,
    trouble::{Outcome, Trouble},
};

/// The rules of no channel in particular, for events that ask for none: claiming, giving back, cancelling, expiring.
pub(crate) fn any_policy() -> Policy {
    Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::of([]) }
}

/// Ends deliveries: rows as they were found, locked by this transaction, and where they stand from now on. They move to what is
/// done, one statement per bucket; what came to nothing at `now` is given back to its account; after the commit memory lets them
/// go and whoever waits for them is told.
pub(crate) async fn finish(tx: &mut Transaction<'_>, ended: &[(Row, Track)], now: Timestamp) -> Outcome<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let mut buckets: BTreeMap<i16, Columns> = BTreeMap::new();
    for (row, track) in ended {
        buckets.entry(bucket_of(row.id)).or_default().push(row, track);
    }
    let node = i16::from(tx.me.number);
    let queries: Vec<_> = buckets.iter().map(|(bucket, columns)| columns.query(bucket, &node)).collect();
    let moved = tx.db.query_all(&queries).await?.iter().map(Vec::len).sum::<usize>();
    if moved != ended.len() {
        return Err(Trouble::Damaged(format!("{moved} of {} locked deliveries moved", ended.len())));
    }
    for (row, track) in ended {
        // The statement has counted what it took from those that wait.
        if row.track.state == State::Ready {
            tx.stage.reread.insert(row.id.bucket());
        }
        tx.stage.refunds.note(row, track, now);
        tx.stage.moved(&Row { track: *track, ..*row });
        tx.stage.tell(row, *track);
    }
    Ok(())
}

#[derive(Default)]
struct Columns {
    id: Vec<i64>,
    lease: Vec<i32>,
    was: Vec<i16>,
    state: Vec<i16>,
    reason: Vec<Option<&'static str>>,
    tries: Vec<i16>,
    crashes: Vec<i16>,
    first_try: Vec<Option<i64>>,
    maybe_duplicate: Vec<bool>,
    attempts: Vec<&'static str>,
    due: Vec<i64>,
}

impl Columns {
    fn push(&mut self, row: &Row, track: &Track) {
        self.id.push(row.id.get());
        self.lease.push(signed(row.track.lease));
        self.was.push(state_number(row.track.state));
        self.state.push(state_number(track.state));
        self.reason.push(track.reason.map(Reason::as_str));
        self.tries.push(i16::try_from(track.tries).unwrap_or(i16::MAX));
        self.crashes.push(i16::from(track.crashes));
        self.first_try.push(track.first_try.map(|first| first.ms()));
        self.maybe_duplicate.push(track.maybe_duplicate);
        // No try ended.
        self.attempts.push("[]");
        self.due.push(track.due.ms());
    }

    fn query<'q>(&'q self, bucket: &'q i16, node: &'q i16) -> Query<'q> {
        let params: Vec<Param<'q>> = vec![
            bucket,
            &self.id,
            &self.lease,
            &self.was,
            &self.state,
            &self.reason,
            &self.tries,
            &self.crashes,
            &self.first_try,
            &self.maybe_duplicate,
            &self.attempts,
            node,
            &SHARED_LANE,
            &self.due,
        ];
        Query { sql: hot::FINISH, params }
    }
}
