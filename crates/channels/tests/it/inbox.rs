//! The sender of the inbox: what it puts, once however often it is sent, and what becomes of it while the store is away.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hongyan_channels::{Inbox, open};
use hongyan_core::{
    channel::{Channel, Parcel},
    content::{Content, InApp, Notice},
    delivery::Repeat,
    id::Id,
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    limits::PAGE_RECIPIENTS_MAX,
    message::Label,
    setup::{AppNo, ChannelKind, ChannelNo, Provider, ProviderKind, ProviderNo},
    store::{Inboxes, StoreError, StoreResult},
    time::{ManualClock, Timestamp},
};
use tokio::{sync::Notify, time::timeout};

use crate::{
    capture::deps,
    parcels::{MESSAGE, NOW, id, parcel_with, shown},
};

/// Inboxes into which items can be put, and nothing else.
#[derive(Default)]
pub struct Shelf {
    items: Mutex<BTreeMap<Id, NewItem>>,
    is_away: AtomicBool,
}

impl Shelf {
    fn items(&self) -> Vec<NewItem> {
        self.items.lock().expect("no panic").values().cloned().collect()
    }
}

fn nothing<T>() -> StoreResult<T> {
    Err(StoreError::Gone("nobody reads here".into()))
}

#[async_trait]
impl Inboxes for Shelf {
    async fn inbox_put(&self, items: Vec<NewItem>) -> StoreResult<()> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { why: "no connection".into(), certain: false });
        }
        let mut kept = self.items.lock().expect("no panic");
        for item in items {
            kept.entry(item.id).or_insert(item);
        }
        Ok(())
    }

    async fn inbox(&self, _: String, _: InboxFilter, _: Option<Id>, _: usize) -> StoreResult<Vec<InboxItem>> {
        nothing()
    }

    async fn inbox_read(&self, _: String, _: Id) -> StoreResult<Option<InboxItem>> {
        nothing()
    }

    async fn inbox_unread(&self, _: String) -> StoreResult<u64> {
        nothing()
    }

    async fn inbox_mark(&self, _: String, _: Which, _: Mark, _: Timestamp) -> StoreResult<Vec<Marked>> {
        nothing()
    }

    async fn inbox_news(&self, _: Vec<(String, Timestamp)>, _: usize) -> StoreResult<Vec<(String, InboxItem)>> {
        nothing()
    }

    async fn inbox_token_add(&self, _: InboxToken, _: [u8; 32], _: Timestamp) -> StoreResult<()> {
        nothing()
    }

    async fn inbox_token_find(&self, _: [u8; 32], _: Timestamp) -> StoreResult<Option<InboxToken>> {
        nothing()
    }
}

fn item() -> Parcel {
    let label = Label { business: "B-7".into(), kind: "notice".into(), ..Label::default() };
    let item = InApp { title: "发工资了".into(), html: "<b>x</b>".into(), website: String::new(), label };
    Parcel { app: AppNo(4), channel: ChannelNo(9), ..parcel_with(Content::InApp(item), &["USER001", "USER002"]) }
}

async fn outcomes(channel: &dyn Channel, parcel: &Parcel) -> Vec<String> {
    channel.send(parcel).await.iter().map(shown).collect()
}

#[tokio::test]
async fn an_item_is_put_once_and_readers_are_told() {
    let (shelf, news, clock) = (Arc::new(Shelf::default()), Arc::new(Notify::new()), Arc::new(ManualClock::at(NOW)));
    let inbox = Inbox::new(Arc::clone(&shelf) as _, Arc::clone(&news), Arc::clone(&clock) as _);
    assert_eq!(outcomes(&inbox, &item()).await, ["accepted"; 2]);
    timeout(Duration::from_secs(10), news.notified()).await.expect("readers are told");
    let put = |place, user: &str| NewItem {
        id: id(MESSAGE).plus(place),
        user: user.to_owned(),
        message: id(MESSAGE),
        app: AppNo(4),
        channel: ChannelNo(9),
        business: "B-7".into(),
        kind: "notice".into(),
        at: NOW,
    };
    let expected = [put(1, "USER001"), put(2, "USER002")];
    assert_eq!(shelf.items(), expected);
    clock.advance(Duration::from_secs(60));
    assert_eq!(outcomes(&inbox, &item()).await, ["accepted"; 2]);
    assert_eq!(shelf.items(), expected, "a repeat changes nothing");
    assert_eq!(inbox.policy().repeat, Repeat::AtLeastOnce);
}

#[tokio::test]
async fn a_store_that_is_away_puts_items_off() {
    let (shelf, news) = (Arc::new(Shelf::default()), Arc::new(Notify::new()));
    shelf.is_away.store(true, Ordering::SeqCst);
    let inbox = Inbox::new(Arc::clone(&shelf) as _, news, Arc::new(ManualClock::at(NOW)));
    assert_eq!(outcomes(&inbox, &item()).await, ["deferred provider"; 2]);
    shelf.is_away.store(false, Ordering::SeqCst);
    assert_eq!(outcomes(&inbox, &item()).await, ["accepted"; 2]);
}

#[tokio::test]
async fn what_is_no_item_is_refused() {
    let kind = ProviderKind::Inbox;
    assert_eq!(kind.call_recipients_max(), PAGE_RECIPIENTS_MAX);
    assert!(kind.serves(ChannelKind::Inbox) && !kind.serves(ChannelKind::Mail));
    let provider =
        Provider { no: ProviderNo(1), code: "inbox".into(), enabled: true, rate: None, max_in_flight: 4, kind };
    let inbox = open(&provider, &deps(Arc::default())).expect("it has no keys");
    let notice = parcel_with(Content::Notice(Notice::default()), &["USER001"]);
    assert_eq!(outcomes(&*inbox, &notice).await, ["rejected content"]);
}
