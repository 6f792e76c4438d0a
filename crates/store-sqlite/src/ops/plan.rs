//! Applying a plan: what it declares, in one transaction with the version that tells nodes to read it.

use hongyan_core::{
    directory::DirectoryFault,
    store::{Declaration, DeclarationChange, PlanChange},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    operation::Operation,
    ops::{directory, numbering::next_number},
    transaction::Transaction,
    trouble::{Outcome, Trouble},
};

/// The operation.
pub(crate) struct PlanApply {
    pub plan: PlanChange,
    pub now: Timestamp,
}

impl Operation for PlanApply {
    type Answer = bool;

    fn bytes(&self) -> usize {
        let declared: usize = self.plan.declarations.iter().map(|declaration| declaration.doc.len()).sum();
        declared + 256 * (self.plan.directory.users.len() + self.plan.directory.groups.len())
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        tx.memory.see(self.now);
        let raised = tx
            .db
            .prepare_cached("UPDATE setup SET version = version + 1, plan = ?1 WHERE plan <> ?1")?
            .execute([&self.plan.hash])?;
        if raised == 0 {
            return Ok(false);
        }
        for declaration in &self.plan.declarations {
            declare(tx.db, declaration)?;
        }
        let known = directory::compare(tx.db, &self.plan.directory)?;
        let report = directory::change(tx, &self.plan.directory, &known, self.now)?;
        if report.faults.is_empty() { Ok(true) } else { Err(refused(&report.faults)) }
    }
}

/// Why a plan is not applied, none of it.
fn refused(faults: &[DirectoryFault]) -> Trouble {
    let faults: Vec<_> = faults.iter().map(DirectoryFault::to_string).collect();
    Trouble::Refused(format!("the plan's people and groups do not fit together: {}", faults.join("; ")))
}

/// Changes what is declared where nothing has changed since.
pub(crate) struct Declare {
    pub change: DeclarationChange,
}

impl Operation for Declare {
    /// Whether it was changed.
    type Answer = bool;

    fn bytes(&self) -> usize {
        self.change.put.iter().map(|declaration| declaration.doc.len()).sum()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        let raised = tx
            .db
            .prepare_cached("UPDATE setup SET version = version + 1 WHERE version = ?1")?
            .execute([self.change.version])?;
        if raised == 0 {
            return Ok(false);
        }
        for (kind, code) in &self.change.remove {
            tx.db.prepare_cached("DELETE FROM declaration WHERE kind = ?1 AND code = ?2")?.execute([kind, code])?;
        }
        for declaration in &self.change.put {
            declare(tx.db, declaration)?;
        }
        Ok(true)
    }
}

/// Keeps a declaration. A code that is new to its kind gets the next number; one that is known keeps its own.
fn declare(db: &Connection, Declaration { kind, code, doc, .. }: &Declaration) -> Outcome<()> {
    let known = db
        .prepare_cached("UPDATE declaration SET doc = ?3 WHERE kind = ?1 AND code = ?2")?
        .execute([kind, code, doc])?;
    if known > 0 {
        return Ok(());
    }
    let no = next_number(db, kind, 1)?;
    db.prepare_cached("INSERT INTO declaration VALUES (?1, ?2, ?3, ?4)")?.execute(params![kind, code, no, doc])?;
    Ok(())
}

/// Keeps a note, unless there is one.
pub(crate) struct NoteOnce {
    pub key: String,
    pub value: String,
}

impl Operation for NoteOnce {
    type Answer = String;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<String> {
        let kept = tx
            .db
            .prepare_cached("INSERT INTO note VALUES (?1, ?2) ON CONFLICT DO NOTHING RETURNING value")?
            .query_row([&self.key, &self.value], |row| row.get(0))
            .optional()?;
        match kept {
            Some(value) => Ok(value),
            None => Ok(tx
                .db
                .prepare_cached("SELECT value FROM note WHERE key = ?1")?
                .query_row([&self.key], |row| row.get(0))?),
        }
    }
}
