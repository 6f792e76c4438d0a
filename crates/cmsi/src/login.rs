//! Decision 12: whose a `bk_token` is, asked of the deployment's login service. A good answer is remembered for a minute, a bad
//! one for a few seconds; while one request asks for a token, others with the same token wait for its answer. The token itself
//! is kept nowhere.
//!
//! A service that cannot be reached or answers nonsense says nothing about the token: the caller is told so in the words of
//! section 4 (1306201), and nobody is let in.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hongyan_core::setup::Secret;
use hongyan_intake::Intake;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::{
    audience,
    cache::{self, Cache, Kept},
    error::Problem,
    http::Http,
};

/// What the login service is called in errors, and what it is asked.
const SYSTEM: &str = "BK_LOGIN";
const INTERFACE: &str = "is_login";
const PATH: &str = "/login/accounts/is_login/";

/// No token is longer than this, in bytes; BlueKing's own have 43.
const TOKEN_BYTES_MAX: usize = 1024;
/// Tokens of which an answer is remembered.
const TOKENS_MAX: usize = 10_000;
/// How long a good answer holds (decision 12).
const GOOD_LIFE: Duration = Duration::from_secs(60);
/// How long a bad one holds: somebody who has just logged in should not be turned away for long.
const BAD_LIFE: Duration = Duration::from_secs(5);
/// How long it is remembered that there was no answer: enough for those who waited for it.
const TROUBLE_LIFE: Duration = Duration::from_secs(1);

/// What is known of one token; who holds the lock asks.
type Slot = Arc<tokio::sync::Mutex<Option<Kept<Result<String, Problem>>>>>;

/// The login service of a deployment.
pub(crate) struct Login {
    http: Http,
    tokens: Mutex<Cache<Slot>>,
}

impl Login {
    /// Nobody is known yet.
    pub(crate) fn new() -> Self {
        Self { http: Http::new(), tokens: Mutex::new(Cache::new(TOKENS_MAX)) }
    }

    /// Whose `token` is, by the service at `url`.
    pub(crate) async fn user(&self, url: &str, token: &Secret, intake: &Intake) -> Result<String, Problem> {
        if url.is_empty() || token.expose().len() > TOKEN_BYTES_MAX {
            return Err(Problem::BadToken);
        }
        let slot = self.slot(cache::key(url, token.expose()));
        let mut kept = slot.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(intake.now())) {
            return kept.value.clone();
        }
        let answer = self.ask(url, token).await;
        let life = match &answer {
            Ok(_) => GOOD_LIFE,
            Err(Problem::ThirdParty { .. }) => TROUBLE_LIFE,
            Err(_) => BAD_LIFE,
        };
        *kept = Some(Kept::new(answer.clone(), intake.now(), life));
        answer
    }

    fn slot(&self, key: cache::Key) -> Slot {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&key).unwrap_or_else(|| {
            let slot = Slot::default();
            tokens.insert(key, Arc::clone(&slot));
            slot
        })
    }

    async fn ask(&self, url: &str, token: &Secret) -> Result<String, Problem> {
        let trouble = |why: &dyn ToString| {
            let why = why.to_string();
            tracing::warn!(why, "the login service did not say whose a token is");
            Problem::ThirdParty { system: SYSTEM, interface: INTERFACE, why }
        };
        let query = [("bk_token", token.expose())];
        let answer = self.http.get(url, PATH, &query, HeaderMap::new()).await.map_err(|error| trouble(&error))?;
        let name = answer.get("data").and_then(|data| data.get("username")).and_then(Value::as_str).unwrap_or("");
        match answer.get("result").and_then(Value::as_bool) {
            Some(true) if !name.is_empty() && audience::is_username(name) => Ok(name.to_owned()),
            Some(false) => Err(Problem::BadToken),
            _ => Err(trouble(&"interface response does not say whether the user is logged in")),
        }
    }
}
