//! Whether a plan can be used, found out without a store: every provider is opened (which makes no connection) and every
//! channel must find its providers. `check` and `serve` ask the same questions.

use std::{collections::HashSet, sync::Arc};

use anyhow::{anyhow, ensure};
use async_trait::async_trait;
use hongyan_channels::Deps;
use hongyan_core::{
    id::{Id, IdSource},
    setup::Setup,
    store::{AccessTokens, Capture, Captures, StoreError, StoreResult},
    time::{SystemClock, Timestamp},
    token::{KeptToken, TokenTurn},
};

use crate::{plan::Plan, stored, vault::Vault};

/// Checks `plan`. Where a store `exists`, providers that the plan does not declare may be declared there.
///
/// # Errors
/// What is wrong, naming the thing and its key.
pub fn plan(plan: &Plan, exists: bool) -> anyhow::Result<()> {
    let vault = Vault::passing()?;
    let declared: HashSet<&str> = plan.provider.iter().map(|provider| provider.code.as_str()).collect();
    let mut known = plan.clone();
    for channel in &plan.channel {
        if let Some(missing) = channel.providers.iter().find(|code| !declared.contains(code.as_str())) {
            ensure!(exists, "channel {:?}: provider {missing:?} is not declared", channel.code);
            known.channel.retain(|other| other.code != channel.code);
        }
    }
    let change = known.seal(String::new(), &vault)?;
    let setup = stored::preview(Vec::new(), &change.declarations, &vault)?;
    let deps = Deps {
        captures: Arc::new(Nowhere),
        ids: Arc::new(IdSource::new(0, None)),
        clock: Arc::new(SystemClock),
        tokens: Arc::new(Nowhere),
        sealer: Arc::new(vault),
    };
    providers(&setup, &deps)
}

/// Opens every provider of `setup`, as the node will, and looks whether channels have providers that can serve them.
///
/// # Errors
/// What is wrong with the first.
pub fn providers(setup: &Setup, deps: &Deps) -> anyhow::Result<()> {
    for provider in setup.providers() {
        let opened = hongyan_channels::open(provider, deps);
        opened.map(drop).map_err(|error| anyhow!("provider {:?}: {error}", provider.code))?;
    }
    for channel in setup.channels() {
        for provider in channel.providers.iter().filter_map(|no| setup.provider(*no)) {
            let (kind, code) = (channel.kind.as_str(), &provider.code);
            ensure!(
                provider.kind.serves(channel.kind),
                "channel {:?}: provider {code:?} sends no {kind}",
                channel.code
            );
        }
    }
    Ok(())
}

/// Where a provider that is only looked at would keep its captures and tokens.
struct Nowhere;

#[async_trait]
impl Captures for Nowhere {
    async fn capture_add(&self, _: Capture) -> StoreResult<()> {
        Err(nowhere())
    }

    async fn captures(&self, _: Option<Id>, _: usize) -> StoreResult<Vec<Capture>> {
        Ok(Vec::new())
    }
}

fn nowhere() -> StoreError {
    StoreError::Gone("nothing is sent while a plan is checked".to_owned())
}

#[async_trait]
impl AccessTokens for Nowhere {
    async fn token_ask(&self, _: String, _: Option<u64>, _: Timestamp) -> StoreResult<TokenTurn> {
        Err(nowhere())
    }

    async fn token_keep(&self, _: String, _: u64, _: String, _: Timestamp) -> StoreResult<Option<KeptToken>> {
        Err(nowhere())
    }

    async fn token_fail(&self, _: String, _: u64, _: Timestamp) -> StoreResult<()> {
        Err(nowhere())
    }
}
