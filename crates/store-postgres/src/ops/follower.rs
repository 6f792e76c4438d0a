//! Who follows official accounts: giving tags, and keeping whether somebody follows still.

use async_trait::async_trait;
use hongyan_core::{
    account::{FIRST_TAG, Follower},
    setup::ProviderNo,
    store::StoreResult,
};

use super::{
    numbering::{self, Kind},
    quota::name as plain,
};
use crate::{
    engine::{Engine, Operation, Transaction},
    reads::{bucket_of_tag, follower, follower_bucket},
    row::{number, signed},
    session::Session,
    sql::follower as sql,
    trouble::{Outcome, Trouble},
};

/// The numbers of tags.
const TAGS: Kind = Kind { name: "follower", first: FIRST_TAG as i32 };

/// Somebody at a provider.
struct Who {
    bucket: i16,
    provider: i32,
    openid: String,
}

impl Who {
    fn new(provider: ProviderNo, openid: String) -> Self {
        let openid = plain(openid);
        Self { bucket: follower_bucket(provider, &openid), provider: signed(provider.0), openid }
    }

    /// Their tag, if they have one.
    async fn tag(&self, db: &Session) -> Outcome<Option<u32>> {
        let row = db.query_opt(sql::TAG, &[&self.bucket, &self.provider, &self.openid]).await?;
        row.map(|row| number(row.try_get(0)?)).transpose()
    }
}

/// The tag of a follower, and whether they got it now.
pub(crate) async fn tag(engine: &Engine, provider: ProviderNo, openid: String) -> StoreResult<(Follower, bool)> {
    let who = Who::new(provider, openid);
    // Most of the time they have one.
    if let Some(found) = known(engine, &who).await.map_err(|trouble| trouble.told())? {
        return Ok((found, false));
    }
    if let Some(new) = engine.run(&Give { who: &who }).await? {
        return Ok((new, true));
    }
    let found = known(engine, &who).await.and_then(|found| {
        found.ok_or_else(|| Trouble::Damaged("a follower has a tag, and the tag no follower".to_owned()))
    });
    found.map(|found| (found, false)).map_err(|trouble| trouble.told())
}

async fn known(engine: &Engine, who: &Who) -> Outcome<Option<Follower>> {
    let db = engine.pool.lend().await?;
    let Some(tag) = who.tag(&db).await? else { return Ok(None) };
    let found = db.query_opt(sql::FOLLOWERS, &[&bucket_of_tag(tag), &who.provider, &vec![signed(tag)]]).await?;
    found.as_ref().map(follower).transpose()
}

/// Keeps whether somebody follows, if they have a tag.
pub(crate) async fn subscribed(
    engine: &Engine,
    provider: ProviderNo,
    openid: String,
    subscribed: bool,
) -> StoreResult<()> {
    engine.run(&Subscribed { who: Who::new(provider, openid), subscribed }).await
}

/// Gives a tag to somebody who has none; nothing, where another was faster.
struct Give<'a> {
    who: &'a Who,
}

#[async_trait]
impl Operation for Give<'_> {
    type Answer = Option<Follower>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Option<Follower>> {
        let Who { bucket, provider, openid } = self.who;
        if tx.db.query_opt(sql::TAG_BEGIN, &[bucket, provider, openid]).await?.is_none() {
            return Ok(None);
        }
        let tag = numbering::next(tx.db, TAGS).await?;
        tx.db.execute(sql::TAG_WRITE, &[bucket, provider, openid, &signed(tag)]).await?;
        tx.db.execute(sql::FOLLOWER_ADD, &[&bucket_of_tag(tag), &signed(tag), provider, openid]).await?;
        Ok(Some(Follower { tag, openid: openid.clone(), subscribed: true }))
    }
}

struct Subscribed {
    who: Who,
    subscribed: bool,
}

#[async_trait]
impl Operation for Subscribed {
    type Answer = ();

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<()> {
        if let Some(tag) = self.who.tag(tx.db).await? {
            tx.db.execute(sql::SUBSCRIBED, &[&bucket_of_tag(tag), &signed(tag), &self.subscribed]).await?;
        }
        Ok(())
    }
}
