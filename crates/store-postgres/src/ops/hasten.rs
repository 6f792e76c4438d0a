//! Making a message fire that waits for its time, and what of it waits untried.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hongyan_core::{delivery::Track, id::Id, time::Timestamp};

use crate::{
    engine::{Operation, Transaction},
    reads,
    row::{Row, bucket_of, row_read},
    session::Query,
    sql::page,
    trouble::{Outcome, Trouble},
};

/// The operation.
pub(crate) struct Hasten {
    pub message: Id,
    pub now: Timestamp,
}

#[async_trait]
impl Operation for Hasten {
    type Answer = bool;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        let (bucket, message, now) = (bucket_of(self.message), self.message.get(), self.now.ms());
        // First, so that a page which is being added meanwhile is there before its deliveries are looked for.
        let is_hastened = tx.db.execute(page::HASTEN, &[&bucket, &message, &now]).await? > 0;
        let waiting = self.waiting(tx).await?;
        let mut buckets: BTreeMap<i16, Vec<i64>> = BTreeMap::new();
        for row in &waiting {
            buckets.entry(bucket_of(row.id)).or_default().push(row.id.get());
        }
        let queries = buckets
            .iter()
            .map(|(bucket, ids)| Query { sql: page::DUE_NOW, params: vec![bucket as _, ids as _, &now as _] });
        tx.db.query_all(&queries.collect::<Vec<_>>()).await?;
        // After the commit their lanes are due now, and their channels are woken.
        tx.stage.ready.extend(waiting.iter().map(|row| Row { track: Track { due: self.now, ..row.track }, ..*row }));
        Ok(is_hastened || !waiting.is_empty())
    }
}

impl Hasten {
    /// What of the message waits for a later time and was never leased, locked.
    async fn waiting(&self, tx: &Transaction<'_>) -> Outcome<Vec<Row>> {
        let mut waiting = Vec::new();
        for range in reads::ranges(tx.db, self.message).await? {
            let (bucket, message) = (i16::from(range.bucket), self.message.get());
            for row in tx.db.query(page::WAITING_OF_PAGE, &[&bucket, &range.first, &range.last, &message]).await? {
                match row_read(&row) {
                    Ok(row) => waiting.push(row),
                    // A value that is none of ours holds up no other.
                    Err(Trouble::Damaged(what)) => {
                        tracing::warn!(what, "a delivery that cannot be read was not hastened")
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        // What was leased once waits for its next try, which is not for the caller to choose. The rows of a parcel are leased
        // together, so that they stay together here.
        waiting.retain(|row| row.track.lease == 0 && row.track.due > self.now);
        Ok(waiting)
    }
}
