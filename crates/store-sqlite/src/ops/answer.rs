//! Keeping what a request with an idempotency key was answered.

use hongyan_core::setup::AppNo;
use rusqlite::params;

use crate::{operation::Operation, reads, transaction::Transaction, trouble::Outcome};

/// The operation.
pub(crate) struct AnswerKeep {
    pub app: AppNo,
    pub key: String,
    pub answer: String,
}

impl Operation for AnswerKeep {
    type Answer = String;

    fn bytes(&self) -> usize {
        self.key.len() + self.answer.len()
    }

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<String> {
        tx.db
            .prepare_cached("UPDATE idempotency SET answer = ?3 WHERE app = ?1 AND key = ?2 AND answer IS NULL")?
            .execute(params![self.app.0, self.key, self.answer])?;
        Ok(reads::answer(tx.db, self.app, &self.key)?.unwrap_or_else(|| self.answer.clone()))
    }
}
