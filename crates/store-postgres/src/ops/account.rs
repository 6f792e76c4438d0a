//! Accounts: adding, changing and removing them, and keeping tokens. A change has the account's row locked; a token is of the epoch
//! in which the account was when it was kept, so that what ends tokens need not know of any.

use std::collections::BTreeSet;

use async_trait::async_trait;
use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, AccountNo, Profile},
    id::bucket_of_name,
    store::StoreResult,
    time::Timestamp,
};

use super::{
    numbering::{self, Kind},
    quota::name as plain,
};
use crate::{
    engine::{Engine, Operation, Transaction},
    reads::{KeptAccount, account_read, bucket_of_hash},
    row::signed,
    session::Query,
    sql::account,
    trouble::Outcome,
};

/// The numbers of accounts.
const NUMBERS: Kind = Kind { name: "account", first: 1 };

/// Adds an account.
pub(crate) async fn add(
    engine: &Engine,
    name: String,
    mut profile: Profile,
    now: Timestamp,
) -> StoreResult<AccountAdded> {
    profile.contacts = profile.contacts.map(plain);
    engine.run(&Add { name: plain(name), profile, now }).await
}

/// Changes an account.
pub(crate) async fn change(engine: &Engine, name: String, change: AccountChange) -> StoreResult<Option<Account>> {
    engine.run(&Change { name: plain(name), change }).await
}

/// Removes an account.
pub(crate) async fn remove(engine: &Engine, name: String) -> StoreResult<bool> {
    engine.run(&Remove { name: plain(name) }).await
}

/// Keeps a token of the account, if `password` is the hash of its password still.
pub(crate) async fn token_add(
    engine: &Engine,
    name: String,
    password: String,
    hash: [u8; 32],
    expires: Timestamp,
) -> StoreResult<bool> {
    engine.run(&TokenAdd { name: plain(name), password, hash, expires }).await
}

fn bucket(name: &str) -> i16 {
    i16::from(bucket_of_name(name))
}

/// Contacts as they are kept: bucket, kind and text, in the order in which everybody locks them.
fn contacts(contacts: &[String; 3]) -> BTreeSet<(i16, i16, &str)> {
    let kept = (0i16..).zip(contacts).filter(|(_, contact)| !contact.is_empty());
    kept.map(|(kind, contact)| (bucket(contact), kind, contact.as_str())).collect()
}

/// Nobody has these contacts any more.
async fn contacts_remove<'a>(tx: &Transaction<'_>, of: impl Iterator<Item = &'a (i16, i16, &'a str)>) -> Outcome<()> {
    let queries = of.map(|(bucket, kind, contact)| Query {
        sql: account::CONTACT_REMOVE,
        params: vec![bucket as _, kind as _, contact as _],
    });
    tx.db.query_all(&queries.collect::<Vec<_>>()).await?;
    Ok(())
}

struct Add {
    name: String,
    profile: Profile,
    now: Timestamp,
}

#[async_trait]
impl Operation for Add {
    type Answer = AccountAdded;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<AccountAdded> {
        if !self.take_name(tx).await? {
            return Ok(AccountAdded::NameTaken);
        }
        let contacts = contacts(&self.profile.contacts);
        for (n, (bucket, kind, contact)) in contacts.iter().enumerate() {
            let params = [bucket as _, kind as _, contact as _, &self.name as _];
            if tx.db.query_opt(account::CONTACT_ADD, &params).await?.is_none() {
                // Nothing is left of what was kept so far.
                contacts_remove(tx, contacts.iter().take(n)).await?;
                tx.db.query(account::ACCOUNT_REMOVE, &[&bucket_of(self), &self.name]).await?;
                return Ok(AccountAdded::ContactTaken);
            }
        }
        let no = AccountNo(numbering::next(tx.db, NUMBERS).await?);
        tx.db.execute(account::ACCOUNT_NUMBER, &[&bucket_of(self), &self.name, &signed(no.0)]).await?;
        let Self { name, profile, now } = self;
        Ok(AccountAdded::Yes(Account { no, name: name.clone(), created: *now, profile: profile.clone() }))
    }
}

fn bucket_of(add: &Add) -> i16 {
    bucket(&add.name)
}

impl Add {
    /// Takes the name, if nobody has it.
    async fn take_name(&self, tx: &Transaction<'_>) -> Outcome<bool> {
        let Profile { password, role, per_hour, per_day, available, enabled, contacts: [phone, email, wechat] } =
            &self.profile;
        let (bucket, created, role) = (bucket_of(self), self.now.ms(), role.as_str());
        let (per_hour, per_day) = (i64::from(*per_hour), i64::from(*per_day));
        let params = [
            &bucket as _,
            &self.name as _,
            &created as _,
            password as _,
            &role as _,
            &per_hour as _,
            &per_day as _,
            available as _,
            enabled as _,
            phone as _,
            email as _,
            wechat as _,
        ];
        Ok(tx.db.query_opt(account::ACCOUNT_ADD, &params).await?.is_some())
    }
}

struct Change {
    name: String,
    change: AccountChange,
}

#[async_trait]
impl Operation for Change {
    type Answer = Option<Account>;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Option<Account>> {
        let bucket = bucket(&self.name);
        let Some(row) = tx.db.query_opt(account::ACCOUNT_LOCK, &[&bucket, &self.name]).await? else { return Ok(None) };
        let KeptAccount { mut account, epoch } = account_read(&row)?;
        let epoch = epoch + i64::from(self.change.clone().apply(&mut account.profile));
        let Profile { password, role, per_hour, per_day, available, enabled, .. } = &account.profile;
        let (role, per_hour, per_day) = (role.as_str(), i64::from(*per_hour), i64::from(*per_day));
        let params = [
            &bucket as _,
            &self.name as _,
            password as _,
            &role as _,
            &per_hour as _,
            &per_day as _,
            available as _,
            enabled as _,
            &epoch as _,
        ];
        tx.db.execute(account::ACCOUNT_WRITE, &params).await?;
        Ok(Some(account))
    }
}

struct Remove {
    name: String,
}

#[async_trait]
impl Operation for Remove {
    type Answer = bool;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        let removed = tx.db.query_opt(account::ACCOUNT_REMOVE, &[&bucket(&self.name), &self.name]).await?;
        let Some(row) = removed else { return Ok(false) };
        let had: [String; 3] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?];
        contacts_remove(tx, contacts(&had).iter()).await?;
        Ok(true)
    }
}

struct TokenAdd {
    name: String,
    password: String,
    hash: [u8; 32],
    expires: Timestamp,
}

#[async_trait]
impl Operation for TokenAdd {
    type Answer = bool;

    async fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        let found = tx.db.query_opt(account::ACCOUNT, &[&bucket(&self.name), &self.name]).await?;
        let Some(KeptAccount { account, epoch }) = found.as_ref().map(account_read).transpose()? else {
            return Ok(false);
        };
        if !account.profile.enabled || account.profile.password != self.password {
            return Ok(false);
        }
        // Whatever ends the account's tokens from here on ends this one too: it is of the epoch that was just read.
        let (hash, no, expires) = (self.hash.as_slice(), signed(account.no.0), self.expires.ms());
        let params =
            [&bucket_of_hash(&self.hash) as _, &hash as _, &self.name as _, &no as _, &epoch as _, &expires as _];
        tx.db.execute(account::TOKEN_ADD, &params).await?;
        Ok(true)
    }
}
