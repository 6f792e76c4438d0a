//! Accounts, the tokens by which they speak, and followers, as look-ups read them.

use hongyan_core::{
    account::{Account, AccountNo, Follower, Profile, Role},
    setup::ProviderNo,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use crate::trouble::{Outcome, Trouble};

/// The columns that [`account_row`] reads, in its order.
macro_rules! account_columns {
    () => {
        "a.no, a.name, a.created, a.password, a.role, a.per_hour, a.per_day, a.available, a.enabled, a.phone, a.email, \
         a.wechat"
    };
}
pub(crate) use account_columns;

/// Reads the columns of [`account_columns`].
pub(crate) fn account_row(row: &SqlRow<'_>) -> Outcome<Account> {
    let role: String = row.get(4)?;
    Ok(Account {
        no: AccountNo(row.get(0)?),
        name: row.get(1)?,
        created: Timestamp::from_ms(row.get(2)?),
        profile: Profile {
            password: row.get(3)?,
            role: Role::from_name(&role).ok_or_else(|| Trouble::Damaged(format!("the role {role:?}")))?,
            per_hour: row.get(5)?,
            per_day: row.get(6)?,
            available: row.get(7)?,
            enabled: row.get(8)?,
            contacts: [row.get(9)?, row.get(10)?, row.get(11)?],
        },
    })
}

/// The account with this name.
pub(crate) fn find(db: &Connection, name: &str) -> Outcome<Option<Account>> {
    let mut find = db.prepare_cached(concat!("SELECT ", account_columns!(), " FROM account a WHERE name = ?1"))?;
    find.query_row([name], |row| Ok(account_row(row))).optional()?.transpose()
}

/// Accounts in the order of their names, which is that of their bytes.
pub(crate) fn list(db: &Connection, after: Option<&str>, limit: usize) -> Outcome<Vec<Account>> {
    let mut find = db.prepare_cached(concat!(
        "SELECT ",
        account_columns!(),
        " FROM account a WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2"
    ))?;
    let mut rows = find.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(account_row(row)?);
    }
    Ok(found)
}

/// The names of these accounts.
pub(crate) fn names(db: &Connection, accounts: &[AccountNo]) -> Outcome<Vec<(AccountNo, String)>> {
    let mut find = db.prepare_cached("SELECT name FROM account WHERE no = ?1")?;
    let mut found = Vec::with_capacity(accounts.len());
    for account in accounts {
        found.extend(find.query_row([account.0], |row| row.get(0)).optional()?.map(|name| (*account, name)));
    }
    Ok(found)
}

/// The account that speaks by a token.
pub(crate) fn by_token(db: &Connection, hash: &[u8; 32], now: Timestamp) -> Outcome<Option<Account>> {
    let mut find = db.prepare_cached(concat!(
        "SELECT ",
        account_columns!(),
        " FROM account_token t JOIN account a ON a.no = t.account AND a.epoch = t.epoch \
         WHERE t.hash = ?1 AND t.expires > ?2 AND a.enabled = 1"
    ))?;
    find.query_row(params![hash, now.ms()], |row| Ok(account_row(row))).optional()?.transpose()
}

/// Reads a follower whose columns come in this order: tag, openid, subscribed.
pub(crate) fn follower_row(row: &SqlRow<'_>) -> rusqlite::Result<Follower> {
    Ok(Follower { tag: row.get(0)?, openid: row.get(1)?, subscribed: row.get(2)? })
}

/// The followers of a provider with these tags.
pub(crate) fn followers(db: &Connection, provider: ProviderNo, tags: &[u32]) -> Outcome<Vec<Follower>> {
    let mut find =
        db.prepare_cached("SELECT tag, openid, subscribed FROM follower WHERE tag = ?1 AND provider = ?2")?;
    let mut found = Vec::with_capacity(tags.len());
    for tag in tags {
        found.extend(find.query_row([*tag, provider.0], follower_row).optional()?);
    }
    Ok(found)
}
