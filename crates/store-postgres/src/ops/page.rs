//! Large audiences: the later pages of a message, each with its cursor in one commit.

use async_trait::async_trait;
use hongyan_core::{
    delivery::State,
    setup::{AppNo, ChannelNo},
    store::{Page as NewPage, StoreResult},
    time::Timestamp,
};

use crate::{
    audience::expansion_end,
    columns::{Deliveries, Holder, Page, placed},
    engine::{Engine, Operation, SHARED_LANE, Transaction},
    row::{bucket_of, number, priority_read},
    sql::page,
    trouble::{Outcome, Trouble},
};

/// Adds a page.
pub(crate) async fn add(engine: &Engine, page: NewPage, now: Timestamp) -> StoreResult<bool> {
    let ids = page.deliveries.iter().map(|delivery| delivery.id);
    engine.days.make_room(&engine.pool, ids).await.map_err(|trouble| trouble.told())?;
    engine.run(&PageAdd { page, now }).await
}

struct PageAdd {
    page: NewPage,
    now: Timestamp,
}

#[async_trait]
impl Operation for PageAdd {
    type Answer = bool;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        let Some(page) = self.begin(tx).await? else { return Ok(false) };
        if self.page.last {
            expansion_end(tx.db, self.page.message).await?;
        }
        let Some(head) = self.page.deliveries.first() else { return Ok(true) };
        let mut rows = Deliveries::default();
        let places = placed(&self.page.deliveries, self.page.parcel_max, head.id);
        for (delivery, place) in self.page.deliveries.iter().zip(&places) {
            rows.push(&page, delivery, place);
            if place.track.state == State::Ready {
                tx.stage.ready.push(page.row(delivery.id, *place));
            }
        }
        let rows = rows.finished();
        let (bucket, holder) = (bucket_of(head.id), Holder::new(tx.me, self.now, SHARED_LANE));
        let mut queries = Vec::new();
        rows.queries(&bucket, &holder, &mut queries);
        tx.db.query_all(&queries).await?;
        Ok(true)
    }
}

impl PageAdd {
    /// Moves the cursor and keeps where the page lies; nothing, where somebody was faster. What the page's deliveries have in
    /// common comes from the message.
    async fn begin(&self, tx: &Transaction<'_>) -> Outcome<Option<Page>> {
        let NewPage { message, cursor, deliveries, .. } = &self.page;
        let (here, next) = (cursor_number(*cursor), cursor_number(cursor.saturating_add(deliveries.len())));
        let (first, last) = (deliveries.first().map(|one| one.id.get()), deliveries.last().map(|one| one.id.get()));
        let (bucket, id) = (bucket_of(*message), message.get());
        let found = tx.db.query_opt(page::PAGE_BEGIN, &[&bucket, &id, &here, &next, &first, &last]).await?;
        let Some(row) = found else { return Ok(None) };
        let gone = || Trouble::Damaged(format!("message {message} is being expanded and is not there"));
        Ok(Some(Page {
            message: *message,
            app: AppNo(number(row.try_get::<_, Option<i32>>(0)?.ok_or_else(gone)?)?),
            channel: ChannelNo(number(row.try_get::<_, Option<i32>>(1)?.ok_or_else(gone)?)?),
            priority: priority_read(row.try_get::<_, Option<i16>>(2)?.ok_or_else(gone)?)?,
        }))
    }
}

fn cursor_number(cursor: usize) -> i32 {
    i32::try_from(cursor).unwrap_or(i32::MAX)
}
