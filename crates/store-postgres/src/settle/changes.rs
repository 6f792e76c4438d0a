//! Deliveries as they were found and as events leave them, and the columns that write the difference.

use std::collections::{BTreeMap, HashMap};

use hongyan_core::{
    delivery::{Reason, State, Track, step},
    id::Id,
    limits,
    store::{Attempt, Change},
    time::Timestamp,
};

use crate::{
    engine::Registration,
    row::{Row, attempts_encode, bucket_of, signed, state_number},
    session::{Param, Query},
    sql::hot,
};

/// Deliveries on their way from where they were found to where events lead.
#[derive(Debug, Default)]
pub(super) struct Settling {
    rows: BTreeMap<Id, Moving>,
}

#[derive(Debug)]
struct Moving {
    was: Row,
    track: Track,
    /// Whether it lies with what is done.
    is_done: bool,
    changed: bool,
    attempts: Vec<Attempt>,
}

impl Settling {
    /// Deliveries that are open, as they were found.
    pub(super) fn of(rows: impl Iterator<Item = Row>) -> Self {
        let moving = |was: Row| Moving { was, track: was.track, is_done: false, changed: false, attempts: Vec::new() };
        Self { rows: rows.map(|row| (row.id, moving(row))).collect() }
    }

    /// Adds a delivery that is done, as it was found.
    pub(super) fn add_done(&mut self, was: Row) {
        let moving = Moving { was, track: was.track, is_done: true, changed: false, attempts: Vec::new() };
        self.rows.insert(was.id, moving);
    }

    /// Runs events through `step`; answers the tracks that follow. History may have been forgotten meanwhile: a normal outcome
    /// that leaves nothing to write.
    pub(super) fn apply(&mut self, changes: &[Change], now: Timestamp) -> Vec<Option<Track>> {
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            let Some(row) = self.rows.get_mut(&change.delivery) else {
                answers.push(None);
                continue;
            };
            row.attempts.extend(change.attempt.clone());
            let next = step(&row.track, &change.event, &change.policy, now);
            if let Some(next) = next {
                row.track = next;
                row.changed = true;
            }
            answers.push(next);
        }
        answers
    }

    /// Gives the rows of each parcel that go back to wait the latest of their due times, so that they are claimed together.
    pub(super) fn align(&mut self) {
        let waits = |row: &&mut Moving| row.changed && row.track.state == State::Ready;
        let mut latest: HashMap<Id, Timestamp> = HashMap::new();
        for row in self.rows.values_mut().filter(waits) {
            let due = latest.entry(row.was.parcel).or_insert(row.track.due);
            *due = row.track.due.max(*due);
        }
        for row in self.rows.values_mut().filter(waits) {
            row.track.due = latest.get(&row.was.parcel).copied().unwrap_or(row.track.due);
        }
    }

    /// Puts the due times that were aligned into the answers.
    pub(super) fn correct(&self, changes: &[Change], answers: &mut [Option<Track>]) {
        for (change, answer) in changes.iter().zip(answers) {
            if let (Some(track), Some(row)) = (answer, self.rows.get(&change.delivery))
                && track.state == State::Ready
                && row.track.state == State::Ready
            {
                track.due = row.track.due;
            }
        }
    }

    /// The deliveries that moved: as they were found, and where they stand now.
    pub(super) fn changed(&self) -> impl Iterator<Item = (Row, Track)> {
        self.rows.values().filter(|row| row.changed).map(|row| (row.was, row.track))
    }

    /// What is on record of these tries already is not kept twice: a settlement whose commit was not confirmed comes again.
    pub(super) fn forget_known(&mut self, id: Id, known: &[Attempt]) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.attempts.retain(|attempt| !known.contains(attempt));
        }
    }

    /// What is to be written, as columns by bucket.
    pub(super) fn tables(&self, me: Registration, lane: i16, now: Timestamp) -> Tables {
        let mut tables = Tables {
            buckets: BTreeMap::new(),
            node: i16::from(me.number),
            lane,
            // A call may be begun only by a node that will not be taken for dead while it is made.
            alive_beyond: (now + limits::LEASE_MARGIN).ms(),
        };
        for row in self.rows.values().filter(|row| row.changed || !row.attempts.is_empty()) {
            let bucket = tables.buckets.entry(bucket_of(row.was.id)).or_default();
            let columns = match (row.is_done, row.track.state.is_open()) {
                (true, _) => &mut bucket.done,
                (false, true) => bucket.kept_next(),
                (false, false) => &mut bucket.finished,
            };
            columns.push(row);
        }
        tables
    }
}

/// What is to be written.
pub(super) struct Tables {
    buckets: BTreeMap<i16, Bucket>,
    node: i16,
    lane: i16,
    alive_beyond: i64,
}

#[derive(Default)]
struct Bucket {
    /// In pieces, because the statement compares each of its rows with each.
    kept: Vec<Columns>,
    finished: Columns,
    done: Columns,
}

#[derive(Default)]
struct Columns {
    id: Vec<i64>,
    lease: Vec<i32>,
    was: Vec<i16>,
    state: Vec<i16>,
    reason: Vec<Option<&'static str>>,
    tries: Vec<i16>,
    crashes: Vec<i16>,
    first_try: Vec<Option<i64>>,
    maybe_duplicate: Vec<bool>,
    attempts: Vec<String>,
    due: Vec<i64>,
}

/// Rows of one `KEEP`.
const KEPT_MAX: usize = 64;

impl Bucket {
    /// Where the next delivery goes that is still to come.
    fn kept_next(&mut self) -> &mut Columns {
        if self.kept.last().is_none_or(|kept| kept.id.len() >= KEPT_MAX) {
            self.kept.push(Columns::default());
        }
        let last = self.kept.len() - 1;
        &mut self.kept[last]
    }
}

impl Columns {
    fn push(&mut self, row: &Moving) {
        let track = &row.track;
        self.id.push(row.was.id.get());
        self.lease.push(signed(row.was.track.lease));
        self.was.push(state_number(row.was.track.state));
        self.state.push(state_number(track.state));
        self.reason.push(track.reason.map(Reason::as_str));
        self.tries.push(i16::try_from(track.tries).unwrap_or(i16::MAX));
        self.crashes.push(i16::from(track.crashes));
        self.first_try.push(track.first_try.map(Timestamp::ms));
        self.maybe_duplicate.push(track.maybe_duplicate);
        self.attempts.push(attempts_encode(&row.attempts));
        self.due.push(track.due.ms());
    }

    fn params<'q>(&'q self, bucket: &'q i16) -> Vec<Param<'q>> {
        vec![
            bucket,
            &self.id,
            &self.lease,
            &self.was,
            &self.state,
            &self.reason,
            &self.tries,
            &self.crashes,
            &self.first_try,
            &self.maybe_duplicate,
            &self.attempts,
        ]
    }
}

impl Tables {
    /// The statements that write it.
    pub(super) fn queries(&self) -> Vec<Query<'_>> {
        let mut queries = Vec::new();
        for (bucket, rows) in &self.buckets {
            for kept in &rows.kept {
                let mut params = kept.params(bucket);
                params.extend([&self.node as Param<'_>, &self.lane, &kept.due, &self.alive_beyond]);
                queries.push(Query { sql: hot::KEEP, params });
            }
            if !rows.finished.id.is_empty() {
                let mut params = rows.finished.params(bucket);
                params.extend([&self.node as Param<'_>, &self.lane, &rows.finished.due]);
                queries.push(Query { sql: hot::FINISH, params });
            }
            if !rows.done.id.is_empty() {
                queries.push(Query { sql: hot::DONE_CHANGE, params: rows.done.params(bucket) });
            }
        }
        queries
    }
}
