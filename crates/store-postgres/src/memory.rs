//! What a node keeps in memory of the database: what it holds, and where something waits. Both follow from the tables and
//! can be lost; no lock here is held across IO.
//!
//! What waits is known by *lanes*: for each bucket, channel, priority and app in which something is ready, the earliest due time
//! there. An entry may be too early (somebody else took the row), never too late for what this node itself has written. What
//! other nodes write is found by reading the lanes of the preferred buckets again and again. A reading replaces what is known
//! of its bucket, unless this node has written there meanwhile; one that ends after another which began later changes nothing,
//! for it may still show what the other saw gone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hongyan_core::{
    id::Id,
    limits,
    message::Priority,
    setup::{AppNo, ChannelNo},
    share::Wheel,
    time::Timestamp,
};

use crate::row::Row;

/// How many buckets there are (design 6).
pub(crate) const BUCKETS: u8 = 64;

/// How long a channel that asked for its suspect keeps others from claiming, unless it asks again: long enough for a
/// dispatcher that polls, short enough for a channel that was paused meanwhile to stall nobody.
const WISH_LAPSES: Duration = Duration::from_secs(2);

/// Where ready rows of one kind lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub channel: ChannelNo,
    pub priority: Priority,
    pub app: AppNo,
    pub bucket: u8,
}

impl Lane {
    /// The lane of a row that is no suspect.
    pub(crate) fn of(row: &Row) -> Self {
        Self { channel: row.channel, priority: row.priority, app: row.app, bucket: row.id.bucket() }
    }
}

/// A reading of a bucket that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    bucket: u8,
    /// Its place among all readings.
    no: u64,
    /// How often this node had written to the bucket.
    since: u64,
}

/// What one reading of a bucket found.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Lanes with their earliest due times.
    pub lanes: Vec<(Lane, Timestamp)>,
    /// Channels with deliveries that are sent alone, with their earliest due times.
    pub suspects: Vec<(ChannelNo, Timestamp)>,
}

/// The memory of a node.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Known>);

/// What is in it; locked for moments only.
#[derive(Debug, Default)]
pub(crate) struct Known {
    held: HashMap<Id, Row>,
    /// How many rows of a message are held.
    held_messages: HashMap<Id, usize>,
    held_suspects: usize,
    lanes: BTreeMap<Lane, Timestamp>,
    suspects: BTreeMap<(ChannelNo, u8), Timestamp>,
    /// Grows whenever this node makes something ready in a bucket.
    written: HashMap<u8, u64>,
    /// How many parcels are about to become ready in a bucket: what is read there meanwhile may not show them.
    coming: HashMap<u8, usize>,
    /// How many readings have begun.
    readings: u64,
    /// The reading of each bucket that began last of those that have ended.
    read: HashMap<u8, u64>,
    /// Whose turn it is, by channel.
    pub wheels: HashMap<ChannelNo, Wheel>,
    /// Which app had the last turn.
    pub turns: HashMap<(ChannelNo, Priority), AppNo>,
    /// The channel that wants to send a suspect and waits until nothing else is in flight, and when it last asked.
    pub wish: Option<(ChannelNo, Timestamp)>,
    /// How far the search for what is over has come, by bucket: the last id that it looked at.
    pub expired_to: HashMap<u8, i64>,
    /// How far the search for secrets to erase has come: the last message that it looked at.
    pub erased_to: i64,
}

impl Memory {
    /// The memory, for a moment.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Keeps a row that is held, as it was last written; what is known of a newer lease stays.
    pub(crate) fn hold(&mut self, row: Row) {
        if self.held.get(&row.id).is_some_and(|known| known.track.lease > row.track.lease) {
            return;
        }
        self.held_suspects += usize::from(is_suspect(&row));
        match self.held.insert(row.id, row) {
            Some(before) => self.held_suspects -= usize::from(is_suspect(&before)),
            None => *self.held_messages.entry(row.message).or_default() += 1,
        }
    }

    /// Lets a row go that was held under this lease or an older one.
    pub(crate) fn let_go(&mut self, id: Id, lease: u32) {
        if self.held.get(&id).is_none_or(|known| known.track.lease > lease) {
            return;
        }
        let Some(row) = self.held.remove(&id) else { return };
        self.held_suspects -= usize::from(is_suspect(&row));
        if let Some(rows) = self.held_messages.get_mut(&row.message) {
            *rows -= 1;
            if *rows == 0 {
                self.held_messages.remove(&row.message);
            }
        }
    }

    /// Lets everything go: this node was declared dead.
    pub(crate) fn let_all_go(&mut self) {
        self.held.clear();
        self.held_messages.clear();
        self.held_suspects = 0;
    }

    /// The row, if it is held.
    pub(crate) fn held(&self, id: Id) -> Option<&Row> {
        self.held.get(&id)
    }

    /// Whether nothing is held.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether something of a message is held: its outcome will be told without asking the database.
    pub(crate) fn holds_of(&self, message: Id) -> bool {
        self.held_messages.contains_key(&message)
    }

    /// Whether something is held that must be alone.
    pub(crate) const fn holds_suspect(&self) -> bool {
        self.held_suspects > 0
    }

    /// A row has become ready where its track says.
    pub(crate) fn became_ready(&mut self, row: &Row) {
        let (bucket, due) = (row.id.bucket(), row.track.due);
        *self.written.entry(bucket).or_default() += 1;
        let known = match is_suspect(row) {
            true => self.suspects.entry((row.channel, bucket)).or_insert(due),
            false => self.lanes.entry(Lane::of(row)).or_insert(due),
        };
        *known = due.min(*known);
    }

    /// A row is about to become ready; from now on it counts as waiting.
    pub(crate) fn will_be_ready(&mut self, row: &Row) {
        *self.coming.entry(row.id.bucket()).or_default() += 1;
        self.became_ready(row);
    }

    /// So many rows that were about to become ready in `bucket` are, or will not be.
    pub(crate) fn have_come(&mut self, bucket: u8, rows: usize) {
        if let Some(coming) = self.coming.get_mut(&bucket) {
            *coming = coming.saturating_sub(rows);
        }
    }

    /// Whether a reading of a bucket that began at `since` shows all that this node has written there.
    fn is_untouched(&self, bucket: u8, since: u64) -> bool {
        self.written(bucket) == since && self.coming.get(&bucket).is_none_or(|coming| *coming == 0)
    }

    /// How often this node has written to a bucket.
    pub(crate) fn written(&self, bucket: u8) -> u64 {
        self.written.get(&bucket).copied().unwrap_or(0)
    }

    /// Begins to read a bucket.
    pub(crate) fn begin_reading(&mut self, bucket: u8) -> Reading {
        self.readings += 1;
        Reading { bucket, no: self.readings, since: self.written(bucket) }
    }

    /// Takes over what a reading found. Answers the channels of which something is due.
    pub(crate) fn found(&mut self, reading: Reading, waiting: &Waiting, now: Timestamp) -> Vec<ChannelNo> {
        let last = self.read.entry(reading.bucket).or_default();
        if reading.no > *last {
            *last = reading.no;
            self.keep(reading, waiting);
        }
        let lanes = waiting.lanes.iter().map(|(lane, due)| (lane.channel, *due));
        let due = lanes.chain(waiting.suspects.iter().copied()).filter(|(_, due)| *due <= now);
        due.map(|(channel, _)| channel).collect()
    }

    fn keep(&mut self, Reading { bucket, since, .. }: Reading, waiting: &Waiting) {
        if self.is_untouched(bucket, since) {
            self.lanes.retain(|lane, _| lane.bucket != bucket);
            self.suspects.retain(|(_, of), _| *of != bucket);
        }
        for (lane, due) in &waiting.lanes {
            let known = self.lanes.entry(*lane).or_insert(*due);
            *known = (*due).min(*known);
        }
        for (channel, due) in &waiting.suspects {
            let known = self.suspects.entry((*channel, bucket)).or_insert(*due);
            *known = (*due).min(*known);
        }
    }

    /// What is left of a lane after a claim has read it, when [`Known::written`] was `since`: its next due time, if any.
    pub(crate) fn left(&mut self, lane: Lane, since: u64, next: Option<Timestamp>) {
        let untouched = self.is_untouched(lane.bucket, since);
        match (next, self.lanes.get_mut(&lane)) {
            (Some(next), Some(known)) => *known = if untouched { next } else { next.min(*known) },
            (Some(next), None) => drop(self.lanes.insert(lane, next)),
            (None, Some(_)) if untouched => drop(self.lanes.remove(&lane)),
            (None, _) => {}
        }
    }

    /// The lanes of a channel with their earliest due times.
    pub(crate) fn lanes_of(&self, channel: ChannelNo) -> impl Iterator<Item = (Lane, Timestamp)> {
        let first = Lane { channel, priority: Priority::Low, app: AppNo(0), bucket: 0 };
        let of = self.lanes.range(first..).take_while(move |(lane, _)| lane.channel == channel);
        of.map(|(lane, due)| (*lane, *due))
    }

    /// The buckets in which suspects of a channel wait, with their earliest due times.
    pub(crate) fn suspects_of(&self, channel: ChannelNo) -> impl Iterator<Item = (u8, Timestamp)> {
        let of = self.suspects.range((channel, 0)..=(channel, u8::MAX));
        of.map(|((_, bucket), due)| (*bucket, *due))
    }

    /// Whether something is in flight that must be alone, or a channel waits for that.
    pub(crate) fn suspects_reign(&self, now: Timestamp) -> bool {
        let wished = |(channel, asked)| self.suspects_of(channel).next().is_some() && now.since(asked) < WISH_LAPSES;
        self.holds_suspect() || self.wish.is_some_and(wished)
    }

    /// Whether a parcel of `channel` that is due may be born leased: nothing that is due waits before it, as far as this node
    /// knows, and nothing is in flight or about to be that must be alone.
    pub(crate) fn may_be_born_leased(&self, channel: ChannelNo, now: Timestamp) -> bool {
        !self.suspects_reign(now)
            && self.suspects_of(channel).next().is_none()
            && self.lanes_of(channel).all(|(_, due)| due > now)
    }
}

/// Whether a delivery is sent alone (design 4).
pub(crate) const fn is_suspect(row: &Row) -> bool {
    row.track.crashes >= limits::CRASHES_BEFORE_ALONE
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: ChannelNo = ChannelNo(1);
    const NOW: Timestamp = Timestamp::from_ms(1_000);
    const LATER: Timestamp = Timestamp::from_ms(5_000);

    fn waiting(app: u32) -> Waiting {
        let lane = Lane { channel: CHANNEL, priority: Priority::Low, app: AppNo(app), bucket: 7 };
        Waiting { lanes: vec![(lane, LATER)], suspects: vec![(CHANNEL, LATER)] }
    }

    fn apps(known: &Known) -> Vec<u32> {
        known.lanes_of(CHANNEL).map(|(lane, _)| lane.app.0).collect()
    }

    #[test]
    fn a_reading_replaces_what_is_known_of_its_bucket() {
        let mut known = Known::default();
        for app in [1, 2] {
            let reading = known.begin_reading(7);
            assert!(known.found(reading, &waiting(app), NOW).is_empty());
        }
        assert_eq!(apps(&known), [2]);
        let other = known.begin_reading(8);
        known.found(other, &Waiting::default(), NOW);
        assert_eq!(apps(&known), [2], "another bucket");
    }

    #[test]
    fn a_reading_that_was_overtaken_brings_nothing_back() {
        let mut known = Known::default();
        let (slow, quick) = (known.begin_reading(7), known.begin_reading(7));
        known.found(quick, &Waiting::default(), NOW);
        assert_eq!(known.found(slow, &waiting(1), LATER), [CHANNEL; 2], "whoever is due is still told");
        assert!(apps(&known).is_empty() && known.suspects_of(CHANNEL).next().is_none());
    }
}
