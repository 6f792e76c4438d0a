//! What an operation works with: the write connection inside a transaction, the writer's memory, and what is to be said
//! once the transaction is on disk. Nothing staged here has happened before the commit.

use std::{collections::BTreeSet, sync::Arc};

use hongyan_core::{
    account::AccountNo,
    delivery::{State, Track},
    ports::{Desk, Moved, NoDesk, NoProgress, Progress},
    setup::ChannelNo,
    store::Lease,
    time::Timestamp,
};
use rusqlite::Connection;

use crate::{
    memory::Memory,
    row::{Row, track_write},
    trouble::Outcome,
    windows,
};

/// The rest of the node, as the writer sees it.
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

/// What is done after the commit, or undone if there is none.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    /// Slots taken at the desk.
    reserved: Vec<ChannelNo>,
    /// Parcels for the reserved slots.
    leases: Vec<Lease>,
    /// Channels of which something became ready.
    wakes: BTreeSet<ChannelNo>,
    moved: Vec<Moved>,
}

impl Stage {
    /// The transaction is on disk: hands over, wakes and tells.
    pub(crate) fn publish(self, links: &Links) {
        if !self.leases.is_empty() {
            links.desk.hand_over(self.leases);
        }
        if !self.moved.is_empty() {
            links.progress.moved(&self.moved);
        }
        for channel in self.wakes {
            links.desk.wake(channel);
        }
    }

    /// The transaction never happened: gives back the slots.
    pub(crate) fn drop_reservations(self, links: &Links) {
        for channel in self.reserved {
            links.desk.release(channel);
        }
    }
}

/// A transaction in progress.
pub(crate) struct Transaction<'a> {
    pub db: &'a Connection,
    pub memory: &'a mut Memory,
    pub stage: &'a mut Stage,
    pub links: &'a Links,
}

impl Transaction<'_> {
    /// Writes where a delivery stands now, and keeps memory in step. What an account sent and will reach nobody is given back to
    /// its windows.
    pub(crate) fn change(&mut self, row: &Row, to: Track, now: Timestamp) -> Outcome<()> {
        track_write(self.db, row.id, &to)?;
        if came_to_nothing(to.state)
            && !came_to_nothing(row.track.state)
            && let Some(account) = AccountNo::of_app(row.app)
        {
            windows::refund(self.db, &account.windows(), row.message, 1, now)?;
        }
        self.memory.left(row);
        self.memory.arrived(Row { track: to, ..*row });
        Ok(())
    }

    /// To be told after the commit: this delivery moved.
    pub(crate) fn tell(&mut self, row: &Row, track: Track) {
        self.stage.moved.push(Moved { message: row.message, delivery: row.id, track });
    }

    /// To be done after the commit: wake whoever sends for this channel.
    pub(crate) fn wake(&mut self, channel: ChannelNo) {
        self.stage.wakes.insert(channel);
    }

    /// Takes a slot for one parcel at the desk, if it has one.
    pub(crate) fn reserve(&mut self, channel: ChannelNo) -> bool {
        let granted = self.links.desk.reserve(channel);
        if granted {
            self.stage.reserved.push(channel);
        }
        granted
    }

    /// To be done after the commit: hand over a parcel for which a slot was reserved.
    pub(crate) fn hand_over(&mut self, lease: Lease) {
        self.stage.leases.push(lease);
    }
}

/// Whether a delivery that counted is sure to have reached nobody. No event leads out of these states.
const fn came_to_nothing(state: State) -> bool {
    matches!(state, State::Failed | State::Expired | State::Cancelled)
}
