//! What this node holds: the deliveries that are leased or being sent, by the rows as they were last written. A row enters
//! before the commit that leases it and leaves after the commit that settles it; in between the writer alone looks here, so a
//! change is made at once and taken back if the commit fails.

use std::collections::HashMap;

use hongyan_core::{id::Id, limits};

use crate::row::Row;

/// The held rows.
#[derive(Debug, Default)]
pub(crate) struct Held {
    rows: HashMap<Id, Row>,
    /// How many of them died with the node so often that they travel alone.
    suspects: usize,
    /// What stood here before the changes that are not committed yet, the oldest first.
    uncommitted: Vec<(Id, Option<Row>)>,
}

impl Held {
    /// Keeps a row that is held, in place of what was known of it.
    pub(crate) fn insert(&mut self, row: Row) {
        let before = self.put(row.id, Some(row));
        self.uncommitted.push((row.id, before));
    }

    /// Lets a row go.
    pub(crate) fn remove(&mut self, id: Id) {
        if let Some(before) = self.put(id, None) {
            self.uncommitted.push((id, Some(before)));
        }
    }

    /// The row, if it is held.
    pub(crate) fn get(&self, id: Id) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether something is held that must be alone.
    pub(crate) const fn has_suspect(&self) -> bool {
        self.suspects > 0
    }

    /// The changes since the last commit stand.
    pub(crate) fn committed(&mut self) {
        self.uncommitted.clear();
    }

    /// The changes since the last commit never happened.
    pub(crate) fn rolled_back(&mut self) {
        for (id, before) in std::mem::take(&mut self.uncommitted).into_iter().rev() {
            self.put(id, before);
        }
    }

    fn put(&mut self, id: Id, row: Option<Row>) -> Option<Row> {
        self.suspects += row.iter().filter(|row| is_suspect(row)).count();
        let before = match row {
            Some(row) => self.rows.insert(id, row),
            None => self.rows.remove(&id),
        };
        self.suspects -= before.iter().filter(|row| is_suspect(row)).count();
        before
    }
}

/// Whether a delivery is sent alone (design 4).
pub(crate) const fn is_suspect(row: &Row) -> bool {
    row.track.crashes >= limits::CRASHES_BEFORE_ALONE
}
