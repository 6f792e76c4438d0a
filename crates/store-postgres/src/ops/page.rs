//! Large audiences: the later pages of a message, each with its place in one commit.

use async_trait::async_trait;
use hongyan_core::{
    delivery::State,
    message::{Label, Priority},
    setup::{AppNo, ChannelNo},
    store::{Lot, Page as NewPage, Place as Behind, StoreResult},
    time::Timestamp,
};

use crate::{
    audience::expansion_end,
    columns::{Deliveries, Holder, Page, placed},
    engine::{Engine, Operation, SHARED_LANE, Transaction},
    row::{bucket_of, number, priority_read, signed},
    sql::{inbox, page},
    trouble::{Outcome, Trouble},
};

/// Adds a page.
pub(crate) async fn add(engine: &Engine, page: NewPage, now: Timestamp) -> StoreResult<bool> {
    let ids = page.deliveries().map(|delivery| delivery.id);
    engine.days.make_room(&engine.pool, ids).await.map_err(|trouble| trouble.told())?;
    engine.run(&PageAdd { page, now }).await
}

struct PageAdd {
    page: NewPage,
    now: Timestamp,
}

/// What a page takes over from its message.
struct Common {
    app: AppNo,
    priority: Priority,
    label: Label,
}

#[async_trait]
impl Operation for PageAdd {
    type Answer = bool;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        let Some(common) = self.begin(tx).await? else { return Ok(false) };
        if self.page.to.is_none() {
            expansion_end(tx.db, self.page.message).await?;
        }
        if let Some(channel) = self.page.broadcast {
            self.broadcast(tx, &common, channel).await?;
        }
        let Some(head) = self.page.deliveries().next() else { return Ok(true) };
        let (bucket, holder) = (bucket_of(head.id), Holder::new(tx.me, self.now, SHARED_LANE));
        let mut rows = Deliveries::default();
        for lot in &self.page.page {
            self.lay(tx, &mut rows, &common, lot);
        }
        let rows = rows.finished();
        let mut queries = Vec::new();
        rows.queries(&bucket, &holder, &mut queries);
        tx.db.query_all(&queries).await?;
        Ok(true)
    }
}

impl PageAdd {
    /// Moves the expansion on and keeps where the page lies; nothing, where somebody was faster. What the page's deliveries have in
    /// common comes from the message.
    async fn begin(&self, tx: &Transaction<'_>) -> Outcome<Option<Common>> {
        let NewPage { message, from, to, .. } = &self.page;
        let Behind { step, mark } = to.as_ref().unwrap_or(from);
        let (here, next) = (signed(from.step), signed(*step));
        let ids = || self.page.deliveries().map(|delivery| delivery.id.get());
        let (first, last) = (ids().min(), ids().max());
        let (bucket, id) = (bucket_of(*message), message.get());
        let found =
            tx.db.query_opt(page::PAGE_BEGIN, &[&bucket, &id, &here, &from.mark, &next, mark, &first, &last]).await?;
        let Some(row) = found else { return Ok(None) };
        let gone = || Trouble::Damaged(format!("message {message} is being expanded and is not there"));
        let label: &str = row.try_get::<_, Option<&str>>(2)?.ok_or_else(gone)?;
        Ok(Some(Common {
            app: AppNo(number(row.try_get::<_, Option<i32>>(0)?.ok_or_else(gone)?)?),
            priority: priority_read(row.try_get::<_, Option<i16>>(1)?.ok_or_else(gone)?)?,
            label: Label::from_text(label)
                .map_err(|error| Trouble::Damaged(format!("the label of {message}: {error}")))?,
        }))
    }

    /// Lays a lot among the rows to be stored.
    fn lay<'a>(&self, tx: &mut Transaction<'_>, rows: &mut Deliveries<'a>, common: &Common, lot: &'a Lot) {
        let Some(head) = lot.deliveries.first() else { return };
        let page =
            Page { message: self.page.message, app: common.app, priority: common.priority, channel: lot.way.channel };
        let places = placed(&lot.deliveries, lot.way.parcel_max, head.id);
        for (delivery, place) in lot.deliveries.iter().zip(&places) {
            rows.push(&page, delivery, place);
            if place.track.state == State::Ready {
                tx.stage.ready.push(page.row(delivery.id, *place));
            }
        }
    }

    /// Everybody who is there now finds the message in their inbox.
    async fn broadcast(&self, tx: &Transaction<'_>, common: &Common, channel: ChannelNo) -> Outcome<()> {
        let (app, channel) = (signed(common.app.0), signed(channel.0));
        let Label { business, kind, .. } = &common.label;
        tx.db
            .execute(inbox::BROADCAST_ADD, &[&self.page.message.get(), &app, &channel, business, kind, &self.now.ms()])
            .await?;
        Ok(())
    }
}
