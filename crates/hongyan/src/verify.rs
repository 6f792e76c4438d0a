//! Whether a plan can be used, found out without a store: every provider is opened (which makes no connection) and every
//! channel must find its providers. `check` and `serve` ask the same questions.

use std::{collections::HashSet, sync::Arc};

use anyhow::{anyhow, ensure};
use async_trait::async_trait;
use hongyan_channels::Deps;
use hongyan_core::{
    id::{Id, IdSource},
    setup::Setup,
    store::{Capture, Captures, StoreError, StoreResult},
    time::SystemClock,
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
    let deps =
        Deps { captures: Arc::new(Nowhere), ids: Arc::new(IdSource::new(0, None)), clock: Arc::new(SystemClock) };
    providers(&setup, &deps)
}

/// Opens every provider of `setup`, as the node will.
///
/// # Errors
/// What is wrong with the first that cannot be opened.
pub fn providers(setup: &Setup, deps: &Deps) -> anyhow::Result<()> {
    for provider in setup.providers() {
        let opened = hongyan_channels::open(provider, deps);
        opened.map(drop).map_err(|error| anyhow!("provider {:?}: {error}", provider.code))?;
    }
    Ok(())
}

/// Where a provider that is only looked at would keep its captures.
struct Nowhere;

#[async_trait]
impl Captures for Nowhere {
    async fn capture_add(&self, _: Capture) -> StoreResult<()> {
        Err(StoreError::Gone("nothing is sent while a plan is checked".to_owned()))
    }

    async fn captures(&self, _: Option<Id>, _: usize) -> StoreResult<Vec<Capture>> {
        Ok(Vec::new())
    }
}
