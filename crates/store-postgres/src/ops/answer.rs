//! Keeping what a request with an idempotency key was answered.

use async_trait::async_trait;
use hongyan_core::{id::bucket_of_key, setup::AppNo};

use crate::{
    engine::{Operation, Transaction},
    row::signed,
    sql::read,
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

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<String> {
        let (bucket, app) = (i16::from(bucket_of_key(self.app, &self.key)), signed(self.app.0));
        let kept = tx.db.query_opt(read::ANSWER_KEEP, &[&bucket, &app, &self.key, &self.answer]).await?;
        if kept.is_some() {
            return Ok(self.answer.clone());
        }
        let first = tx.db.query_opt(read::ANSWER, &[&bucket, &app, &self.key]).await?;
        let first: Option<String> = first.map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(first.unwrap_or_else(|| self.answer.clone()))
    }
}
