//! The windows against the index that they stand for, with bounds so small that they matter.

use std::collections::BTreeMap;

use hongyan_core::{
    id::Id,
    message::Priority,
    setup::{AppNo, ChannelNo},
    time::Timestamp,
};
use proptest::{prelude::*, sample::Index as Pick};

use super::{AppQueue, Bounds, Entry, Index, Key, LaneKey, Ready};
use crate::trouble::Outcome;

const CHANNEL: ChannelNo = ChannelNo(1);

/// The truth: rows of each parcel by priority, app and key.
#[derive(Clone, Default)]
struct Table(BTreeMap<(u8, u32, i64, i64), u32>);

impl Index for Table {
    fn parcels(&self, lane: LaneKey, app: AppNo, after: Key, limit: usize) -> Outcome<Vec<Entry>> {
        let parcels = self.of(lane, app).filter(|entry| entry.key > after);
        Ok(parcels.take(limit).collect())
    }
}

impl Table {
    fn of(&self, lane: LaneKey, app: AppNo) -> impl Iterator<Item = Entry> {
        self.0
            .iter()
            .filter(move |((priority, of, _, _), _)| *priority == lane.priority.number() && *of == app.0)
            .map(|((_, _, due, parcel), rows)| Entry { key: Key { due: *due, parcel: *parcel }, rows: *rows })
    }

    fn remove(&mut self, at: (u8, u32, i64, i64)) {
        if let Some(rows) = self.0.get_mut(&at) {
            *rows -= 1;
            if *rows == 0 {
                self.0.remove(&at);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Insert { priority: u8, app: u32, due: i64, parcel: i64 },
    Remove(Pick),
    Take { now: i64 },
    Commit,
    RollBack,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (1u8..=3, 1u32..5, 1i64..30, 1i64..40)
            .prop_map(|(priority, app, due, parcel)| Act::Insert { priority, app, due, parcel }),
        2 => any::<Pick>().prop_map(Act::Remove),
        5 => (1i64..40).prop_map(|now| Act::Take { now }),
        2 => Just(Act::Commit),
        1 => Just(Act::RollBack),
    ];
    prop::collection::vec(act, 1..200)
}

fn lane(priority: u8) -> LaneKey {
    LaneKey { channel: CHANNEL, priority: Priority::from_number(priority).expect("a priority") }
}

/// Every window is what the index begins with, up to its place, and no longer than it may be.
fn check(ready: &Ready, table: &Table) {
    for (key, lane) in &ready.lanes {
        for (app, AppQueue { rows, window, place }) in &lane.apps {
            let truth: Vec<_> = table.of(*key, *app).collect();
            assert_eq!(*rows, truth.iter().map(|entry| u64::from(entry.rows)).sum::<u64>());
            let before: Vec<_> = truth.into_iter().filter(|entry| entry.key <= *place).collect();
            assert_eq!(window.iter().copied().collect::<Vec<_>>(), before, "{key:?} {app:?} up to {place:?}");
            assert!(window.len() <= ready.bounds.lane);
            assert!(lane.apps.len() < 2 || window.len() <= ready.bounds.app);
        }
    }
}

proptest! {
    #[test]
    fn windows_are_the_beginning_of_the_index(acts in acts()) {
        let mut ready = Ready { bounds: Bounds { lane: 6, app: 3 }, ..Ready::default() };
        let (mut table, mut committed) = (Table::default(), Table::default());
        for act in acts {
            match act {
                Act::Insert { priority, app, due, parcel } => {
                    *table.0.entry((priority, app, due, parcel)).or_default() += 1;
                    let key = Key::of(Timestamp::from_ms(due), Id::from_i64(parcel).expect("positive"));
                    ready.insert(lane(priority), AppNo(app), key);
                }
                Act::Remove(which) if !table.0.is_empty() => {
                    let at = *table.0.keys().nth(which.index(table.0.len())).expect("within");
                    table.remove(at);
                    ready.remove(lane(at.0), AppNo(at.1), Key { due: at.2, parcel: at.3 });
                }
                Act::Remove(_) => {}
                Act::Take { now } => take(&mut ready, &mut table, now),
                Act::Commit => {
                    ready.committed();
                    committed = table.clone();
                }
                Act::RollBack => {
                    ready.rolled_back();
                    table = committed.clone();
                }
            }
            check(&ready, &table);
            let next = ready.next_due(CHANNEL, Timestamp::from_ms(15), &table).expect("reads");
            let truth = table.0.keys().map(|at| at.2).filter(|due| *due > 15).min();
            prop_assert_eq!(next.map(Timestamp::ms), truth);
        }
    }
}

/// A turn is the first parcel of its app, due, and there is one whenever anything is due.
fn take(ready: &mut Ready, table: &mut Table, now: i64) {
    let at = Timestamp::from_ms(now);
    let any = table.0.keys().any(|(_, _, due, _)| *due <= now);
    assert_eq!(ready.is_due(CHANNEL, at, table).expect("reads"), any);
    let Some(turn) = ready.take(CHANNEL, at, table).expect("reads") else {
        assert!(!any);
        return;
    };
    assert!(turn.entry.key.due <= now);
    assert_eq!(table.of(turn.lane, turn.app).next(), Some(turn.entry));
    let key = turn.entry.key;
    table.0.remove(&(turn.lane.priority.number(), turn.app.0, key.due, key.parcel));
}
