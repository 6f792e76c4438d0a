//! Repeats (design 7): what a request with an idempotency key was answered is kept with the key, so that its repeat is answered the
//! same, `invalid` included, whatever the directory says by then.

use std::sync::Arc;

use hongyan_core::{id::Id, limits, message::Idempotency, setup::AppNo, store::Messages, time::Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{problem::Problem, reply::Accepted, signature::hex};

/// The answers of the deployment.
pub(crate) struct Answers(Arc<dyn Messages>);

/// A kept answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Of the request, in hexadecimal.
    fingerprint: String,
    message: i64,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    invalid: Map<String, Value>,
}

impl Answers {
    /// Those that are kept behind `messages`.
    pub(crate) fn new(messages: Arc<dyn Messages>) -> Self {
        Self(messages)
    }

    /// What was answered to the first request of the app with this key; `None` where there was none, its answer is not known, or it
    /// came so long before `now` that the key is free again.
    pub(crate) async fn read(
        &self,
        app: AppNo,
        key: &Idempotency,
        now: Timestamp,
    ) -> Result<Option<Accepted>, Problem> {
        let kept = self.0.answer_read(app, key.key.clone()).await?;
        // What another dialect kept is no answer of ours; that the key is taken the store says when it comes to it.
        let Some(kept) = kept.and_then(|kept| serde_json::from_str::<Kept>(&kept).ok()) else { return Ok(None) };
        let is_old = |first: Id| now.since(first.time()) >= limits::IDEMPOTENCY_KEPT;
        if Id::from_i64(kept.message).is_none_or(is_old) {
            return Ok(None);
        }
        if kept.fingerprint != hex(&key.fingerprint) {
            return Err(Problem::KeyReused);
        }
        Ok(kept.accepted())
    }

    /// Keeps an answer and answers what is kept, which is the first. A store that is away now does not take back what was accepted.
    pub(crate) async fn keep(&self, app: AppNo, key: Option<Idempotency>, accepted: Accepted) -> Accepted {
        let Some(key) = key else { return accepted };
        let (fingerprint, message) = (hex(&key.fingerprint), accepted.message.get());
        let kept = Kept { fingerprint, message, invalid: accepted.invalid.clone() };
        let kept = serde_json::to_string(&kept).unwrap_or_default();
        match self.0.answer_keep(app, key.key, kept).await {
            Ok(kept) => serde_json::from_str::<Kept>(&kept).ok().and_then(Kept::accepted).unwrap_or(accepted),
            Err(error) => {
                tracing::warn!(%error, "an answer could not be kept for repeats of its request");
                accepted
            }
        }
    }
}

impl Kept {
    fn accepted(self) -> Option<Accepted> {
        Some(Accepted { message: Id::from_i64(self.message)?, invalid: self.invalid })
    }
}
