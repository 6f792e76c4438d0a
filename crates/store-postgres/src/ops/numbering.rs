//! Numbers that are given once: of accounts, and of tags.

use crate::{
    row::number,
    session::{Query, Session},
    sql::plan,
    trouble::{Outcome, Trouble},
};

/// What has numbers beside what is declared.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub first: i32,
}

/// Gives the next number, in a transaction: it is nobody else's when that is committed, and the next one's when it is not. Whoever
/// comes later waits for the end of the transaction, so this is the last that one does.
pub(crate) async fn next(db: &Session, kind: Kind) -> Outcome<u32> {
    let queries = [
        Query { sql: plan::SETUP_HOLD, params: Vec::new() },
        Query { sql: plan::NUMBER_NEXT, params: vec![&kind.name, &kind.first] },
    ];
    let answers = db.query_all(&queries).await?;
    let row = answers.last().and_then(|rows| rows.first());
    number(row.ok_or_else(|| Trouble::Damaged(format!("no number for {}", kind.name)))?.try_get(0)?)
}
