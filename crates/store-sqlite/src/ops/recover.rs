//! Taking back what this node held when it last stopped: the rows of the held index that nobody has claimed since.

use std::collections::BTreeSet;

use hongyan_core::{
    delivery::{Event, Reason, State, step},
    id::Id,
    store::{Policies, Recovered},
    time::Timestamp,
};

use crate::{
    operation::Operation,
    row::{Found, row_columns, rows_read, rows_set_aside},
    transaction::Transaction,
    trouble::Outcome,
};

/// The operation.
pub(crate) struct Recover {
    pub policies: Policies,
    pub now: Timestamp,
}

impl Operation for Recover {
    type Answer = Recovered;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Recovered> {
        tx.memory.see(self.now);
        let Found { rows: mut orphans, mut unreadable } = rows_read(
            &mut tx
                .db
                .prepare_cached(concat!(
                    "SELECT ",
                    row_columns!(),
                    " FROM delivery INDEXED BY held WHERE state IN (1, 2) ORDER BY id"
                ))?
                .query([])?,
        )?;
        orphans.retain(|(row, _)| tx.memory.held.get(row.id).is_none());
        unreadable.retain(|id| Id::from_i64(*id).is_none_or(|id| tx.memory.held.get(id).is_none()));
        // It may have been sent.
        rows_set_aside(tx.db, &unreadable, State::Unknown, Reason::Ambiguous)?;
        let parcels: BTreeSet<_> = orphans.iter().map(|(row, _)| row.parcel).collect();
        let alone = parcels.len() == 1;
        let mut recovered = Recovered { unknown: unreadable.len(), ..Recovered::default() };
        for (row, _) in &orphans {
            let policy = (self.policies)(row.channel);
            let event = Event::Recover { lease: row.track.lease, alone };
            let Some(track) = step(&row.track, &event, &policy, self.now) else { continue };
            match track.state {
                State::Ready => recovered.ready += 1,
                State::Unknown => recovered.unknown += 1,
                _ => recovered.poison += 1,
            }
            tx.change(row, track, self.now)?;
            tx.tell(row, track);
            tx.wake(row.channel);
        }
        Ok(recovered)
    }
}
