//! Expiring what waits although its time is over, as it does on a channel that nobody claims from. The search walks the
//! index of what waits in bounded steps and goes on where the last one stopped, so that a long queue is not walked at once;
//! `expires` is in the index, so that nothing else is read.

use hongyan_core::{
    delivery::{Event, step},
    id::Id,
    message::Priority,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use rusqlite::params;

use crate::{
    operation::Operation,
    ready::{Key, LaneKey},
    row::{id_read, priority_read, row_find},
    transaction::Transaction,
    trouble::Outcome,
};

/// The operation.
pub(crate) struct Expire {
    pub limit: usize,
    pub now: Timestamp,
}

/// How many waiting rows one call looks at.
const WALK_ROWS_MAX: usize = 20_000;

impl Operation for Expire {
    type Answer = usize;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<usize> {
        tx.memory.see(self.now);
        let mut over = self.suspects(tx)?;
        self.walk(tx, &mut over)?;
        let mut expired = 0;
        for id in over {
            let row = match row_find(tx.db, id) {
                Ok(Some(row)) => row,
                Ok(None) => continue,
                // It is set aside when it is claimed.
                Err(trouble) if trouble.is_damage() => continue,
                Err(trouble) => return Err(trouble),
            };
            if let Some(track) = step(&row.track, &Event::Expire, &tx.memory.any_policy, self.now) {
                tx.change(&row, track, self.now)?;
                tx.tell(&row, track);
                expired += 1;
            }
        }
        Ok(expired)
    }
}

impl Expire {
    /// Of those that are sent alone there are few.
    fn suspects(&self, tx: &Transaction<'_>) -> Outcome<Vec<Id>> {
        let mut over = Vec::new();
        let mut find = tx.db.prepare_cached(
            "SELECT id FROM delivery INDEXED BY suspect WHERE state = 0 AND crashes >= 3 AND expires <= ?1 LIMIT ?2",
        )?;
        let mut rows = find.query(params![self.now.ms(), i64::try_from(self.limit).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            over.push(id_read(row, 0)?);
        }
        Ok(over)
    }

    /// Goes on from the remembered place, to the end at most, and remembers where it stopped: always behind a whole parcel,
    /// so that none is skipped.
    fn walk(&self, tx: &mut Transaction<'_>, over: &mut Vec<Id>) -> Outcome<()> {
        let (lane, app, key) = tx.memory.expire_from.take().unwrap_or((
            LaneKey { channel: ChannelNo(0), priority: Priority::Low },
            AppNo(0),
            Key::START,
        ));
        let mut walk = tx.db.prepare_cached(
            "SELECT channel, priority, app, due, parcel, expires, id FROM delivery INDEXED BY ready \
             WHERE state = 0 AND crashes < 3 AND (channel, priority, app, due, parcel) > (?1, ?2, ?3, ?4, ?5) \
             ORDER BY channel, priority, app, due, parcel",
        )?;
        let mut rows = walk.query(params![lane.channel.0, lane.priority.number(), app.0, key.due, key.parcel])?;
        let (mut seen, mut place) = (0, None);
        while let Some(row) = rows.next()? {
            let lane = LaneKey { channel: ChannelNo(row.get(0)?), priority: priority_read(row, 1)? };
            let here = (lane, AppNo(row.get(2)?), Key { due: row.get(3)?, parcel: row.get(4)? });
            let is_new = place.is_some_and(|place| place != here);
            if is_new && (seen >= WALK_ROWS_MAX || over.len() >= self.limit) {
                tx.memory.expire_from = place;
                return Ok(());
            }
            if row.get::<_, i64>(5)? <= self.now.ms() {
                over.push(id_read(row, 6)?);
            }
            place = Some(here);
            seen += 1;
        }
        Ok(())
    }
}
