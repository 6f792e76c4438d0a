//! What has to be done now and then: take over what dead nodes held, expire what waits in vain on a channel that nobody claims
//! from, erase the secrets of what is over, and forget history that is older than the retention.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    limits,
    setup::CurrentSetup,
    store::{Policies, Recovered, Store, StoreResult},
    time::Clock,
};

/// How often it looks for what dead nodes held, and for secrets of what is over.
const TAKE_OVER: Duration = Duration::from_secs(1);
/// How often it looks for what is over.
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
    /// The rules by which what dead nodes held is judged.
    pub policies: Policies,
}

impl Upkeeper {
    /// Works until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.take_over(), self.tidy());
    }

    async fn take_over(&self) {
        loop {
            tokio::time::sleep(TAKE_OVER).await;
            if let Err(error) = self.erase().await {
                tracing::warn!(%error, "secrets of what is over cannot be erased for now");
            }
            match self.store.recover(Arc::clone(&self.policies), self.clock.now()).await {
                Ok(found) if found == Recovered::default() => {}
                Ok(found) => tracing::warn!(
                    ready = found.ready,
                    unknown = found.unknown,
                    poison = found.poison,
                    "took over what nobody held any more"
                ),
                Err(error) => tracing::warn!(%error, "what dead nodes held cannot be taken over for now"),
            }
        }
    }

    async fn erase(&self) -> StoreResult<()> {
        while self.store.secrets_erase(STEP).await? >= STEP {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn tidy(&self) {
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
        while self.store.prune(self.clock.now() - kept, STEP, self.clock.now()).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
