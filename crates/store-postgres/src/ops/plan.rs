//! Applying a plan: what it declares, in one transaction with the version that tells nodes to read it. The row of the version is
//! locked first: of several nodes that start with one plan one applies it, and the others find it applied.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hongyan_core::{
    directory::DirectoryFault,
    store::{Declaration, DeclarationChange, PlanChange},
};

use crate::{
    engine::{Operation, Transaction},
    ops::directory,
    row::{number, signed},
    sql::plan,
    trouble::{Outcome, Trouble},
};

/// The operation.
pub(crate) struct PlanApply {
    pub plan: PlanChange,
}

#[async_trait]
impl Operation for PlanApply {
    type Answer = bool;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        if tx.db.execute(plan::VERSION_RAISE, &[&self.plan.hash]).await? == 0 {
            return Ok(false);
        }
        declare(tx, &self.plan.declarations).await?;
        let report = directory::change(tx, &self.plan.directory, false, tx.engine.now()).await?;
        if report.faults.is_empty() { Ok(true) } else { Err(refused(&report.faults)) }
    }
}

/// Why a plan is not applied, none of it.
fn refused(faults: &[DirectoryFault]) -> Trouble {
    let faults: Vec<String> = faults.iter().map(DirectoryFault::to_string).collect();
    Trouble::Refused(format!("the plan's people and groups do not fit together: {}", faults.join("; ")))
}

/// A change of what is declared that is no plan.
pub(crate) struct Declare {
    pub change: DeclarationChange,
}

#[async_trait]
impl Operation for Declare {
    type Answer = bool;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        if tx.db.execute(plan::VERSION_RAISE_FROM, &[&self.change.version]).await? == 0 {
            return Ok(false);
        }
        let (kinds, codes): (Vec<&str>, Vec<&str>) =
            self.change.remove.iter().map(|(kind, code)| (kind.as_str(), code.as_str())).unzip();
        tx.db.execute(plan::DECLARATIONS_REMOVE, &[&kinds, &codes]).await?;
        declare(tx, &self.change.put).await?;
        Ok(true)
    }
}

/// Keeps declarations. A code that is new to its kind gets the next number; one that is known keeps its own.
async fn declare(tx: &Transaction<'_>, declarations: &[Declaration]) -> Outcome<()> {
    if declarations.is_empty() {
        return Ok(());
    }
    let mut known: BTreeMap<(String, String), u32> = BTreeMap::new();
    for row in tx.db.query(plan::DECLARED, &[]).await? {
        known.insert((row.try_get(0)?, row.try_get(1)?), number(row.try_get(2)?)?);
    }
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    for row in tx.db.query(plan::NUMBERINGS, &[]).await? {
        last.insert(row.try_get(0)?, number(row.try_get(1)?)?);
    }
    // One statement changes no row twice: of what a plan declares twice the last word counts.
    let mut kept: BTreeMap<(&str, &str), (i32, &str)> = BTreeMap::new();
    for Declaration { kind, code, doc, .. } in declarations {
        let no = *known.entry((kind.clone(), code.clone())).or_insert_with(|| {
            let last = last.entry(kind.clone()).or_default();
            *last += 1;
            *last
        });
        kept.insert((kind, code), (signed(no), doc));
    }
    let (keys, values): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
    let (kinds, codes): (Vec<&str>, Vec<&str>) = keys.into_iter().unzip();
    let (numbers, docs): (Vec<i32>, Vec<&str>) = values.into_iter().unzip();
    tx.db.execute(plan::DECLARATIONS_KEEP, &[&kinds, &codes, &numbers, &docs]).await?;
    let (kinds, numbers): (Vec<String>, Vec<i32>) = last.into_iter().map(|(kind, last)| (kind, signed(last))).unzip();
    tx.db.execute(plan::NUMBERINGS_KEEP, &[&kinds, &numbers]).await?;
    Ok(())
}

/// Keeps a note, unless there is one.
pub(crate) struct NoteOnce {
    pub key: String,
    pub value: String,
}

#[async_trait]
impl Operation for NoteOnce {
    type Answer = String;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<String> {
        if tx.db.query_opt(plan::NOTE_KEEP, &[&self.key, &self.value]).await?.is_some() {
            return Ok(self.value.clone());
        }
        let first = tx.db.query_opt(plan::NOTE, &[&self.key]).await?;
        let first = first.ok_or_else(|| Trouble::Damaged(format!("the note {:?} has gone", self.key)))?;
        Ok(first.try_get(0)?)
    }
}
