//! What an operation would like to have happened: kept beside its transaction, done after the commit, forgotten without one.
//! Nothing staged here has happened before the commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hongyan_core::{
    delivery::{State, Track},
    id::Id,
    ports::{Desk, Moved, NoDesk, NoProgress, Progress},
    setup::ChannelNo,
    store::Lease,
};

use crate::{memory::Known, refunds::Refunds, row::Row};

/// The rest of the node, as the store sees it.
#[derive(Clone)]
pub(crate) struct Links {
    pub desk: Arc<dyn Desk>,
    pub progress: Arc<dyn Progress>,
}

impl Default for Links {
    fn default() -> Self {
        Self { desk: Arc::new(NoDesk), progress: Arc::new(NoProgress) }
    }
}

/// What follows a commit.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    /// Rows that are held now, as they were written.
    pub held: Vec<Row>,
    /// Rows that are not held any more under these leases.
    pub released: Vec<(Id, u32)>,
    /// Rows that became ready.
    pub ready: Vec<Row>,
    /// Parcels for slots that were reserved at the desk.
    pub leases: Vec<Lease>,
    /// Channels whose reserved slots are not used after all.
    pub void: Vec<ChannelNo>,
    /// Deliveries that moved.
    pub moved: Vec<Moved>,
    /// Buckets of which something that was ready went without being claimed: their lanes are read again.
    pub reread: BTreeSet<u8>,
    /// How many rows became ready, less those that ceased to be, where the statements do not count that themselves.
    pub depth: BTreeMap<(u8, ChannelNo), i64>,
    /// What is given back to accounts, before the commit and as the last of all that is done.
    pub refunds: Refunds,
}

impl Stage {
    /// A row moved from where `row` says to `to`: keeps memory and counters in step.
    pub(crate) fn change(&mut self, row: &Row, to: Track) {
        let now = Row { track: to, ..*row };
        let bucket = row.id.bucket();
        if row.track.state == State::Ready {
            *self.depth.entry((bucket, row.channel)).or_default() -= 1;
            self.reread.insert(bucket);
        }
        if to.state == State::Ready {
            *self.depth.entry((bucket, row.channel)).or_default() += 1;
        }
        self.moved(&now);
    }

    /// The same where the statement that moved the row has counted it.
    pub(crate) fn moved(&mut self, now: &Row) {
        match now.track.state {
            State::Ready => {
                self.ready.push(*now);
                self.released.push((now.id, now.track.lease));
            }
            state if state.is_held() => self.held.push(*now),
            _ => self.released.push((now.id, now.track.lease)),
        }
    }

    /// To be told after the commit: this delivery moved.
    pub(crate) fn tell(&mut self, row: &Row, track: Track) {
        self.moved.push(Moved { message: row.message, delivery: row.id, track });
    }

    /// The transaction is on disk: memory follows.
    pub(crate) fn remember(&self, known: &mut Known) {
        for (id, lease) in &self.released {
            known.let_go(*id, *lease);
        }
        for row in &self.held {
            known.hold(*row);
        }
        for row in &self.ready {
            known.became_ready(row);
        }
    }

    /// The transaction is on disk and remembered: hands over, tells and wakes.
    pub(crate) fn publish(self, links: &Links) {
        if !self.leases.is_empty() {
            links.desk.hand_over(self.leases);
        }
        self.void.iter().for_each(|channel| links.desk.release(*channel));
        if !self.moved.is_empty() {
            links.progress.moved(&self.moved);
        }
        let wakes: BTreeSet<ChannelNo> = self.ready.iter().map(|row| row.channel).collect();
        for channel in wakes {
            links.desk.wake(channel);
        }
    }
}
