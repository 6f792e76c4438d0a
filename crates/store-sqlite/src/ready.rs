//! Whose turn it is: the ready parcels in memory, as windows over the `ready` index.
//!
//! There is a lane for each channel and priority, and in it a window for each app: exactly the first parcels of that app in
//! the index, in its order, up to the window's `place`. A window that runs empty reads on from its place. The writer sees
//! every write: a row that becomes ready before the place is put into the window (and at capacity the place moves back), one
//! behind it will be found by reading on. Rows that are not due yet wait at the end of their window or of the index.
//! Priorities take turns by [`Wheel`], the apps of a lane one after the other.
//!
//! The windows are a cache: after a rollback they are forgotten and read again. The counts of ready rows are not, so
//! changes to them are remembered until the commit.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
};

use hongyan_core::{
    id::Id,
    limits,
    message::Priority,
    setup::{AppNo, ChannelNo},
    share::Wheel,
    time::Timestamp,
};

use crate::trouble::Outcome;

/// A channel and a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LaneKey {
    pub channel: ChannelNo,
    pub priority: Priority,
}

/// Where a parcel stands among those of its lane and app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub due: i64,
    pub parcel: i64,
}

impl Key {
    /// Before every parcel.
    pub(crate) const START: Self = Self { due: i64::MIN, parcel: 0 };
    /// Behind every parcel.
    pub(crate) const END: Self = Self { due: i64::MAX, parcel: i64::MAX };

    /// The place of a parcel that is due at `due`.
    pub(crate) const fn of(due: Timestamp, parcel: Id) -> Self {
        Self { due: due.ms(), parcel: parcel.get() }
    }
}

/// A parcel in a window, with the number of its rows that are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: Key,
    pub rows: u32,
}

/// The index behind the windows.
pub(crate) trait Index {
    /// The first `limit` parcels of an app behind `after`, in order, each whole.
    fn parcels(&self, lane: LaneKey, app: AppNo, after: Key, limit: usize) -> Outcome<Vec<Entry>>;
}

/// A parcel whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub lane: LaneKey,
    pub app: AppNo,
    pub entry: Entry,
}

/// The ready parcels of every channel.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    bounds: Bounds,
    wheels: HashMap<ChannelNo, Wheel>,
    lanes: HashMap<LaneKey, Lane>,
    /// Changes to the counts that are not committed yet.
    uncommitted: Vec<(LaneKey, AppNo, i64)>,
}

/// How many parcels are kept in memory.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// In one lane.
    lane: usize,
    /// Of one app while others wait.
    app: usize,
}

#[derive(Debug, Default)]
struct Lane {
    apps: BTreeMap<AppNo, AppQueue>,
    /// The app that had the last turn.
    last: Option<AppNo>,
}

#[derive(Debug)]
struct AppQueue {
    /// Ready rows, in memory or not.
    rows: u64,
    window: VecDeque<Entry>,
    place: Key,
}

impl Ready {
    /// Counts rows that were ready when the store was opened.
    pub(crate) fn counted(&mut self, lane: LaneKey, app: AppNo, rows: u64) {
        let place = Key::START;
        self.lanes.entry(lane).or_default().apps.insert(app, AppQueue { rows, window: VecDeque::new(), place });
    }

    /// A row became ready.
    pub(crate) fn insert(&mut self, lane: LaneKey, app: AppNo, key: Key) {
        self.uncommitted.push((lane, app, 1));
        let apps = &mut self.lanes.entry(lane).or_default().apps;
        let known = apps.len();
        let queue = apps.entry(app).or_insert_with(AppQueue::empty);
        queue.rows += 1;
        queue.insert(key);
        if apps.len() > known {
            let capacity = self.bounds.capacity(apps.len());
            apps.values_mut().for_each(|queue| queue.shrink(capacity));
        } else {
            let capacity = self.bounds.capacity(known);
            if let Some(queue) = apps.get_mut(&app) {
                queue.shrink(capacity);
            }
        }
    }

    /// A ready row is ready no more.
    pub(crate) fn remove(&mut self, lane: LaneKey, app: AppNo, key: Key) {
        if let Some(queue) = self.lanes.get_mut(&lane).and_then(|lane| lane.apps.get_mut(&app)) {
            queue.remove(key);
        }
        self.count(lane, app, -1);
        self.uncommitted.push((lane, app, -1));
    }

    /// Takes the parcel of `channel` whose turn it is, if any is due.
    pub(crate) fn take(&mut self, channel: ChannelNo, now: Timestamp, index: &impl Index) -> Outcome<Option<Turn>> {
        let mut next = [None; Priority::ALL.len()];
        for (slot, priority) in next.iter_mut().zip(Priority::ALL) {
            *slot = self.peek(LaneKey { channel, priority }, now, index)?;
        }
        let waiting = |p: Priority| Priority::ALL.iter().zip(next).any(|(of, app)| *of == p && app.is_some());
        let Some(priority) = self.wheels.entry(channel).or_default().next(waiting) else { return Ok(None) };
        let Some(app) = Priority::ALL.iter().zip(next).find_map(|(of, app)| app.filter(|_| *of == priority)) else {
            return Ok(None);
        };
        let lane = LaneKey { channel, priority };
        let Some(entry) = self.lanes.get_mut(&lane).and_then(|lane| {
            lane.last = Some(app);
            lane.apps.get_mut(&app)?.window.pop_front()
        }) else {
            return Ok(None);
        };
        self.count(lane, app, -i64::from(entry.rows));
        self.uncommitted.push((lane, app, -i64::from(entry.rows)));
        Ok(Some(Turn { lane, app, entry }))
    }

    /// Whether anything of `channel` is due.
    pub(crate) fn is_due(&mut self, channel: ChannelNo, now: Timestamp, index: &impl Index) -> Outcome<bool> {
        for priority in Priority::ALL {
            if self.peek(LaneKey { channel, priority }, now, index)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// When the next parcel of `channel` that is not yet due becomes due.
    pub(crate) fn next_due(
        &self,
        channel: ChannelNo,
        now: Timestamp,
        index: &impl Index,
    ) -> Outcome<Option<Timestamp>> {
        let mut next: Option<i64> = None;
        for priority in Priority::ALL {
            let key = LaneKey { channel, priority };
            let Some(lane) = self.lanes.get(&key) else { continue };
            for (app, queue) in &lane.apps {
                let due = queue.next_due(now, |after| index.parcels(key, *app, after, 1))?;
                next = next.into_iter().chain(due).min();
            }
        }
        Ok(next.map(Timestamp::from_ms))
    }

    /// The ready rows of each channel and the due time of the first.
    pub(crate) fn depths(&mut self, index: &impl Index) -> Outcome<BTreeMap<ChannelNo, (u64, Timestamp)>> {
        let mut depths = BTreeMap::new();
        for (key, lane) in &mut self.lanes {
            let capacity = self.bounds.capacity(lane.apps.len());
            for (app, queue) in &mut lane.apps {
                let Some(front) = queue.front(|after| index.parcels(*key, *app, after, capacity), capacity)? else {
                    continue;
                };
                let first = Timestamp::from_ms(front.due);
                let depth = depths.entry(key.channel).or_insert((0, first));
                *depth = (depth.0 + queue.rows, depth.1.min(first));
            }
        }
        Ok(depths)
    }

    /// The changes since the last commit stand.
    pub(crate) fn committed(&mut self) {
        self.uncommitted.clear();
    }

    /// The changes since the last commit never happened: counts go back, windows are read again.
    pub(crate) fn rolled_back(&mut self) {
        for (lane, app, rows) in std::mem::take(&mut self.uncommitted).into_iter().rev() {
            self.count(lane, app, -rows);
        }
        for queue in self.lanes.values_mut().flat_map(|lane| lane.apps.values_mut()) {
            queue.window.clear();
            queue.place = Key::START;
        }
    }

    /// The app whose turn it is in a lane, if any has something due.
    fn peek(&mut self, key: LaneKey, now: Timestamp, index: &impl Index) -> Outcome<Option<AppNo>> {
        let Some(lane) = self.lanes.get_mut(&key) else { return Ok(None) };
        let capacity = self.bounds.capacity(lane.apps.len());
        let mut first_due = |from: Bound<AppNo>, to: Bound<AppNo>| {
            for (app, queue) in lane.apps.range_mut((from, to)) {
                let front = queue.front(|after| index.parcels(key, *app, after, capacity), capacity)?;
                if front.is_some_and(|front| front.due <= now.ms()) {
                    return Ok(Some(*app));
                }
            }
            Ok(None)
        };
        let Some(last) = lane.last else { return first_due(Bound::Unbounded, Bound::Unbounded) };
        match first_due(Bound::Excluded(last), Bound::Unbounded)? {
            Some(app) => Ok(Some(app)),
            None => first_due(Bound::Unbounded, Bound::Included(last)),
        }
    }

    /// Changes the count of an app. An app without ready rows is forgotten: it has no window to keep.
    fn count(&mut self, lane: LaneKey, app: AppNo, by: i64) {
        let apps = &mut self.lanes.entry(lane).or_default().apps;
        let queue = apps.entry(app).or_insert_with(AppQueue::empty);
        queue.rows = queue.rows.saturating_add_signed(by);
        if queue.rows == 0 {
            apps.remove(&app);
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { lane: limits::READY_IN_MEMORY_MAX, app: limits::READY_IN_MEMORY_PER_APP_MAX }
    }
}

impl Bounds {
    /// How many parcels of one app are kept in memory in a lane of so many apps.
    fn capacity(self, apps: usize) -> usize {
        if apps <= 1 { self.lane } else { self.app.min(self.lane / apps).max(1) }
    }
}

impl AppQueue {
    /// A queue of which nothing is in the index.
    fn empty() -> Self {
        Self { rows: 0, window: VecDeque::new(), place: Key::END }
    }

    fn insert(&mut self, key: Key) {
        if key > self.place {
            return;
        }
        // Almost always the last.
        let at = match self.window.back() {
            Some(last) if last.key >= key => self.window.partition_point(|entry| entry.key < key),
            _ => self.window.len(),
        };
        match self.window.get_mut(at) {
            Some(entry) if entry.key == key => entry.rows += 1,
            _ => self.window.insert(at, Entry { key, rows: 1 }),
        }
    }

    fn remove(&mut self, key: Key) {
        let at = self.window.partition_point(|entry| entry.key < key);
        let Some(entry) = self.window.get_mut(at).filter(|entry| entry.key == key) else { return };
        entry.rows -= 1;
        if entry.rows == 0 {
            self.window.remove(at);
        }
    }

    /// Moves the place back so that at most `capacity` parcels are in memory.
    fn shrink(&mut self, capacity: usize) {
        if self.window.len() > capacity {
            self.window.truncate(capacity);
            self.place = self.window.back().map_or(Key::START, |last| last.key);
        }
    }

    /// The first parcel; reads on where the window is empty.
    fn front(&mut self, read: impl Fn(Key) -> Outcome<Vec<Entry>>, capacity: usize) -> Outcome<Option<Key>> {
        if self.window.is_empty() && self.place != Key::END {
            let found = read(self.place)?;
            self.place = match found.last() {
                Some(last) if found.len() >= capacity => last.key,
                _ => Key::END,
            };
            self.window = found.into();
        }
        Ok(self.window.front().map(|entry| entry.key))
    }

    /// When the first parcel becomes due that is not due at `now`.
    fn next_due(&self, now: Timestamp, read: impl Fn(Key) -> Outcome<Vec<Entry>>) -> Outcome<Option<i64>> {
        let waiting = self.window.partition_point(|entry| entry.key.due <= now.ms());
        if let Some(entry) = self.window.get(waiting) {
            return Ok(Some(entry.key.due));
        }
        if self.place == Key::END {
            return Ok(None);
        }
        let after = self.place.max(Key { due: now.ms(), parcel: i64::MAX });
        Ok(read(after)?.first().map(|entry| entry.key.due))
    }
}

#[cfg(test)]
mod tests;
