//! Recording what happened to deliveries: each event goes through `step`, the tracks that follow are written once per
//! delivery, the tries are kept. Rows of one parcel that go back to wait get one due time, the latest, so that they are
//! claimed together again.

use std::collections::HashMap;

use hongyan_core::{
    delivery::{State, Track, step},
    id::Id,
    store::{Attempt, Change},
    time::Timestamp,
};
use rusqlite::params;

use crate::{
    operation::Operation,
    row::{Row, row_find},
    transaction::Transaction,
    trouble::Outcome,
};

/// The operation.
pub(crate) struct Settle {
    pub changes: Vec<Change>,
    pub now: Timestamp,
}

/// A delivery as it was found and as the events so far leave it.
struct Settling {
    was: Row,
    track: Track,
    changed: bool,
}

impl Operation for Settle {
    type Answer = Vec<Option<Track>>;

    fn bytes(&self) -> usize {
        self.changes.iter().map(|change| 128 + change.attempt.as_ref().map_or(0, |attempt| attempt.reply.len())).sum()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Vec<Option<Track>>> {
        tx.memory.see(self.now);
        let mut rows: HashMap<Id, Option<Settling>> = HashMap::with_capacity(self.changes.len());
        let mut answers = Vec::with_capacity(self.changes.len());
        for change in &self.changes {
            let row = match rows.entry(change.delivery) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => new.insert(Settling::find(tx, change.delivery)?),
            };
            // History may have been pruned meanwhile: a normal outcome that leaves nothing to write.
            let Some(row) = row else {
                answers.push(None);
                continue;
            };
            if let Some(attempt) = &change.attempt {
                attempt_insert(tx, change.delivery, attempt)?;
            }
            let next = step(&row.track, &change.event, &change.policy, self.now);
            if let Some(next) = next {
                row.track = next;
                row.changed = true;
            }
            answers.push(next);
        }
        align(&mut rows);
        for (change, answer) in self.changes.iter().zip(&mut answers) {
            // Each delivery is written once, at the first of its changes.
            let Some(Some(row)) = rows.get_mut(&change.delivery) else { continue };
            if let Some(track) = answer
                && track.state == State::Ready
                && row.track.state == State::Ready
            {
                track.due = row.track.due;
            }
            if std::mem::take(&mut row.changed) {
                tx.change(&row.was, row.track, self.now)?;
                tx.tell(&row.was, row.track);
            }
        }
        Ok(answers)
    }
}

impl Settling {
    /// What is held is in memory as it was last written; the rest is read.
    fn find(tx: &Transaction<'_>, id: Id) -> Outcome<Option<Self>> {
        let was = match tx.memory.held.get(id) {
            Some(row) => Some(*row),
            None => row_find(tx.db, id)?,
        };
        Ok(was.map(|was| Self { was, track: was.track, changed: false }))
    }
}

/// Gives the rows of each parcel that go back to wait the latest of their due times.
fn align(rows: &mut HashMap<Id, Option<Settling>>) {
    let waits = |row: &&mut Settling| row.changed && row.track.state == State::Ready;
    let mut latest: HashMap<Id, Timestamp> = HashMap::new();
    for row in rows.values_mut().flatten().filter(waits) {
        let due = latest.entry(row.was.parcel).or_insert(row.track.due);
        *due = row.track.due.max(*due);
    }
    for row in rows.values_mut().flatten().filter(waits) {
        row.track.due = latest.get(&row.was.parcel).copied().unwrap_or(row.track.due);
    }
}

fn attempt_insert(tx: &Transaction<'_>, delivery: Id, attempt: &Attempt) -> Outcome<()> {
    tx.db
        .prepare_cached(
            "INSERT INTO attempt SELECT ?1, (SELECT coalesce(max(no), 0) + 1 FROM attempt WHERE delivery = ?1), ?2, ?3, \
             ?4, ?5, ?6",
        )?
        .execute(params![
            delivery.get(),
            attempt.provider.0,
            attempt.started.ms(),
            attempt.took_ms,
            attempt.outcome,
            attempt.reply,
        ])?;
    Ok(())
}
