//! What a start brings into the store: the plan, and what the first start makes: the administrator's token and the first account
//! of the token API, each said once. Every step may be cut short and is then done by the next start.

use std::sync::Arc;

use anyhow::Context;
use hongyan_api::AdminToken;
use hongyan_channels::Deps as ChannelDeps;
use hongyan_core::{account::Role, directory::DirectoryChange, store::Store};
use hongyan_intake::{AccountBook, AccountError, NewAccount};

use crate::{
    config::Config,
    plan::{AccountPlan, Plan, applied_hash},
    stored::{self, StoredTemplates},
    talk::say,
    vault::{Vault, random_token},
    verify,
};

/// Under which note the store keeps the hash of the administrator's token that it made.
const ADMIN_NOTE: &str = "admin_token_sha256";
/// Under which note the store keeps that the first account was made, or was not needed.
const ACCOUNT_NOTE: &str = "first_account";
/// The name of the first account, as the document of the token API has it.
const FIRST_ACCOUNT: &str = "admin";

/// Applies a plan, after making sure that what would be declared then can be used.
pub(crate) async fn plan(
    accounts: &AccountBook,
    vault: &Vault,
    mut plan: Plan,
    hash: String,
    channels: &ChannelDeps,
) -> anyhow::Result<()> {
    let store = accounts.store();
    let planned = std::mem::take(&mut plan.account);
    let templates = std::mem::take(&mut plan.template);
    let change = plan.seal(hash, vault)?;
    let (_, declared) = store.declarations().await?;
    let is_applied = applied_hash(&declared) == Some(change.hash.as_str());
    let setup = stored::preview(declared, &change.declarations, vault).context("in the plan")?;
    verify::providers(&setup, channels).context("in the plan")?;
    let kind = |code: &str| setup.channels().iter().find(|channel| channel.code == code).map(|channel| channel.kind);
    verify::templates(&templates, kind).context("in the plan")?;
    if !is_applied {
        directory(&**store, &change.directory).await.context("in the plan")?;
        // Before the plan is on record as applied, so that a start that is cut short is repeated.
        for account in planned {
            self::account(accounts, &account)
                .await
                .with_context(|| format!("account {:?} of the plan", account.name))?;
        }
        // Each on the version that it replaces, which no plan can know.
        StoredTemplates::new(Arc::clone(store)).declare(templates).await.context("the templates of the plan")?;
    }
    if store.plan_apply(change).await? {
        tracing::info!("the plan is applied");
    } else {
        tracing::info!("the plan was applied before; nothing is changed");
    }
    Ok(())
}

/// Whether the people and groups of a plan fit together, and to what the store has, before anything of the plan is done.
async fn directory(store: &dyn Store, change: &DirectoryChange) -> anyhow::Result<()> {
    let report = store.directory_change(change.clone(), true, store.clock().now()).await?;
    verify::directory(&report.faults)
}

/// Makes an account of the plan. One that is there keeps its password and what the plan leaves out.
async fn account(accounts: &AccountBook, planned: &AccountPlan) -> anyhow::Result<()> {
    match accounts.add(planned.new_account()?).await {
        Ok((account, made)) => {
            if let Some(password) = made {
                say(&format!("hongyan: the password of the account {}, shown this once: {password}", account.name));
            }
        }
        Err(AccountError::NameTaken) => {
            accounts.store().account_change(planned.name.trim().to_owned(), planned.change()?).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The administrator's token: the configured one, or the one that the first start makes and says once.
pub(crate) async fn admin_token(config: &Config, store: &dyn Store) -> anyhow::Result<AdminToken> {
    if !config.admin_token.is_empty() {
        return Ok(AdminToken::new(&config.admin_token));
    }
    let kept = match store.note_read(ADMIN_NOTE).await? {
        Some(kept) => kept,
        None => {
            let token = random_token()?;
            let mine = AdminToken::new(&token).to_hex();
            let kept = store.note_once(ADMIN_NOTE, &mine).await?;
            if kept == mine {
                say(&format!("hongyan: the administrator's token, shown this once: {token}"));
            }
            kept
        }
    };
    AdminToken::from_hex(&kept).context("the stored administrator's token is damaged")
}

/// The first account of the token API, an administrator, where there is none yet: made once, and never again where it was
/// removed (`contracts/imsg.md` decision 8).
pub(crate) async fn first_account(accounts: &AccountBook) -> anyhow::Result<()> {
    let store = accounts.store();
    if store.note_read(ACCOUNT_NOTE).await?.is_some() {
        return Ok(());
    }
    if store.accounts(None, 1).await?.is_empty() {
        match accounts.add(NewAccount { role: Role::Admin, ..NewAccount::named(FIRST_ACCOUNT) }).await {
            Ok((_, Some(password))) => say(&format!(
                "hongyan: the account {FIRST_ACCOUNT} of the token API (iMSG) has a password, shown this once: {password}"
            )),
            // Another node was faster, and says it.
            Ok(_) | Err(AccountError::NameTaken) => {}
            Err(error) => return Err(error).context("while making the first account of the token API"),
        }
    }
    store.note_once(ACCOUNT_NOTE, "done").await?;
    Ok(())
}
