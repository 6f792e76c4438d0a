//! Changing the directory: what is asked for is compared with what is there, faults are found before anything is written, and only
//! what differs is written, in one commit. Most of a large import is as it was, so comparing is done before the writer is
//! asked: it compares anew only where the directory has changed since.

mod compare;
mod graph;

use std::sync::Arc;

use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport, GroupEntry, GroupKind, GroupNo, UserEntry},
    limits,
    time::Timestamp,
};
use rusqlite::{Connection, params};

pub(crate) use self::compare::{Difference, compare};
use crate::{
    directory::{group, groups_of, user},
    operation::Operation,
    ops::numbering::next_number,
    transaction::Transaction,
    trouble::{Outcome, Trouble},
};

/// The kind under which groups are numbered.
const NUMBERED: &str = "group";

/// How often the directory has been changed since the store was opened: what was compared before a change may not hold any more.
pub(crate) struct DirectoryTurn;

impl Operation for DirectoryTurn {
    type Answer = u64;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<u64> {
        Ok(tx.memory.directory_turn)
    }
}

/// The operation.
pub(crate) struct DirectoryApply {
    pub change: Arc<DirectoryChange>,
    /// What differs, and the turn since which that is known.
    pub known: (Difference, u64),
    pub now: Timestamp,
}

impl Operation for DirectoryApply {
    type Answer = DirectoryReport;

    fn bytes(&self) -> usize {
        let (known, _) = &self.known;
        // However large, it leaves room in the queue, so that requests wait behind it and are not refused.
        (256 * (known.groups.len() + known.users.len())).min(limits::COMMIT_BYTES_MAX)
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<DirectoryReport> {
        tx.memory.see(self.now);
        let (known, turn) = &self.known;
        if *turn == tx.memory.directory_turn {
            return change(tx, &self.change, known, self.now);
        }
        let anew = compare(tx.db, &self.change)?;
        change(tx, &self.change, &anew, self.now)
    }
}

/// Makes a change of which it is known what differs; nothing where there is a fault.
pub(crate) fn change(
    tx: &mut Transaction<'_>,
    change: &DirectoryChange,
    known: &Difference,
    now: Timestamp,
) -> Outcome<DirectoryReport> {
    let report = known.report.clone();
    if !report.faults.is_empty() || (known.groups.is_empty() && known.users.is_empty()) {
        return Ok(report);
    }
    tx.memory.directory_turn += 1;
    let groups = || known.groups.iter().filter_map(|at| change.groups.get(*at));
    for entry in groups() {
        group_keep(tx.db, entry)?;
    }
    // All of them have numbers now, whichever of them is above.
    for entry in groups() {
        parent_keep(tx.db, entry)?;
    }
    for entry in known.users.iter().filter_map(|at| change.users.get(*at)) {
        person_keep(tx.db, entry, now)?;
    }
    Ok(report)
}

/// Keeps a group under its number; one that is new gets the next.
fn group_keep(db: &Connection, entry: &GroupEntry) -> Outcome<()> {
    let known = db.prepare_cached("UPDATE directory_group SET name = ?3 WHERE kind = ?1 AND code = ?2")?.execute([
        entry.kind.as_str(),
        &entry.code,
        &entry.name,
    ])?;
    if known == 0 {
        let no = next_number(db, NUMBERED, 1)?;
        db.prepare_cached("INSERT INTO directory_group VALUES (?1, ?2, ?3, ?4, NULL)")?.execute(params![
            no,
            entry.kind.as_str(),
            entry.code,
            entry.name
        ])?;
    }
    Ok(())
}

fn parent_keep(db: &Connection, entry: &GroupEntry) -> Outcome<()> {
    let parent = match parent_code(entry) {
        Some(parent) => Some(number(db, GroupKind::Department, parent)?.0),
        None => None,
    };
    db.prepare_cached("UPDATE directory_group SET parent = ?3 WHERE kind = ?1 AND code = ?2 AND parent IS NOT ?3")?
        .execute(params![entry.kind.as_str(), entry.code, parent])?;
    Ok(())
}

/// The code of the department above a group; posts and roles have none.
fn parent_code(entry: &GroupEntry) -> Option<&str> {
    (entry.kind == GroupKind::Department && !entry.parent.is_empty()).then_some(entry.parent.as_str())
}

fn number(db: &Connection, kind: GroupKind, code: &str) -> Outcome<GroupNo> {
    let found = group(db, kind, code)?;
    found.map(|group| group.no).ok_or_else(|| Trouble::Damaged(format!("the {} {code:?} is gone", kind.as_str())))
}

/// Keeps a person, what they belong to, and since when they are enabled.
fn person_keep(db: &Connection, entry: &UserEntry, now: Timestamp) -> Outcome<()> {
    let person = &entry.user;
    let before = user(db, &person.code)?;
    if before.as_ref() != Some(person) {
        db.prepare_cached("INSERT OR REPLACE INTO person VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
            person.code,
            person.name,
            person.email,
            person.phone,
            person.wecom,
            person.openid,
            person.enabled,
        ])?;
        let was_enabled = before.is_some_and(|before| before.enabled);
        if was_enabled != person.enabled {
            presence_keep(db, &person.code, person.enabled, now)?;
        }
    }
    let mut wanted = entry.groups().map(|(kind, code)| number(db, kind, code)).collect::<Outcome<Vec<_>>>()?;
    wanted.sort_unstable();
    wanted.dedup();
    let had = groups_of(db, &person.code)?;
    for group in had.iter().filter(|group| wanted.binary_search(group).is_err()) {
        db.prepare_cached("DELETE FROM directory_member WHERE party = ?1 AND user = ?2")?
            .execute(params![group.0, person.code])?;
    }
    for group in wanted.iter().filter(|group| had.binary_search(group).is_err()) {
        db.prepare_cached("INSERT INTO directory_member VALUES (?1, ?2)")?.execute(params![group.0, person.code])?;
    }
    Ok(())
}

/// Opens an interval at `now`, or closes the open one. Who was there and not in the same moment is there on: intervals that
/// begin together are one.
fn presence_keep(db: &Connection, user: &str, enabled: bool, now: Timestamp) -> Outcome<()> {
    let sql = if enabled {
        "INSERT INTO presence VALUES (?1, ?2, NULL) ON CONFLICT (user, since) DO UPDATE SET until = NULL"
    } else {
        "UPDATE presence SET until = max(since, ?2) WHERE user = ?1 AND until IS NULL"
    };
    db.prepare_cached(sql)?.execute(params![user, now.ms()])?;
    Ok(())
}
