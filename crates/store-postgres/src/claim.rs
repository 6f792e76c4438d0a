//! Leasing parcels to this node. Whose turn it is, priorities by their shares and apps one after the other, follows from the
//! lanes in memory and from the first parcels in them, which are read; the parcels chosen are leased in one short transaction
//! that skips what another node has locked. Deliveries with which a node died again and again are leased alone (design 4).

mod shelf;
mod taken;

use std::{collections::BTreeMap, sync::Arc};

use hongyan_core::{
    setup::ChannelNo,
    store::{Lease, StoreResult},
    time::Timestamp,
};
use tokio::sync::oneshot;

use self::{
    shelf::{Choice, Shelf},
    taken::{SetAside, Taken},
};
use crate::{
    engine::{Engine, Registration},
    lanes,
    memory::Lane,
    row::{id_read, signed},
    session::Query,
    settle::Settler,
    sql::hot,
    trouble::{Outcome, Trouble},
};

/// Leases parcels of `channel` that are due. What was leased for somebody who is gone meanwhile is given back.
pub(crate) async fn claim(
    engine: &Arc<Engine>,
    settler: &Arc<Settler>,
    lane: i16,
    channel: ChannelNo,
    limit: usize,
    now: Timestamp,
) -> StoreResult<Vec<Lease>> {
    let (reply, answer) = oneshot::channel();
    let (engine, settler) = (Arc::clone(engine), Arc::clone(settler));
    tokio::spawn(async move {
        let claimed = Claim { engine: &engine, lane, channel, now }.run(limit).await;
        if let Err(Ok(leases)) = reply.send(claimed) {
            taken::give_back(&settler, leases, now);
        }
    });
    let claimed = answer.await.unwrap_or_else(|_| Err(Trouble::unanswered()));
    claimed.map_err(|trouble| trouble.told())
}

/// When the next delivery of `channel` that is not yet due becomes due.
pub(crate) async fn next_due(engine: &Engine, channel: ChannelNo, now: Timestamp) -> Outcome<Option<Timestamp>> {
    let (waits, suspects): (Vec<_>, Vec<_>) = {
        let known = engine.memory.lock();
        (known.lanes_of(channel).collect(), known.suspects_of(channel).collect())
    };
    let later = waits.iter().map(|(_, due)| *due).filter(|due| *due > now).min();
    let due: Vec<Lane> = waits.into_iter().filter(|(_, due)| *due <= now).map(|(lane, _)| lane).collect();
    let shelf = shelf::read_behind(engine, channel, &due, now).await?;
    let mut next = later.into_iter().chain(shelf).min();
    for (bucket, first) in suspects {
        let first = match first > now {
            true => Some(first),
            false => suspect_after(engine, bucket, channel, now).await?,
        };
        next = next.into_iter().chain(first).min();
    }
    Ok(next)
}

async fn suspect_after(engine: &Engine, bucket: u8, channel: ChannelNo, now: Timestamp) -> Outcome<Option<Timestamp>> {
    let (bucket, channel, now) = (i16::from(bucket), signed(channel.0), now.ms());
    let row = engine.pool.lend().await?.query_opt(hot::SUSPECT_AFTER, &[&bucket, &channel, &now]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten().map(Timestamp::from_ms))
}

struct Claim<'a> {
    engine: &'a Engine,
    lane: i16,
    channel: ChannelNo,
    now: Timestamp,
}

impl Claim<'_> {
    async fn run(&self, limit: usize) -> Outcome<Vec<Lease>> {
        self.engine.see(self.now);
        if limit == 0 || self.engine.memory.lock().holds_suspect() {
            return Ok(Vec::new());
        }
        if let Some(leases) = self.suspect().await? {
            return Ok(leases);
        }
        if self.engine.memory.lock().suspects_reign(self.now) {
            return Ok(Vec::new());
        }
        let mut shelf = Shelf::new(self.engine, self.channel, self.now);
        let chosen = shelf.choose(limit).await?;
        let leases = self.lease(&chosen).await?;
        shelf.forget();
        Ok(leases)
    }

    /// The first suspect of the channel that is due, if there is any: leased when nothing else is held, else asked for.
    async fn suspect(&self) -> Outcome<Option<Vec<Lease>>> {
        let due: Vec<u8> = {
            let known = self.engine.memory.lock();
            known.suspects_of(self.channel).filter(|(_, due)| *due <= self.now).map(|(bucket, _)| bucket).collect()
        };
        let (channel, now) = (signed(self.channel.0), self.now.ms());
        let mut first: Option<(i64, i64, u8)> = None;
        for bucket in due {
            let stored = i16::from(bucket);
            let found = self.engine.pool.lend().await?.query_opt(hot::SUSPECT, &[&stored, &channel, &now]).await?;
            match found {
                Some(row) => {
                    let found = (row.try_get(0)?, id_read(&row, 2)?.get(), bucket);
                    first = first.into_iter().chain([found]).min();
                }
                None => drop(lanes::read(&self.engine.pool, &self.engine.memory, [bucket], self.now).await?),
            }
        }
        let Some((_, head, bucket)) = first else { return Ok(None) };
        {
            let mut known = self.engine.memory.lock();
            known.wish = Some((self.channel, self.now));
            if !known.holds_nothing() {
                return Ok(Some(Vec::new()));
            }
            known.wish = None;
        }
        let leased = self.write(hot::CLAIM_SUSPECT, &BTreeMap::from([(bucket, vec![head])])).await?;
        drop(lanes::read(&self.engine.pool, &self.engine.memory, [bucket], self.now).await?);
        Ok(Some(leased))
    }

    /// Leases what was chosen, in one transaction.
    async fn lease(&self, chosen: &[Choice]) -> Outcome<Vec<Lease>> {
        let mut heads: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
        for choice in chosen {
            heads.entry(choice.lane.bucket).or_default().push(choice.head);
        }
        for heads in heads.values_mut() {
            heads.sort_unstable();
        }
        let mut leases = self.write(hot::CLAIM, &heads).await?;
        // In the order of the turns, not of the buckets.
        let turn: BTreeMap<(i64, i64), usize> = chosen.iter().enumerate().map(|(n, choice)| (choice.key, n)).collect();
        let key = |lease: &Lease| Some((lease.rows.first()?.track.due.ms(), lease.parcel.get()));
        leases.sort_by_key(|lease| key(lease).and_then(|key| turn.get(&key)));
        Ok(leases)
    }

    async fn write(&self, sql: &'static str, heads: &BTreeMap<u8, Vec<i64>>) -> Outcome<Vec<Lease>> {
        if heads.is_empty() {
            return Ok(Vec::new());
        }
        let Registration { number, epoch } = self.engine.me();
        let (channel, now, node) = (signed(self.channel.0), self.now.ms(), i16::from(number));
        let (lane, inline) = (self.lane, taken::INLINE_BYTES_MAX);
        let buckets: Vec<(i16, &Vec<i64>)> = heads.iter().map(|(bucket, heads)| (i16::from(*bucket), heads)).collect();
        let queries: Vec<Query<'_>> = buckets
            .iter()
            .map(|(bucket, heads)| Query {
                sql,
                params: vec![bucket, &channel, *heads, &now, &node, &epoch, &lane, &inline],
            })
            .collect();
        let (db, answers) = self.engine.transact(&queries).await?;
        let mut taken = Taken::default();
        for (bucket, rows) in heads.keys().zip(&answers) {
            rows.iter().try_for_each(|row| taken.push(*bucket, row))?;
        }
        // What stands in the database as held by this node is held from now on, whatever follows.
        {
            let mut known = self.engine.memory.lock();
            taken.rows().for_each(|row| known.hold(*row));
        }
        self.engine.committed(1);
        let damaged = taken.damaged();
        let leases = taken.into_leases(&db, self.now).await;
        // Setting aside needs a connection, and there are only so many.
        drop(db);
        if !damaged.is_empty()
            && let Err(error) = self.engine.run(&SetAside(damaged)).await
        {
            tracing::warn!(%error, "damaged deliveries cannot be set aside; recovery finds them");
        }
        Ok(leases)
    }
}
