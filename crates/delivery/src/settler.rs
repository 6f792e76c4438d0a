//! Outcomes on their way into the store: many are recorded in one commit. When they cannot be recorded, sending stops until
//! they can (`guides/reliability.md` A2 rule 6): an outcome that is lost is a message sent twice.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    delivery::Track,
    limits,
    store::{Change, Store, StoreError, StoreResult},
    time::{Clock, Timestamp},
};
use tokio::sync::{mpsc, watch};

use crate::{metrics::Counters, window::Slot};

/// What is to be recorded of one parcel. Its slot comes free when it has been.
pub(crate) struct Finished {
    /// What happened to its deliveries.
    pub(crate) changes: Vec<Change>,
    /// When its message was accepted.
    pub(crate) accepted: Timestamp,
    /// Who counts; absent where nothing was tried.
    pub(crate) counters: Option<Counters>,
    /// The slot that it holds.
    pub(crate) slot: Slot,
}

/// The way to the settler.
#[derive(Clone)]
pub(crate) struct Settler {
    sender: mpsc::Sender<Finished>,
    recording: watch::Receiver<bool>,
}

/// How long to wait before trying again to record.
const RETRY: Duration = Duration::from_millis(200);

impl Settler {
    /// A settler and the task that works for it; the task ends when every [`Settler`] is gone and all is recorded.
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(limits::SETTLE_MAX * 4);
        let (recording_tx, recording) = watch::channel(true);
        let recorder = Recorder { store, clock, recording: recording_tx };
        (Self { sender, recording }, recorder.run(receiver))
    }

    /// Hands over what happened; waits while too much waits already.
    pub(crate) async fn settle(&self, finished: Finished) {
        if self.sender.send(finished).await.is_err() {
            tracing::error!("an outcome came after the end of recording; recovery will treat it as unknown");
        }
    }

    /// Whether outcomes can be recorded.
    pub(crate) fn is_recording(&self) -> bool {
        *self.recording.borrow()
    }

    /// Waits until outcomes can be recorded.
    pub(crate) async fn recording(&self) {
        let mut recording = self.recording.clone();
        // The sender is gone only when the node has stopped.
        drop(recording.wait_for(|recording| *recording).await);
    }
}

/// Changes that are recorded in one commit, about.
const CHANGES_MAX: usize = 2_000;

/// How many of what has finished make up one commit: at least one, and no more than about [`CHANGES_MAX`] changes.
fn few(batch: &[Finished]) -> usize {
    let mut changes = 0;
    let fit = batch.iter().take_while(|finished| {
        changes += finished.changes.len();
        changes <= CHANGES_MAX
    });
    fit.count().max(1)
}

struct Recorder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    recording: watch::Sender<bool>,
}

impl Recorder {
    async fn run(self, mut receiver: mpsc::Receiver<Finished>) {
        let mut batch = Vec::with_capacity(limits::SETTLE_MAX);
        while receiver.recv_many(&mut batch, limits::SETTLE_MAX).await > 0 {
            // Parcels of a thousand are recorded a few at a time: one commit shall not hold too many rows.
            while !batch.is_empty() {
                let rest = batch.split_off(few(&batch));
                self.settle(std::mem::replace(&mut batch, rest)).await;
            }
        }
    }

    async fn settle(&self, batch: Vec<Finished>) {
        let changes = batch.iter().flat_map(|finished| finished.changes.iter().cloned()).collect();
        let mut tracks = self.record(changes).await.into_iter();
        let now = self.clock.now();
        for Finished { changes, accepted, counters, slot } in batch {
            let recorded = tracks.by_ref().take(changes.len()).flatten();
            match counters {
                Some(counters) => recorded.for_each(|track| counters.recorded(track.state, accepted, now)),
                None => recorded.for_each(drop),
            }
            drop(slot);
        }
    }

    /// Records the changes, however long the store is away. A change that the store cannot take although it is there is
    /// given up alone, loudly: its delivery stays leased until the next start recovers it.
    async fn record(&self, changes: Vec<Change>) -> Vec<Option<Track>> {
        match self.record_when_available(&changes).await {
            Ok(tracks) => tracks,
            Err(error) if changes.len() <= 1 => {
                let delivery = changes.first().map(|change| change.delivery.get());
                tracing::error!(%error, delivery, "an outcome could not be recorded");
                vec![None; changes.len()]
            }
            Err(_) => {
                let mut tracks = Vec::with_capacity(changes.len());
                for change in changes {
                    tracks.extend(Box::pin(self.record(vec![change])).await);
                }
                tracks
            }
        }
    }

    async fn record_when_available(&self, changes: &[Change]) -> StoreResult<Vec<Option<Track>>> {
        loop {
            match self.store.settle(changes.to_vec(), self.clock.now()).await {
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Busy(_))) => {
                    if self.recording.send_replace(false) {
                        tracing::error!(%error, "outcomes cannot be recorded: sending stops until they can");
                    }
                    tokio::time::sleep(RETRY).await;
                }
                result => {
                    if !self.recording.send_replace(true) {
                        tracing::info!("outcomes are recorded again: sending goes on");
                    }
                    return result;
                }
            }
        }
    }
}
