//! A writing operation as a value: it waits in the writer's queue, runs inside a transaction that it may share with others,
//! may be run again when that transaction was rolled back, and is answered after the commit, whether or not anybody still
//! waits for the answer.

use hongyan_core::store::{StoreError, StoreResult};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    transaction::Transaction,
    trouble::{Outcome, Trouble},
};

/// What an operation does.
pub(crate) trait Operation: Send + 'static {
    /// What it answers.
    type Answer: Send + 'static;

    /// How many bytes it brings, roughly.
    fn bytes(&self) -> usize {
        0
    }

    /// Does it. Changes nothing outside the transaction, so that it can be rolled back and run again.
    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Self::Answer>;

    /// Called with the answer after the commit: from now on what it says is true.
    fn committed(_answer: &mut Self::Answer) {}
}

/// An operation in the queue, whatever it answers.
pub(crate) trait Job: Send {
    /// How many bytes it brings.
    fn bytes(&self) -> usize;

    /// Runs it and keeps the answer.
    fn run(&mut self, tx: &mut Transaction<'_>) -> Outcome<()>;

    /// Answers: what was kept if it is `Ok`.
    fn answer(self: Box<Self>, result: StoreResult<()>);
}

/// The room that an operation takes in the queue; given back when it has been answered.
#[derive(Debug)]
pub(crate) struct Room {
    /// Its place.
    pub _place: OwnedSemaphorePermit,
    /// Its bytes.
    pub _bytes: Option<OwnedSemaphorePermit>,
}

/// An operation with the way back to whoever asked.
pub(crate) struct Queued<O: Operation> {
    operation: O,
    answer: Option<O::Answer>,
    reply: oneshot::Sender<StoreResult<O::Answer>>,
    _room: Option<Room>,
}

impl<O: Operation> Queued<O> {
    /// Wraps an operation; the answer arrives at the receiver.
    pub(crate) fn new(operation: O, room: Option<Room>) -> (Box<Self>, oneshot::Receiver<StoreResult<O::Answer>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { operation, answer: None, reply, _room: room }), answer)
    }
}

impl<O: Operation> Job for Queued<O> {
    fn bytes(&self) -> usize {
        self.operation.bytes()
    }

    fn run(&mut self, tx: &mut Transaction<'_>) -> Outcome<()> {
        self.answer = None;
        self.answer = Some(self.operation.run(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: StoreResult<()>) {
        let Self { answer, reply, .. } = *self;
        let result = result.and_then(|()| answer.ok_or_else(|| Trouble::Panicked.told()));
        // Whoever asked may be gone; an answer that must not be lost sees to that itself when it is dropped.
        let _ = reply.send(result.map(|mut answer| {
            O::committed(&mut answer);
            answer
        }));
    }
}

/// What is told to whoever asks a store that was closed.
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable { why: "the store is closed".to_owned(), certain: true }
}
