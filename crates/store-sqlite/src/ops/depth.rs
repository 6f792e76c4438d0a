//! How much waits, and when more will be due: asked of the writer because it knows by heart.

use hongyan_core::{setup::ChannelNo, store::Depth, time::Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::{operation::Operation, transaction::Transaction, trouble::Outcome};

/// Asks how much of each channel waits.
pub(crate) struct Depths;

impl Operation for Depths {
    type Answer = Vec<Depth>;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Vec<Depth>> {
        let mut depths = tx.memory.ready.depths(tx.db)?;
        for (channel, rows) in tx.memory.suspects.counts() {
            let Some(due) = suspect_due(tx, channel, Timestamp::from_ms(0))? else { continue };
            let depth = depths.entry(channel).or_insert((0, due));
            *depth = (depth.0 + rows, depth.1.min(due));
        }
        let is_due = |due: &Timestamp| *due <= tx.memory.now;
        Ok(depths
            .into_iter()
            .map(|(channel, (ready, first))| Depth { channel, ready, oldest_due: Some(first).filter(is_due) })
            .collect())
    }
}

/// Asks when the next delivery of a channel becomes due.
pub(crate) struct NextDue {
    pub channel: ChannelNo,
    pub now: Timestamp,
}

impl Operation for NextDue {
    type Answer = Option<Timestamp>;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Option<Timestamp>> {
        tx.memory.see(self.now);
        let next = tx.memory.ready.next_due(self.channel, self.now, tx.db)?;
        let suspect = match tx.memory.suspects.any(self.channel) {
            true => suspect_due(tx, self.channel, self.now)?,
            false => None,
        };
        Ok(next.into_iter().chain(suspect).min())
    }
}

/// The first due time after `after` among the deliveries of a channel that are sent alone.
fn suspect_due(tx: &Transaction<'_>, channel: ChannelNo, after: Timestamp) -> Outcome<Option<Timestamp>> {
    let due = tx
        .db
        .prepare_cached(
            "SELECT due FROM delivery INDEXED BY suspect WHERE state = 0 AND crashes >= 3 AND channel = ?1 AND due > ?2 \
             ORDER BY due LIMIT 1",
        )?
        .query_row(params![channel.0, after.ms()], |row| row.get(0))
        .optional()?;
    Ok(due.map(Timestamp::from_ms))
}
