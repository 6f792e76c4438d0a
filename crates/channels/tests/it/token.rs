//! Access tokens: one keeper after the other and many at once, at one store.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use hongyan_core::{
    ports::{SealError, Sealer},
    setup::Secret,
    store::{AccessTokens, StoreError, StoreResult},
    time::Timestamp,
    token::{KeptToken, TokenRow, TokenTurn},
};

/// The tokens of all nodes, in memory.
#[derive(Default)]
pub struct Vault {
    pub rows: Mutex<HashMap<String, TokenRow>>,
    pub is_away: AtomicBool,
}

impl Vault {
    fn row<T>(&self, key: String, act: impl FnOnce(&mut TokenRow) -> T) -> StoreResult<T> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { why: "no connection".into(), certain: true });
        }
        Ok(act(self.rows.lock().expect("no panic").entry(key).or_default()))
    }
}

#[async_trait]
impl AccessTokens for Vault {
    async fn token_ask(&self, key: String, failed: Option<u64>, now: Timestamp) -> StoreResult<TokenTurn> {
        self.row(key, |row| row.ask(failed, now))
    }

    async fn token_keep(
        &self,
        key: String,
        turn: u64,
        sealed: String,
        expires: Timestamp,
    ) -> StoreResult<Option<KeptToken>> {
        self.row(key, |row| row.keep(turn, sealed, expires))
    }

    async fn token_fail(&self, key: String, turn: u64, until: Timestamp) -> StoreResult<()> {
        self.row(key, |row| row.fail(turn, until))
    }
}

/// Seals by turning the text round and writing the place beside it.
pub struct Seal;

impl Sealer for Seal {
    fn seal(&self, place: &str, secret: &Secret) -> Result<String, SealError> {
        Ok(format!("{place}={}", secret.expose().chars().rev().collect::<String>()))
    }

    fn open(&self, place: &str, sealed: &str) -> Result<Secret, SealError> {
        let sealed = sealed.strip_prefix(place).and_then(|rest| rest.strip_prefix('='));
        let text = sealed.ok_or_else(|| SealError("sealed for another place".into()))?;
        Ok(Secret::new(text.chars().rev().collect::<String>()))
    }
}
