//! The sender of the in-app inbox: it puts items into the store, where their readers find them. An item has the number of its
//! delivery, and the store leaves alone what is there already, so that a repeat changes nothing: what may have been put is put
//! again, and is seen exactly once (design 4).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::{
    channel::{Channel, Parcel},
    content::{Content, InApp},
    delivery::{Policy, Repeat},
    inbox::NewItem,
    outcome::{Fault, Outcome, Receipts, Rejection, Verdict},
    retry::RetrySchedule,
    store::Inboxes,
    time::Clock,
};
use tokio::sync::Notify;

/// Waits in seconds before a repeat: the store that does not take an item is the one that keeps the queue, and is missed by more
/// than the inbox.
const WAITS: [u64; 6] = [1, 5, 15, 60, 300, 900];

/// The in-app inbox.
pub struct Inbox {
    inboxes: Arc<dyn Inboxes>,
    news: Arc<Notify>,
    clock: Arc<dyn Clock>,
}

impl Inbox {
    /// The inbox in `inboxes`. Whoever shows items to readers of this node is told by `news` that some have come; that carries no
    /// data and may be missed.
    pub fn new(inboxes: Arc<dyn Inboxes>, news: Arc<Notify>, clock: Arc<dyn Clock>) -> Self {
        Self { inboxes, news, clock }
    }

    /// The verdict of every recipient: one commit has all items or none.
    async fn put(&self, parcel: &Parcel) -> Verdict {
        let Content::InApp(InApp { label, .. }) = &*parcel.content else {
            return Verdict::new(
                Outcome::Rejected(Rejection::Content),
                "the inbox carries its own items and nothing else",
            );
        };
        let at = self.clock.now();
        let items = parcel.recipients.iter().map(|recipient| NewItem {
            id: recipient.delivery,
            user: recipient.address.clone(),
            message: parcel.message,
            app: parcel.app,
            channel: parcel.channel,
            business: label.business.clone(),
            kind: label.kind.clone(),
            at,
        });
        match self.inboxes.inbox_put(items.collect()).await {
            Ok(()) => {
                self.news.notify_one();
                Verdict::new(Outcome::Accepted { provider_id: String::new(), receipt: Receipts::Expected }, "put")
            }
            Err(error) => Verdict::new(Outcome::Deferred { after: None, fault: Fault::Provider }, error.to_string()),
        }
    }
}

#[async_trait]
impl Channel for Inbox {
    fn policy(&self) -> Policy {
        Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::of(WAITS.map(Duration::from_secs)) }
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        vec![self.put(parcel).await; parcel.recipients.len()]
    }

    async fn close(&self) {}
}
