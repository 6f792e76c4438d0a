//! Settling what does not stand as memory has it: deliveries that somebody else has moved, that are not held, or that are done.
//! They are read and locked in the order of their ids, and what is true decides.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use hongyan_core::{
    delivery::{State, Track},
    id::Id,
    store::{Attempt, Change},
    time::Timestamp,
};

use super::changes::Settling;
use crate::{
    engine::{Operation, SHARED_LANE, Transaction},
    row::{ROW_COLUMNS, Row, attempts_decode, bucket_of, row_read},
    sql::hot,
    trouble::Outcome,
};

/// The operation.
pub(super) struct Anew {
    pub(super) changes: Vec<Change>,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Operation for Anew {
    type Answer = Vec<Option<Track>>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Vec<Option<Track>>> {
        let (mut settling, known) = self.find(tx).await?;
        let mut answers = settling.apply(&self.changes, self.now);
        for (id, attempts) in known {
            settling.forget_known(id, &attempts);
        }
        settling.align();
        settling.correct(&self.changes, &mut answers);
        let tables = settling.tables(tx.me, SHARED_LANE, tx.engine.now());
        let written = tx.db.query_all(&tables.queries()).await?;
        let written: BTreeSet<i64> =
            written.iter().flatten().map(|row| Ok(row.try_get::<_, i64>(0)?)).collect::<Outcome<_>>()?;
        for (was, track) in settling.changed() {
            // An intent of a node that the others may take for dead is not kept.
            if !written.contains(&was.id.get()) {
                for (change, answer) in self.changes.iter().zip(&mut answers) {
                    if change.delivery == was.id {
                        *answer = None;
                    }
                }
                continue;
            }
            if was.track.state == State::Ready {
                tx.stage.reread.insert(was.id.bucket());
            }
            tx.stage.refunds.note(&was, &track, self.now);
            tx.stage.moved(&Row { track, ..was });
            tx.stage.tell(&was, track);
        }
        Ok(answers)
    }
}

impl Anew {
    /// The deliveries as they truly stand, locked, and the tries that are on record.
    async fn find(&self, tx: &mut Transaction<'_>) -> Outcome<(Settling, Vec<(Id, Vec<Attempt>)>)> {
        let mut buckets: BTreeMap<i16, BTreeSet<i64>> = BTreeMap::new();
        for change in &self.changes {
            buckets.entry(bucket_of(change.delivery)).or_default().insert(change.delivery.get());
        }
        let (mut open, mut done, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for (bucket, mut ids) in buckets {
            for (sql, found) in [(hot::LOCK, &mut open), (hot::LOCK_DONE, &mut done)] {
                let asked: Vec<i64> = ids.iter().copied().collect();
                for row in tx.db.query(sql, &[&bucket, &asked]).await? {
                    let read = row_read(&row)?;
                    ids.remove(&read.id.get());
                    known.push((read.id, attempts_decode(row.try_get(ROW_COLUMNS)?)?));
                    found.push(read);
                }
            }
        }
        self.let_go(tx, &open);
        let mut settling = Settling::of(open.into_iter());
        for row in done {
            settling.add_done(row);
        }
        Ok((settling, known))
    }

    /// What memory holds and somebody else has taken is not held any more.
    fn let_go(&self, tx: &mut Transaction<'_>, open: &[Row]) {
        let known = tx.engine.memory.lock();
        let truly: BTreeMap<Id, &Row> = open.iter().map(|row| (row.id, row)).collect();
        for change in &self.changes {
            let Some(held) = known.held(change.delivery) else { continue };
            let still = truly
                .get(&change.delivery)
                .is_some_and(|row| row.track.lease == held.track.lease && row.track.state.is_held());
            if !still {
                tx.stage.released.push((change.delivery, held.track.lease));
            }
        }
    }
}
