//! What a change of the directory would change, and what is wrong with it, found by reading alone.

use std::collections::{HashMap, hash_map::Entry};

use hongyan_core::{
    directory::{DirectoryChange, DirectoryFault, DirectoryReport, Group, GroupKind, GroupNo, UserEntry},
    limits,
};
use rusqlite::Connection;

use super::{graph::in_a_circle, parent_code};
use crate::{
    directory::{group, groups_of, user},
    trouble::Outcome,
};

/// What differs: places in the change, and the report of the whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Difference {
    pub groups: Vec<usize>,
    pub users: Vec<usize>,
    pub report: DirectoryReport,
}

/// What is known of a group that a change names.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// It is there.
    There(GroupNo),
    /// The change makes it.
    New,
    /// It is nowhere.
    Nowhere,
}

/// The groups that a change makes or names, looked up once each.
pub(super) struct Groups<'a> {
    db: &'a Connection,
    known: HashMap<(GroupKind, &'a str), Known>,
}

impl<'a> Groups<'a> {
    pub(super) fn known(&mut self, kind: GroupKind, code: &'a str) -> Outcome<Known> {
        match self.known.entry((kind, code)) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                let found = group(self.db, kind, code)?;
                Ok(*unknown.insert(found.map_or(Known::Nowhere, |group| Known::There(group.no))))
            }
        }
    }
}

/// Faults, of which the first are told.
#[derive(Default)]
struct Faults(Vec<DirectoryFault>);

impl Faults {
    fn is_full(&self) -> bool {
        self.0.len() >= limits::DIRECTORY_FAULTS_TOLD
    }

    fn add(&mut self, fault: DirectoryFault) {
        if !self.is_full() {
            self.0.push(fault);
        }
    }
}

/// Compares a change with what is there, as of one moment. Of several entries for one group or person the last counts.
pub(crate) fn compare(db: &Connection, change: &DirectoryChange) -> Outcome<Difference> {
    let mut groups = Groups { db, known: HashMap::new() };
    let mut difference = Difference::default();
    let stored = groups_stored(&mut groups, change)?;
    let mut faults = Faults::default();
    group_faults(&mut groups, change, &mut faults)?;
    user_faults(&mut groups, change, &mut faults)?;
    if !faults.0.is_empty() {
        difference.report.faults = faults.0;
        return Ok(difference);
    }
    groups_compare(&mut groups, change, &stored, &mut difference)?;
    users_compare(&mut groups, change, &mut difference)?;
    Ok(difference)
}

/// Looks up the groups that the change makes or changes, by their places.
fn groups_stored<'a>(groups: &mut Groups<'a>, change: &'a DirectoryChange) -> Outcome<Vec<Option<Group>>> {
    let mut stored = Vec::with_capacity(change.groups.len());
    for entry in &change.groups {
        let found = group(groups.db, entry.kind, &entry.code)?;
        let known = found.as_ref().map_or(Known::New, |group| Known::There(group.no));
        groups.known.insert((entry.kind, &entry.code), known);
        stored.push(found);
    }
    Ok(stored)
}

fn group_faults<'a>(groups: &mut Groups<'a>, change: &'a DirectoryChange, faults: &mut Faults) -> Outcome<()> {
    for entry in &change.groups {
        let Some(parent) = parent_code(entry) else { continue };
        if matches!(groups.known(GroupKind::Department, parent)?, Known::Nowhere) {
            faults.add(DirectoryFault::UnknownParent { code: entry.code.clone(), parent: parent.to_owned() });
        }
    }
    for code in in_a_circle(groups.db, change)? {
        faults.add(DirectoryFault::Cycle(code.to_owned()));
    }
    Ok(())
}

fn user_faults<'a>(groups: &mut Groups<'a>, change: &'a DirectoryChange, faults: &mut Faults) -> Outcome<()> {
    for entry in &change.users {
        for (kind, code) in entry.groups() {
            if matches!(groups.known(kind, code)?, Known::Nowhere) {
                faults.add(DirectoryFault::UnknownGroup { user: entry.user.code.clone(), kind, code: code.to_owned() });
            }
        }
        if faults.is_full() {
            break;
        }
    }
    Ok(())
}

fn groups_compare<'a>(
    groups: &mut Groups<'a>,
    change: &'a DirectoryChange,
    stored: &[Option<Group>],
    difference: &mut Difference,
) -> Outcome<()> {
    let last: HashMap<_, _> =
        change.groups.iter().enumerate().map(|(at, entry)| ((entry.kind, &entry.code), at)).collect();
    for (at, (entry, stored)) in change.groups.iter().zip(stored).enumerate() {
        if last.get(&(entry.kind, &entry.code)) != Some(&at) {
            continue;
        }
        let report = &mut difference.report;
        let Some(stored) = stored else {
            report.groups_new += 1;
            difference.groups.push(at);
            continue;
        };
        let is_same_parent = match (parent_code(entry), stored.parent) {
            (None, None) => true,
            (Some(code), Some(no)) => {
                matches!(groups.known(GroupKind::Department, code)?, Known::There(known) if known == no)
            }
            _ => false,
        };
        if stored.name == entry.name && is_same_parent {
            report.same += 1;
        } else {
            report.groups_changed += 1;
            difference.groups.push(at);
        }
    }
    Ok(())
}

/// In the order of the codes, which is that of the tables.
fn users_compare<'a>(groups: &mut Groups<'a>, change: &'a DirectoryChange, difference: &mut Difference) -> Outcome<()> {
    let code = |at: usize| change.users.get(at).map(|entry| &entry.user.code);
    let mut order: Vec<usize> = (0..change.users.len()).collect();
    order.sort_by_key(|at| code(*at));
    for (n, at) in order.iter().copied().enumerate() {
        // The sort is stable: of several the last is the last in the change.
        if order.get(n + 1).is_some_and(|next| code(*next) == code(at)) {
            continue;
        }
        let Some(entry) = change.users.get(at) else { continue };
        let report = &mut difference.report;
        match user(groups.db, &entry.user.code)? {
            None => report.users_new += 1,
            Some(stored) if stored == entry.user && is_in_the_same(groups, entry)? => {
                report.same += 1;
                continue;
            }
            Some(_) => report.users_changed += 1,
        }
        difference.users.push(at);
    }
    Ok(())
}

/// Whether a person belongs to just what the entry names.
fn is_in_the_same<'a>(groups: &mut Groups<'a>, entry: &'a UserEntry) -> Outcome<bool> {
    let mut wanted = Vec::new();
    for (kind, code) in entry.groups() {
        match groups.known(kind, code)? {
            Known::There(no) => wanted.push(no),
            Known::New | Known::Nowhere => return Ok(false),
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted == groups_of(groups.db, &entry.user.code)?)
}
