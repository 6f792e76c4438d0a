//! Whether a plan can be used, found out without taking the store: its people and groups must fit together, every provider is opened (which makes no connection) and every
//! channel must find its providers. `check` and `serve` ask the same questions.

use std::{collections::HashSet, sync::Arc};

use anyhow::{Context, anyhow, bail, ensure};
use async_trait::async_trait;
use hongyan_channels::Deps;
use hongyan_core::{
    directory::DirectoryFault,
    id::{Id, IdSource},
    inbox::{InboxFilter, InboxItem, InboxToken, Mark, Marked, NewItem, Which},
    setup::{Channel, ChannelKind, ProviderKind, Setup},
    store::{AccessTokens, Capture, Captures, Inboxes, StoreError, StoreResult},
    time::{SystemClock, Timestamp},
    token::{KeptToken, TokenTurn},
};

use crate::{
    plan::{MessageTemplatePlan, Plan, applied_hash},
    store::Beside,
    stored,
    vault::Vault,
};

/// Checks `plan`, whose text has this hash, `beside` what the store has; `vault` has the keys of the store, where there are any yet.
/// What the store may have and does not show is seen when the plan is applied.
///
/// # Errors
/// What is wrong, naming the thing and its key.
pub fn plan(plan: &Plan, hash: &str, beside: Beside, vault: Option<Vault>) -> anyhow::Result<()> {
    let Beside { mut may_have_more, mut declared, faults } = beside;
    if applied_hash(&declared) != Some(hash) {
        directory(&faults)?;
    }
    if vault.is_none() && !declared.is_empty() {
        // A store without its keys shows nothing; a node says that they are missing.
        (may_have_more, declared) = (true, Vec::new());
    }
    let vault = vault.map_or_else(Vault::passing, Ok)?;
    let mut known = plan.clone();
    if may_have_more {
        let codes: HashSet<&str> = plan.provider.iter().map(|provider| provider.code.as_str()).collect();
        known.channel.retain(|channel| channel.providers.iter().all(|code| codes.contains(code.as_str())));
    }
    let change = known.seal(hash.to_owned(), &vault)?;
    let setup = stored::preview(declared, &change.declarations, &vault)?;
    let kind = |code: &str| {
        let planned = plan.channel.iter().find(|channel| channel.code == code);
        let planned = planned.and_then(|channel| ChannelKind::from_name(&channel.kind));
        planned.or_else(|| setup.channels().iter().find(|channel| channel.code == code).map(|channel| channel.kind))
    };
    let are_known = |template: &&MessageTemplatePlan| template.content.keys().all(|code| kind(code).is_some());
    templates(plan.template.iter().filter(|template| !may_have_more || are_known(template)), kind)?;
    let deps = Deps {
        captures: Arc::new(Nowhere),
        inboxes: Arc::new(Nowhere),
        news: Arc::default(),
        ids: Arc::new(IdSource::new(0, None)),
        clock: Arc::new(SystemClock),
        tokens: Arc::new(Nowhere),
        sealer: Arc::new(vault),
    };
    providers(&setup, &deps)
}

/// Refuses people and groups that do not fit together.
///
/// # Errors
/// Every fault, in words.
pub fn directory(faults: &[DirectoryFault]) -> anyhow::Result<()> {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
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
                "channel {:?}: provider {code:?} sends no {kind}{}",
                channel.code,
                not_yet(channel.kind)
            );
        }
        one_account(setup, channel)?;
    }
    Ok(())
}

/// What more there is to say of a channel's kind that no provider serves but those for development.
const fn not_yet(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Robot | ChannelKind::Webhook => ": only providers of kind capture and test do, so far",
        _ => "",
    }
}

/// Looks whether templates fit the channels that they are for; `kind` answers the kind of the channel with a code.
///
/// # Errors
/// What is wrong with the first.
pub fn templates<'a>(
    templates: impl IntoIterator<Item = &'a MessageTemplatePlan>,
    kind: impl Fn(&str) -> Option<ChannelKind>,
) -> anyhow::Result<()> {
    for template in templates {
        template.fits(&kind).with_context(|| format!("template {:?}", template.code))?;
    }
    Ok(())
}

/// Refuses a second official account in a channel. An openid is of one account, so that whoever a channel reaches by one it
/// cannot reach by another, and a tag says nothing of whose it is.
fn one_account(setup: &Setup, channel: &Channel) -> anyhow::Result<()> {
    let providers = channel.providers.iter().filter_map(|no| setup.provider(*no));
    let mut accounts = providers.filter(|provider| matches!(provider.kind, ProviderKind::Wechat(_)));
    if let (Some(one), Some(other)) = (accounts.next(), accounts.next()) {
        bail!(
            "channel {:?}: {:?} and {:?} are both wechat providers; followers of one official account cannot be reached by \
             another: give each a channel of its own",
            channel.code,
            one.code,
            other.code
        );
    }
    Ok(())
}

/// Where a provider that is only looked at would keep its captures, items and tokens.
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
impl Inboxes for Nowhere {
    async fn inbox_put(&self, _: Vec<NewItem>) -> StoreResult<()> {
        Err(nowhere())
    }

    async fn inbox(&self, _: String, _: InboxFilter, _: Option<Id>, _: usize) -> StoreResult<Vec<InboxItem>> {
        Err(nowhere())
    }

    async fn inbox_read(&self, _: String, _: Id) -> StoreResult<Option<InboxItem>> {
        Err(nowhere())
    }

    async fn inbox_unread(&self, _: String) -> StoreResult<u64> {
        Err(nowhere())
    }

    async fn inbox_mark(&self, _: String, _: Which, _: Mark, _: Timestamp) -> StoreResult<Vec<Marked>> {
        Err(nowhere())
    }

    async fn inbox_news(&self, _: Vec<(String, Timestamp)>, _: usize) -> StoreResult<Vec<(String, InboxItem)>> {
        Err(nowhere())
    }

    async fn inbox_token_add(&self, _: InboxToken, _: [u8; 32], _: Timestamp) -> StoreResult<()> {
        Err(nowhere())
    }

    async fn inbox_token_find(&self, _: [u8; 32], _: Timestamp) -> StoreResult<Option<InboxToken>> {
        Err(nowhere())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside a store that has nothing.
    fn alone(read: &Plan) -> anyhow::Result<()> {
        plan(read, "", Beside::default(), None)
    }

    /// Beside a store that shows nothing.
    fn beside_more(read: &Plan) -> anyhow::Result<()> {
        plan(read, "", Beside { may_have_more: true, ..Beside::default() }, None)
    }

    /// A plan with two official accounts and these lists of a channel's providers.
    fn checked(channels: &[&str]) -> Result<(), String> {
        let provider = |code: &str| {
            format!(
                "[[provider]]\ncode = \"{code}\"\nkind = \"wechat\"\napp_id = \"wx{code}\"\napp_secret = \"s\"\ntemplate = \"t\"\n"
            )
        };
        let mut text = format!("{}{}[[provider]]\ncode = \"c\"\nkind = \"capture\"\n", provider("a"), provider("b"));
        for (n, providers) in channels.iter().enumerate() {
            text += &format!("[[channel]]\ncode = \"w{n}\"\nkind = \"wechat\"\nproviders = {providers}\n");
        }
        let read = Plan::parse(&text).expect("a plan");
        alone(&read).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_of_channel_has_its_providers() {
        let checked = |kind: &str, provider: &str| {
            let provider = format!("[[provider]]\ncode = \"p\"\nkind = \"{provider}\"\n");
            let channel = format!("[[channel]]\ncode = \"c\"\nkind = \"{kind}\"\nproviders = [\"p\"]\n");
            alone(&Plan::parse(&format!("{provider}{channel}"))?)
        };
        for kind in ["inbox", "robot", "webhook", "mail"] {
            for provider in ["capture", "test"] {
                assert!(checked(kind, provider).is_ok(), "{kind} by {provider}");
            }
        }
        assert!(checked("inbox", "inbox").is_ok());
        let why = |kind| checked(kind, "inbox").expect_err("refused").to_string();
        assert_eq!(why("mail"), "channel \"c\": provider \"p\" sends no mail");
        for kind in ["robot", "webhook"] {
            assert!(why(kind).ends_with("only providers of kind capture and test do, so far"), "{}", why(kind));
        }
        assert!(checked("fax", "capture").is_err());
    }

    #[test]
    fn a_channel_has_one_official_account() {
        for channels in [&[r#"["a"]"#, r#"["b"]"#][..], &[r#"["a", "c"]"#], &[r#"["c", "b"]"#]] {
            assert_eq!(checked(channels), Ok(()), "{channels:?}");
        }
        for channel in [r#"["a", "b"]"#, r#"["a", "c", "b"]"#] {
            let error = checked(&[channel]).expect_err("refused");
            assert!(error.contains(r#"channel "w0": "a" and "b" are both wechat"#), "{error}");
        }
    }

    #[test]
    fn a_template_is_for_channels_that_there_are() {
        let read = |channel: &str| {
            let template =
                format!("[[template]]\ncode = \"T\"\n[template.content.{channel}]\ncontent = \"c\"\nsign = \"s\"\n");
            let channel = "[[provider]]\ncode = \"c\"\nkind = \"capture\"\n[[channel]]\ncode = \"m\"\nkind = \"mail\"\nproviders = [\"c\"]\n";
            Plan::parse(&(template + channel)).expect("a plan")
        };
        let error = alone(&read("x")).expect_err("refused");
        assert!(format!("{error:#}").contains("template \"T\": channel \"x\" is not declared"), "{error:#}");
        assert!(beside_more(&read("x")).is_ok(), "the store may have it");
        let error = beside_more(&read("m")).expect_err("refused");
        assert!(format!("{error:#}").contains("channel \"m\" is of kind mail: sign"), "{error:#}");
    }
}
