//! Accounts, who speaks by a token, and followers.

use std::collections::BTreeMap;

use hongyan_core::{
    account::{Account, AccountNo, Follower, Profile, Role},
    id::bucket_of_name,
    setup::ProviderNo,
    time::Timestamp,
};
use tokio_postgres::Row as SqlRow;

use crate::{
    engine::Engine,
    memory::BUCKETS,
    row::{number, signed},
    session::{Query, Session},
    sql::{account as sql, follower as followers_sql},
    trouble::{Outcome, Trouble},
};

/// An account as it is kept.
pub(crate) struct KeptAccount {
    pub account: Account,
    /// Tokens of other epochs do not count.
    pub epoch: i64,
}

/// Reads the columns of an account.
pub(crate) fn account_read(row: &SqlRow) -> Outcome<KeptAccount> {
    let role: &str = row.try_get(4)?;
    let limit = |column| {
        let limit: i64 = row.try_get(column)?;
        u32::try_from(limit).map_err(|_| Trouble::Damaged(format!("an account's limit of {limit}")))
    };
    let account = Account {
        no: AccountNo(number(row.try_get(0)?)?),
        name: row.try_get(1)?,
        created: Timestamp::from_ms(row.try_get(2)?),
        profile: Profile {
            password: row.try_get(3)?,
            role: Role::from_name(role).ok_or_else(|| Trouble::Damaged(format!("the role {role:?}")))?,
            per_hour: limit(5)?,
            per_day: limit(6)?,
            available: row.try_get(7)?,
            enabled: row.try_get(8)?,
            contacts: [row.try_get(9)?, row.try_get(10)?, row.try_get(11)?],
        },
    };
    Ok(KeptAccount { account, epoch: row.try_get(12)? })
}

/// The bucket of a token.
pub(crate) fn bucket_of_hash(hash: &[u8; 32]) -> i16 {
    i16::from(hash[0] % BUCKETS)
}

/// The bucket of who somebody is.
pub(crate) fn follower_bucket(provider: ProviderNo, openid: &str) -> i16 {
    i16::from(bucket_of_name(&format!("{}/{openid}", provider.0)))
}

/// The bucket of a tag.
pub(crate) fn bucket_of_tag(tag: u32) -> i16 {
    i16::try_from(tag % u32::from(BUCKETS)).unwrap_or(0)
}

/// The account with this name.
pub(crate) async fn account(engine: &Engine, name: &str) -> Outcome<Option<Account>> {
    let found = named(&*engine.pool.lend().await?, name).await?;
    Ok(found.map(|kept| kept.account))
}

async fn named(db: &Session, name: &str) -> Outcome<Option<KeptAccount>> {
    // No account has such a name: PostgreSQL's texts cannot hold NUL.
    if name.contains('\0') {
        return Ok(None);
    }
    let found = db.query_opt(sql::ACCOUNT, &[&i16::from(bucket_of_name(name)), &name]).await?;
    found.as_ref().map(account_read).transpose()
}

/// Accounts in the order of their names, those after `after`.
pub(crate) async fn accounts(engine: &Engine, after: Option<String>, limit: usize) -> Outcome<Vec<Account>> {
    let after = after.unwrap_or_default().replace('\0', "");
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let buckets: Vec<i16> = (0..BUCKETS).map(i16::from).collect();
    let queries =
        buckets.iter().map(|bucket| Query { sql: sql::ACCOUNTS, params: vec![bucket as _, &after as _, &most as _] });
    let found = engine.pool.lend().await?.query_all(&queries.collect::<Vec<_>>()).await?;
    let read = |row| account_read(row).map(|kept| kept.account);
    let mut accounts = found.iter().flatten().map(read).collect::<Outcome<Vec<_>>>()?;
    accounts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    accounts.truncate(limit);
    Ok(accounts)
}

/// The names of accounts.
pub(crate) async fn account_names(engine: &Engine, accounts: &[AccountNo]) -> Outcome<Vec<(AccountNo, String)>> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let mut numbers: Vec<i32> = accounts.iter().map(|no| signed(no.0)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    // A number does not say in which bucket its account is.
    let buckets: Vec<i16> = (0..BUCKETS).map(i16::from).collect();
    let queries = buckets.iter().map(|bucket| Query { sql: sql::NAMES, params: vec![bucket as _, &numbers as _] });
    let found = engine.pool.lend().await?.query_all(&queries.collect::<Vec<_>>()).await?;
    found.iter().flatten().map(|row| Ok((AccountNo(number(row.try_get(0)?)?), row.try_get(1)?))).collect()
}

/// The enabled account that speaks by a token.
pub(crate) async fn speaker(engine: &Engine, hash: [u8; 32], now: Timestamp) -> Outcome<Option<Account>> {
    let db = engine.pool.lend().await?;
    let found = db.query_opt(sql::TOKEN, &[&bucket_of_hash(&hash), &hash.as_slice()]).await?;
    let Some(row) = found else { return Ok(None) };
    let (name, no, epoch): (&str, i32, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if row.try_get::<_, i64>(3)? <= now.ms() {
        return Ok(None);
    }
    // Read after the token: what has ended it by now is seen.
    let kept = named(&db, name).await?;
    let counts =
        |kept: &KeptAccount| kept.account.profile.enabled && kept.epoch == epoch && signed(kept.account.no.0) == no;
    Ok(kept.filter(counts).map(|kept| kept.account))
}

/// Reads the columns of a follower.
pub(crate) fn follower(row: &SqlRow) -> Outcome<Follower> {
    Ok(Follower { tag: number(row.try_get(0)?)?, openid: row.try_get(1)?, subscribed: row.try_get(2)? })
}

/// Those at a provider who have these tags.
pub(crate) async fn followers(engine: &Engine, provider: ProviderNo, tags: Vec<u32>) -> Outcome<Vec<Follower>> {
    let mut buckets: BTreeMap<i16, Vec<i32>> = BTreeMap::new();
    for tag in tags {
        // No tag is as high as what cannot be kept.
        if let Ok(kept) = i32::try_from(tag) {
            buckets.entry(bucket_of_tag(tag)).or_default().push(kept);
        }
    }
    if buckets.is_empty() {
        return Ok(Vec::new());
    }
    for tags in buckets.values_mut() {
        tags.sort_unstable();
        tags.dedup();
    }
    let provider = signed(provider.0);
    let queries = buckets.iter().map(|(bucket, tags)| Query {
        sql: followers_sql::FOLLOWERS,
        params: vec![bucket as _, &provider as _, tags as _],
    });
    let found = engine.pool.lend().await?.query_all(&queries.collect::<Vec<_>>()).await?;
    found.iter().flatten().map(follower).collect()
}
