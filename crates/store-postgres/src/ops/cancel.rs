//! Cancelling a message: every delivery that waits, and whoever would have followed in later pages.

use async_trait::async_trait;
use hongyan_core::{
    delivery::{Event, step},
    id::Id,
    store::Cancelled,
    time::Timestamp,
};

use crate::{
    audience::expansion_end,
    engine::{Operation, Transaction},
    finish::{any_policy, finish},
    reads,
    row::row_read,
    sql::page,
    trouble::{Outcome, Trouble},
};

/// The operation.
pub(crate) struct Cancel {
    pub message: Id,
    pub now: Timestamp,
}

#[async_trait]
impl Operation for Cancel {
    type Answer = Cancelled;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Cancelled> {
        // First, so that a page which is being added meanwhile is there before its deliveries are looked for.
        let unexpanded = expansion_end(tx.db, self.message).await?;
        let (policy, mut ended) = (any_policy(), Vec::new());
        for range in reads::ranges(tx.db, self.message).await? {
            let (bucket, message) = (i16::from(range.bucket), self.message.get());
            for row in tx.db.query(page::WAITING_OF_PAGE, &[&bucket, &range.first, &range.last, &message]).await? {
                let row = match row_read(&row) {
                    Ok(row) => row,
                    // A value that is none of ours holds up no other.
                    Err(Trouble::Damaged(what)) => {
                        tracing::warn!(what, "a delivery that cannot be read was not cancelled");
                        continue;
                    }
                    Err(trouble) => return Err(trouble),
                };
                ended.extend(step(&row.track, &Event::Cancel, &policy, self.now).map(|track| (row, track)));
            }
        }
        // All at once: who holds rows waits for counters, and nobody who holds counters waits for rows.
        finish(tx, &ended, self.now).await?;
        Ok(Cancelled { deliveries: ended.len(), unexpanded })
    }
}
