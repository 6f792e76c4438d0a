//! What the writer keeps in memory beside the tables: the ready queue, the held set, and a few places to go on from. All of
//! it follows from the tables; nothing here is needed to recover after a crash.

use std::collections::HashMap;

use hongyan_core::{
    delivery::{Policy, Repeat, State},
    retry::RetrySchedule,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use rusqlite::Connection;

use crate::{
    held::{Held, is_suspect},
    ready::{Entry, Index, Key, LaneKey, Ready},
    row::{Row, priority_read},
    trouble::Outcome,
};

/// The writer's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub ready: Ready,
    pub held: Held,
    pub suspects: Suspects,
    pub captured: Captured,
    /// The latest moment that any operation named.
    pub now: Timestamp,
    /// Where the search for expired deliveries goes on: behind this app's parcel.
    pub expire_from: Option<(LaneKey, AppNo, Key)>,
    /// Where the search for old messages goes on.
    pub prune_after: i64,
    /// Where the search for secrets to erase goes on.
    pub erase_after: i64,
    /// Grows with every change of the directory, also with one that is rolled back.
    pub directory_turn: u64,
    /// The rules for events that ask no rules.
    pub any_policy: Policy,
}

impl Memory {
    /// Counts what waits, by one scan of each of the two indexes of what waits.
    pub(crate) fn load(db: &Connection) -> Outcome<Self> {
        let mut memory = Self {
            ready: Ready::default(),
            held: Held::default(),
            suspects: Suspects::default(),
            captured: Captured::load(db)?,
            now: Timestamp::from_ms(0),
            expire_from: None,
            prune_after: 0,
            erase_after: 0,
            directory_turn: 0,
            any_policy: Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::of([]) },
        };
        let mut count = db.prepare(
            "SELECT channel, priority, app, count(*) FROM delivery INDEXED BY ready WHERE state = 0 AND crashes < 3 \
             GROUP BY channel, priority, app",
        )?;
        let mut rows = count.query([])?;
        while let Some(row) = rows.next()? {
            let lane = LaneKey { channel: ChannelNo(row.get(0)?), priority: priority_read(row, 1)? };
            memory.ready.counted(lane, AppNo(row.get(2)?), row.get::<_, i64>(3)?.unsigned_abs());
        }
        let mut count = db.prepare(
            "SELECT channel, count(*) FROM delivery INDEXED BY suspect WHERE state = 0 AND crashes >= 3 GROUP BY channel",
        )?;
        let mut rows = count.query([])?;
        while let Some(row) = rows.next()? {
            memory.suspects.waiting.insert(ChannelNo(row.get(0)?), row.get(1)?);
        }
        Ok(memory)
    }

    /// An operation names a moment.
    pub(crate) fn see(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// A row stands where `row` says, as has just been written.
    pub(crate) fn arrived(&mut self, row: Row) {
        match row.track.state {
            State::Ready if is_suspect(&row) => self.suspects.count(row.channel, 1),
            State::Ready => self.ready.insert(lane_of(&row), row.app, Key::of(row.track.due, row.parcel)),
            state if state.is_held() => return self.held.insert(row),
            _ => {}
        }
        self.held.remove(row.id);
    }

    /// A row no longer stands where `row` says.
    pub(crate) fn left(&mut self, row: &Row) {
        match row.track.state {
            State::Ready if is_suspect(row) => self.suspects.count(row.channel, -1),
            State::Ready => self.ready.remove(lane_of(row), row.app, Key::of(row.track.due, row.parcel)),
            _ => {}
        }
    }

    /// The transaction is on disk.
    pub(crate) fn committed(&mut self) {
        self.ready.committed();
        self.held.committed();
        self.suspects.uncommitted.clear();
        self.captured.committed = self.captured.bytes;
    }

    /// The transaction never happened.
    pub(crate) fn rolled_back(&mut self) {
        self.ready.rolled_back();
        self.held.rolled_back();
        self.suspects.rolled_back();
        self.captured.bytes = self.captured.committed;
        self.expire_from = None;
        self.prune_after = 0;
        self.erase_after = 0;
    }
}

/// The lane of a row.
pub(crate) const fn lane_of(row: &Row) -> LaneKey {
    LaneKey { channel: row.channel, priority: row.priority }
}

/// Deliveries that wait to be sent alone, and who asks for that (design 4).
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    /// How many rows wait, by channel.
    waiting: HashMap<ChannelNo, i64>,
    /// The channel that wants to send one and waits until nothing else is in flight, and when it last asked.
    pub wish: Option<(ChannelNo, Timestamp)>,
    uncommitted: Vec<(ChannelNo, i64)>,
}

impl Suspects {
    /// Whether any of `channel` wait, due or not.
    pub(crate) fn any(&self, channel: ChannelNo) -> bool {
        self.waiting.contains_key(&channel)
    }

    /// How many wait, by channel.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (ChannelNo, u64)> {
        self.waiting.iter().map(|(channel, rows)| (*channel, rows.unsigned_abs()))
    }

    /// So many more rows of `channel` wait, or fewer.
    pub(crate) fn count(&mut self, channel: ChannelNo, by: i64) {
        self.add(channel, by);
        self.uncommitted.push((channel, by));
    }

    fn add(&mut self, channel: ChannelNo, by: i64) {
        let rows = self.waiting.entry(channel).or_default();
        *rows += by;
        if *rows <= 0 {
            self.waiting.remove(&channel);
        }
    }

    fn rolled_back(&mut self) {
        for (channel, by) in std::mem::take(&mut self.uncommitted).into_iter().rev() {
            self.add(channel, -by);
        }
    }
}

/// How much is captured, so that no capture has to count the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Captured {
    /// Bytes of all bodies.
    pub bytes: u64,
    committed: u64,
}

impl Captured {
    /// Reads lengths only, not what they are the lengths of.
    fn load(db: &Connection) -> Outcome<Self> {
        let bytes: i64 =
            db.query_row("SELECT coalesce(sum(octet_length(body)), 0) FROM capture", [], |row| row.get(0))?;
        Ok(Self { bytes: bytes.unsigned_abs(), committed: bytes.unsigned_abs() })
    }
}

/// The index itself, read through the writer's connection, so that uncommitted rows are seen.
impl Index for Connection {
    fn parcels(&self, lane: LaneKey, app: AppNo, after: Key, limit: usize) -> Outcome<Vec<Entry>> {
        let mut read = self.prepare_cached(
            "SELECT due, parcel FROM delivery INDEXED BY ready WHERE state = 0 AND crashes < 3 AND channel = ?1 AND \
             priority = ?2 AND app = ?3 AND (due, parcel) > (?4, ?5) ORDER BY due, parcel",
        )?;
        let of = (lane.channel.0, lane.priority.number(), app.0, after.due, after.parcel);
        let mut rows = read.query(of)?;
        let mut parcels: Vec<Entry> = Vec::new();
        while let Some(row) = rows.next()? {
            let key = Key { due: row.get(0)?, parcel: row.get(1)? };
            let full = parcels.len() == limit;
            match parcels.last_mut() {
                Some(last) if last.key == key => last.rows += 1,
                _ if full => break,
                _ => parcels.push(Entry { key, rows: 1 }),
            }
        }
        Ok(parcels)
    }
}
