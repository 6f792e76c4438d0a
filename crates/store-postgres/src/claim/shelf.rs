//! The first parcels of the lanes of a channel, taken down one by one as their turns come. A lane whose parcels run out is read
//! on; one in which nothing is left is taken out of memory. For each priority and app the bucket that has waited longest is
//! read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use hongyan_core::{
    message::Priority,
    setup::{AppNo, ChannelNo},
    share::Wheel,
    time::Timestamp,
};

use crate::{
    engine::Engine,
    memory::Lane,
    row::{priority_number, signed},
    session::Query,
    sql::hot,
    trouble::Outcome,
};

/// A parcel whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) lane: Lane,
    /// When it was due, and which parcel it is.
    pub(super) key: (i64, i64),
    /// Its first row.
    pub(super) head: i64,
    /// How many of its rows were seen.
    rows: usize,
}

/// Once so many rows have been seen of what is chosen, there is enough: a parcel may have a thousand.
const ROWS_MAX: usize = 1_024;

/// A parcel on the shelf.
#[derive(Clone, Copy, Debug)]
struct Entry {
    due: i64,
    parcel: i64,
    head: i64,
    /// How many of its rows were read, at most as many as were asked for.
    rows: usize,
}

/// What is known of a lane that was read.
#[derive(Debug)]
struct Read {
    entries: VecDeque<Entry>,
    /// The place behind the last entry that was read.
    place: (i64, i64),
    /// Whether more may follow behind it.
    more: bool,
    /// How often this node had written to the bucket when it was read first.
    since: u64,
    /// The due time of the last entry taken.
    taken: Option<i64>,
}

/// The shelf of one claim.
pub(super) struct Shelf<'a> {
    engine: &'a Engine,
    channel: ChannelNo,
    now: Timestamp,
    lanes: BTreeMap<Lane, Read>,
}

/// The fewest rows that are read of a lane.
const READ_MIN: usize = 8;

impl<'a> Shelf<'a> {
    pub(super) fn new(engine: &'a Engine, channel: ChannelNo, now: Timestamp) -> Self {
        Self { engine, channel, now, lanes: BTreeMap::new() }
    }

    /// Takes down up to `limit` parcels that are due, in their turns.
    pub(super) async fn choose(&mut self, limit: usize) -> Outcome<Vec<Choice>> {
        let (mut wheel, mut turns) = {
            let known = self.engine.memory.lock();
            (known.wheels.get(&self.channel).cloned().unwrap_or_default(), known.turns.clone())
        };
        let mut chosen = Vec::new();
        while chosen.len() < limit {
            self.fill(limit - chosen.len()).await?;
            let taken = self.take(limit - chosen.len(), &mut wheel, &mut turns, &mut chosen);
            let rows: usize = chosen.iter().map(|choice| choice.rows).sum();
            if taken == 0 || rows >= ROWS_MAX {
                break;
            }
        }
        let mut known = self.engine.memory.lock();
        known.wheels.insert(self.channel, wheel);
        // Other channels take their turns meanwhile.
        known.turns.extend(turns.into_iter().filter(|((channel, _), _)| *channel == self.channel));
        Ok(chosen)
    }

    /// Tells memory what is left in the lanes that were read.
    pub(super) fn forget(self) {
        let mut known = self.engine.memory.lock();
        for (lane, read) in self.lanes {
            let next = match read.entries.front() {
                Some(entry) => Some(entry.due),
                // Not read to its end: whatever follows is not due before what was taken.
                None if read.more => read.taken.or(Some(read.place.0)),
                None => None,
            };
            known.left(lane, read.since, next.map(Timestamp::from_ms));
        }
    }

    /// Takes parcels in turns until there are enough or a lane has to be read on; answers how many.
    fn take(
        &mut self,
        wanted: usize,
        wheel: &mut Wheel,
        turns: &mut HashMap<(ChannelNo, Priority), AppNo>,
        chosen: &mut Vec<Choice>,
    ) -> usize {
        let mut waiting = self.firsts();
        for taken in 0..wanted {
            let apps = |priority| waiting.range((priority, AppNo(0))..=(priority, AppNo(u32::MAX)));
            let Some(priority) = wheel.next(|priority| apps(priority).next().is_some()) else { return taken };
            let last = turns.get(&(self.channel, priority)).copied();
            let next = apps(priority).find(|((_, app), _)| last.is_none_or(|last| *app > last));
            let Some((&of, &lane)) = next.or_else(|| apps(priority).next()) else { return taken };
            turns.insert((self.channel, priority), of.1);
            let Some(read) = self.lanes.get_mut(&lane) else { return taken };
            let Some(entry) = read.entries.pop_front() else { return taken };
            read.taken = Some(entry.due);
            chosen.push(Choice { lane, key: (entry.due, entry.parcel), head: entry.head, rows: entry.rows });
            let ran_out = read.entries.is_empty() && read.more;
            let is_large = entry.rows > READ_MIN;
            match self.first_of(of) {
                Some((_, _, lane)) => drop(waiting.insert(of, lane)),
                None => drop(waiting.remove(&of)),
            }
            // Before this app's next turn there may be more to be read of it, here or in another bucket.
            if ran_out || is_large || !waiting.contains_key(&of) {
                return taken + 1;
            }
        }
        wanted
    }

    /// For each priority and app of which something is due on the shelf, the lane whose first parcel is due first.
    fn firsts(&self) -> BTreeMap<(Priority, AppNo), Lane> {
        let all: BTreeSet<(Priority, AppNo)> = self.lanes.keys().map(|lane| (lane.priority, lane.app)).collect();
        all.into_iter().filter_map(|of| Some((of, self.first_of(of)?.2))).collect()
    }

    /// The first parcel of a priority and app that is due on the shelf: when, which, and the lane it lies in.
    fn first_of(&self, (priority, app): (Priority, AppNo)) -> Option<(i64, i64, Lane)> {
        let lane = |bucket| Lane { channel: self.channel, priority, app, bucket };
        let first = |(lane, read): (&Lane, &Read)| {
            let entry = read.entries.front().filter(|entry| entry.due <= self.now.ms())?;
            Some((entry.due, entry.parcel, *lane))
        };
        self.lanes.range(lane(0)..=lane(u8::MAX)).filter_map(first).min()
    }

    /// The lanes that have to be read before the next turn: those read before that have run out, and for each priority and
    /// app without anything due on the shelf the bucket that has waited longest of those not read yet.
    fn lanes_to_read(&self) -> Vec<Lane> {
        let mut lanes: BTreeSet<Lane> = BTreeSet::new();
        for (lane, read) in &self.lanes {
            if read.entries.is_empty() && read.more && read.place.0 <= self.now.ms() {
                lanes.insert(*lane);
            }
        }
        let served: BTreeSet<(Priority, AppNo)> =
            self.firsts().into_keys().chain(lanes.iter().map(|lane| (lane.priority, lane.app))).collect();
        let mut oldest: BTreeMap<(Priority, AppNo), (Timestamp, Lane)> = BTreeMap::new();
        for (lane, due) in self.engine.memory.lock().lanes_of(self.channel) {
            let of = (lane.priority, lane.app);
            if due > self.now || served.contains(&of) || self.lanes.contains_key(&lane) {
                continue;
            }
            let known = oldest.entry(of).or_insert((due, lane));
            *known = (due, lane).min(*known);
        }
        lanes.into_iter().chain(oldest.into_values().map(|(_, lane)| lane)).collect()
    }

    /// Reads lanes until every priority and app of which something is due has something on the shelf.
    async fn fill(&mut self, wanted: usize) -> Outcome<()> {
        loop {
            let lanes = self.lanes_to_read();
            if lanes.is_empty() {
                return Ok(());
            }
            let apps = Priority::ALL.map(|priority| lanes.iter().filter(|lane| lane.priority == priority).count());
            let fewest = apps.into_iter().filter(|apps| *apps > 0).min().unwrap_or(1);
            let rows = (wanted.div_ceil(fewest) + 1).max(READ_MIN);
            self.read(&lanes, rows).await?;
        }
    }

    async fn read(&mut self, lanes: &[Lane], rows: usize) -> Outcome<()> {
        {
            let known = self.engine.memory.lock();
            for lane in lanes {
                self.lanes.entry(*lane).or_insert_with(|| Read {
                    entries: VecDeque::new(),
                    place: (i64::MIN, 0),
                    more: true,
                    since: known.written(lane.bucket),
                    taken: None,
                });
            }
        }
        let mut asked: BTreeMap<u8, Asked> = BTreeMap::new();
        for lane in lanes {
            let place = self.lanes.get(lane).map_or((i64::MIN, 0), |read| read.place);
            asked.entry(lane.bucket).or_default().push(*lane, place);
        }
        let rows_max = i64::try_from(rows).unwrap_or(i64::MAX);
        for (lane, entries) in candidates(self.engine, self.channel, &asked, rows_max).await? {
            let Some(read) = self.lanes.get_mut(&lane) else { continue };
            read.more = entries.len() >= rows;
            for entry in entries {
                // The rows of a parcel lie side by side: the first is its head.
                let place = (entry.due, entry.parcel);
                match read.entries.back_mut() {
                    _ if place != read.place => read.entries.push_back(entry),
                    Some(last) => last.rows += 1,
                    None => {}
                }
                read.place = place;
            }
        }
        Ok(())
    }
}

/// Lanes of one bucket that are read, as columns.
#[derive(Default)]
struct Asked {
    lanes: Vec<Lane>,
    priority: Vec<i16>,
    app: Vec<i32>,
    due: Vec<i64>,
    parcel: Vec<i64>,
}

impl Asked {
    fn push(&mut self, lane: Lane, (due, parcel): (i64, i64)) {
        self.lanes.push(lane);
        self.priority.push(priority_number(lane.priority));
        self.app.push(signed(lane.app.0));
        self.due.push(due);
        self.parcel.push(parcel);
    }
}

/// The first rows of lanes behind their places, in order; a lane without any is answered empty.
async fn candidates(
    engine: &Engine,
    channel: ChannelNo,
    asked: &BTreeMap<u8, Asked>,
    rows: i64,
) -> Outcome<Vec<(Lane, Vec<Entry>)>> {
    let channel = signed(channel.0);
    let buckets: Vec<i16> = asked.keys().map(|bucket| i16::from(*bucket)).collect();
    let mut queries = Vec::with_capacity(asked.len());
    for (Asked { priority, app, due, parcel, .. }, bucket) in asked.values().zip(&buckets) {
        queries.push(Query { sql: hot::CANDIDATES, params: vec![bucket, &channel, priority, app, due, parcel, &rows] });
    }
    let answers = engine.pool.lend().await?.query_all(&queries).await?;
    let mut found: BTreeMap<Lane, Vec<Entry>> =
        asked.values().flat_map(|asked| &asked.lanes).map(|lane| (*lane, Vec::new())).collect();
    for (asked, answer) in asked.values().zip(answers) {
        for row in answer {
            let no: i64 = row.try_get(0)?;
            let lane = usize::try_from(no - 1).ok().and_then(|no| asked.lanes.get(no));
            let Some(entries) = lane.and_then(|lane| found.get_mut(lane)) else { continue };
            entries.push(Entry { due: row.try_get(1)?, parcel: row.try_get(2)?, head: row.try_get(3)?, rows: 1 });
        }
    }
    Ok(found.into_iter().collect())
}

/// The first due time after `now` in lanes in which something is due.
pub(super) async fn read_behind(
    engine: &Engine,
    channel: ChannelNo,
    lanes: &[Lane],
    now: Timestamp,
) -> Outcome<Option<Timestamp>> {
    if lanes.is_empty() {
        return Ok(None);
    }
    let mut asked: BTreeMap<u8, Asked> = BTreeMap::new();
    for lane in lanes {
        asked.entry(lane.bucket).or_default().push(*lane, (now.ms(), i64::MAX));
    }
    let found = candidates(engine, channel, &asked, 1).await?;
    Ok(found.into_iter().flat_map(|(_, entries)| entries).map(|entry| Timestamp::from_ms(entry.due)).min())
}
