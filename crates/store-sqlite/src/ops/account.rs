//! Accounts and their tokens: making, changing and removing them. Tokens end with the epoch of their account, all at once and
//! without being looked for.

use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, AccountNo, Profile},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{accounts, operation::Operation, ops::numbering::next_number, transaction::Transaction, trouble::Outcome};

/// Adds an account.
pub(crate) struct AccountAdd {
    pub name: String,
    pub profile: Profile,
    pub now: Timestamp,
}

impl Operation for AccountAdd {
    type Answer = AccountAdded;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<AccountAdded> {
        tx.memory.see(self.now);
        if accounts::find(tx.db, &self.name)?.is_some() {
            return Ok(AccountAdded::NameTaken);
        }
        if contact_taken(tx.db, &self.profile.contacts)? {
            return Ok(AccountAdded::ContactTaken);
        }
        let no = AccountNo(next_number(tx.db, "account", 1)?);
        let account = Account { no, name: self.name.clone(), created: self.now, profile: self.profile.clone() };
        account_insert(tx.db, &account)?;
        Ok(AccountAdded::Yes(account))
    }
}

fn contact_taken(db: &Connection, [phone, email, wechat]: &[String; 3]) -> Outcome<bool> {
    let taken = "SELECT 1 FROM account WHERE phone <> '' AND phone = ?1 UNION ALL \
                 SELECT 1 FROM account WHERE email <> '' AND email = ?2 UNION ALL \
                 SELECT 1 FROM account WHERE wechat <> '' AND wechat = ?3";
    Ok(db.prepare_cached(taken)?.exists([phone, email, wechat])?)
}

fn account_insert(db: &Connection, account: &Account) -> Outcome<()> {
    let Account { no, name, created, profile } = account;
    let Profile { password, role, per_hour, per_day, available, enabled, contacts: [phone, email, wechat] } = profile;
    db.prepare_cached("INSERT INTO account VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1)")?.execute(
        params![
            no.0,
            name,
            created.ms(),
            password,
            role.as_str(),
            per_hour,
            per_day,
            available,
            enabled,
            phone,
            email,
            wechat
        ],
    )?;
    Ok(())
}

/// Changes an account.
pub(crate) struct AccountAlter {
    pub name: String,
    pub change: AccountChange,
}

impl Operation for AccountAlter {
    type Answer = Option<Account>;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<Option<Account>> {
        let Some(mut account) = accounts::find(tx.db, &self.name)? else { return Ok(None) };
        let ends_tokens = self.change.clone().apply(&mut account.profile);
        let Profile { password, role, per_hour, per_day, available, enabled, contacts: _ } = &account.profile;
        tx.db
            .prepare_cached(
                "UPDATE account SET password = ?2, role = ?3, per_hour = ?4, per_day = ?5, available = ?6, enabled = ?7, \
                 epoch = epoch + ?8 WHERE no = ?1",
            )?
            .execute(params![
                account.no.0,
                password,
                role.as_str(),
                per_hour,
                per_day,
                available,
                enabled,
                ends_tokens
            ])?;
        Ok(Some(account))
    }
}

/// Removes an account. Its tokens are nobody's then, and its number is not given again.
pub(crate) struct AccountRemove {
    pub name: String,
}

impl Operation for AccountRemove {
    type Answer = bool;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        Ok(tx.db.prepare_cached("DELETE FROM account WHERE name = ?1")?.execute([&self.name])? > 0)
    }
}

/// Keeps a token of an account, if that has the password still that was checked.
pub(crate) struct AccountTokenAdd {
    pub name: String,
    pub password: String,
    pub hash: [u8; 32],
    pub expires: Timestamp,
}

impl Operation for AccountTokenAdd {
    type Answer = bool;

    fn run(&self, tx: &mut Transaction<'_>) -> Outcome<bool> {
        let known: Option<(u32, i64)> = tx
            .db
            .prepare_cached("SELECT no, epoch FROM account WHERE name = ?1 AND password = ?2 AND enabled = 1")?
            .query_row([&self.name, &self.password], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((account, epoch)) = known else { return Ok(false) };
        tx.db.prepare_cached("INSERT OR REPLACE INTO account_token VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            self.hash,
            account,
            epoch,
            self.expires.ms()
        ])?;
        Ok(true)
    }
}
