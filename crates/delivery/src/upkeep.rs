//! What has to be done now and then: expire what waits in vain on a channel that nobody claims from, and forget history that
//! is older than the retention.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    limits,
    setup::CurrentSetup,
    store::{Store, StoreResult},
    time::Clock,
};

/// How often it looks.
const ROUND: Duration = Duration::from_secs(10);
/// Rows in one commit.
const STEP: usize = 500;

/// The upkeep of one node.
pub struct Upkeeper {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// What is declared: the retention.
    pub setup: Arc<CurrentSetup>,
}

impl Upkeeper {
    /// Works until it is dropped.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(ROUND).await;
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "upkeep is put off");
            }
        }
    }

    /// One round: expires and prunes until nothing is left to do.
    ///
    /// # Errors
    /// The store's; the next round goes on where this one ended.
    pub async fn round(&self) -> StoreResult<()> {
        while self.store.expire(STEP, self.clock.now()).await? >= STEP {
            tokio::task::yield_now().await;
        }
        // What may still be delivered is history only after its time is over, whatever the retention says.
        let kept = self.setup.get().settings.retention.max(limits::TIME_TO_LIVE);
        while self.store.prune(self.clock.now() - kept, STEP, self.clock.now()).await? >= STEP {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
