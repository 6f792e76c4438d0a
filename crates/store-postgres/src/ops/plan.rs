//! Applying a plan: what it declares, in one transaction with the version that tells nodes to read it.

use async_trait::async_trait;
use hongyan_core::store::PlanChange;

use crate::{
    engine::{Operation, Transaction},
    trouble::Outcome,
};

/// The operation.
pub(crate) struct PlanApply {
    pub plan: PlanChange,
}

#[async_trait]
impl Operation for PlanApply {
    type Answer = bool;

    async fn run(&self, _tx: &mut Transaction<'_>) -> Outcome<bool> {
        Err(crate::pool::closed())
    }
}

/// Keeps a note, unless there is one.
pub(crate) struct NoteOnce {
    pub key: String,
    pub value: String,
}

#[async_trait]
impl Operation for NoteOnce {
    type Answer = String;

    async fn run(&self, _tx: &mut Transaction<'_>) -> Outcome<String> {
        Err(crate::pool::closed())
    }
}
