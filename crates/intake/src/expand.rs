//! Audiences of more than a page: the first page is part of the submit, the rest is stored beside it and expanded here, a
//! page of at most [`limits::PAGE_RECIPIENTS_MAX`] recipients and its cursor per commit. A crash between two pages loses
//! nothing and repeats nobody: the next start reads the cursor and goes on.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    id::IdSource,
    limits,
    setup::CurrentSetup,
    store::{Expansion, Listed, Lot, Page, Place, Store, StoreError, Who},
    time::Clock,
};
use tokio::sync::Notify;

use crate::page::deliveries;

/// Messages whose audiences are expanded in one round, a page each, so that a large one does not hold up the others.
const ROUND: usize = 16;
/// How often it looks by itself: a wake-up may be lost.
const POLL: Duration = Duration::from_secs(1);

/// The background expansion of one node.
pub struct Expander {
    store: Arc<dyn Store>,
    ids: Arc<IdSource>,
    clock: Arc<dyn Clock>,
    setup: Arc<CurrentSetup>,
    woken: Notify,
}

impl Expander {
    /// An expander; it works while [`Expander::run`] is polled.
    pub fn new(store: Arc<dyn Store>, ids: Arc<IdSource>, clock: Arc<dyn Clock>, setup: Arc<CurrentSetup>) -> Self {
        Self { store, ids, clock, setup, woken: Notify::new() }
    }

    /// Says that there may be work.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Works until it is dropped.
    pub async fn run(&self) {
        loop {
            match self.round().await {
                Ok(0) => {
                    // Either wakes it; a time-out is the poll.
                    drop(tokio::time::timeout(POLL, self.woken.notified()).await);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "audiences cannot be expanded for now");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    /// Adds one page to every message that is being expanded; answers how many pages were added.
    ///
    /// # Errors
    /// The store's; what was added stays added.
    pub async fn round(&self) -> Result<usize, StoreError> {
        let (mut after, mut pages) = (None, 0);
        loop {
            let expansions = self.store.expansions(after, ROUND, self.clock.now()).await?;
            let Some(last) = expansions.last() else { return Ok(pages) };
            after = Some((last.rest.due, last.message.id));
            for expansion in expansions {
                pages += usize::from(self.add_page(expansion).await?);
            }
        }
    }

    async fn add_page(&self, expansion: Expansion) -> Result<bool, StoreError> {
        let Expansion { message, place, rest, .. } = expansion;
        let now = self.clock.now();
        let Who::Listed(lists) = rest.who else { return Ok(false) };
        let cursor = usize::try_from(place.step).unwrap_or(usize::MAX);
        let Some(Listed { way, addressees }) = lists.into_iter().next() else { return Ok(false) };
        let page: Vec<_> = addressees.into_iter().skip(cursor).take(limits::PAGE_RECIPIENTS_MAX).collect();
        let step = place.step + u32::try_from(page.len()).unwrap_or(0);
        let to = (page.len() == limits::PAGE_RECIPIENTS_MAX).then(|| Place { step, mark: String::new() });
        let first = self
            .ids
            .block(page.len().max(1), self.ids.home(), now)
            .map_err(|error| StoreError::Busy(error.to_string()))?;
        let deliveries = deliveries(page, first, now, message.expires);
        let page = Page { message: message.id, from: place, to, page: vec![Lot { way, deliveries }], broadcast: None };
        self.store.page_add(page, now).await
    }
}
