//! Keeping what a request with an idempotency key was answered.

use async_trait::async_trait;
use hongyan_core::setup::AppNo;

use crate::{
    engine::{Operation, Transaction},
    trouble::Outcome,
};

/// The operation.
pub(crate) struct AnswerKeep {
    pub app: AppNo,
    pub key: String,
    pub answer: String,
}

#[async_trait]
impl Operation for AnswerKeep {
    type Answer = String;

    async fn run(&self, _tx: &mut Transaction<'_>) -> Outcome<String> {
        Err(crate::pool::closed())
    }
}
