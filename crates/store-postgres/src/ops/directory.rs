//! Changing the directory: what is asked for is compared with what is there, faults are found before anything is written, and only
//! what differs is written, in one transaction. Whoever changes the directory holds one row of it: the next waits, on whichever
//! node, and then compares with what it finds.

mod groups;
mod people;

use async_trait::async_trait;
use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport},
    time::Timestamp,
};

use self::{groups::Groups, people::People};
use crate::{
    engine::{Engine, Operation, Transaction},
    session::Query,
    sql::directory as sql,
    trouble::{Outcome, Trouble},
};

/// Another change may take minutes, and is waited for: it does not make this one fail.
const PATIENCE: &str = "SET LOCAL lock_timeout = 0";

/// The operation.
pub(crate) struct DirectoryApply {
    pub change: DirectoryChange,
    pub dry: bool,
    pub now: Timestamp,
}

#[async_trait]
impl Operation for DirectoryApply {
    type Answer = DirectoryReport;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<DirectoryReport> {
        change(tx, &self.change, self.dry, self.now).await
    }
}

/// Gives people whom a program has added that knows nothing of presence what they lack.
pub(crate) async fn mend(engine: &Engine) -> Outcome<()> {
    engine.transact(&[Query { sql: sql::PRESENCE_MEND, params: Vec::new() }]).await?;
    Ok(())
}

/// Makes a change, unless it is a dry run or has faults, of which the report then tells.
pub(crate) async fn change(
    tx: &Transaction<'_>,
    change: &DirectoryChange,
    dry: bool,
    now: Timestamp,
) -> Outcome<DirectoryReport> {
    if change.groups.is_empty() && change.users.is_empty() {
        return Ok(DirectoryReport::default());
    }
    tx.db.batch(PATIENCE).await?;
    let held = tx.db.query_patiently(sql::HOLD).await?;
    let held =
        held.first().ok_or_else(|| Trouble::Damaged("the table of the numbers of groups is empty".to_owned()))?;
    let mut groups = Groups::read(tx.db, change, held.try_get(0)?).await?;
    let mut report = DirectoryReport { faults: groups.faults(change), ..DirectoryReport::default() };
    if !report.faults.is_empty() {
        return Ok(report);
    }
    groups.change(tx.db, change, dry, &mut report).await?;
    People { groups: &groups, dry, now }.change(tx.db, change, &mut report).await?;
    Ok(report)
}
