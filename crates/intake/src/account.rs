//! Making accounts of the token API and changing their passwords: what holds for that, whoever does it, a caller, an
//! administrator or a plan.

use std::sync::Arc;

use hongyan_core::{
    account::{Account, AccountAdded, AccountChange, Profile, Role},
    store::{Store, StoreError},
    text::has_control,
};

use crate::password::{PASSWORD_BYTES_MAX, PasswordError, Passwords, generate_password};

/// The longest name, in characters (`contracts/imsg.md` row 9).
const NAME_CHARS_MAX: usize = 64;

/// Recipients in any 60 minutes, where nobody says otherwise (the document's default).
pub const PER_HOUR: u32 = 5;

/// Recipients in a calendar day, where nobody says otherwise (the document's default).
pub const PER_DAY: u32 = 20;

/// The highest limit of either sort, which every store can keep.
pub const LIMIT_MAX: u32 = i32::MAX as u32;

/// The longest phone number, mail address or WeChat id of an account, in bytes.
const CONTACT_BYTES_MAX: usize = 254;

/// The name of an account as it is kept, without white space around it; `None` where this can be no name.
pub fn account_name(text: &str) -> Option<&str> {
    let name = text.trim();
    let is_one = !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !has_control(name);
    is_one.then_some(name)
}

/// An account to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its password; absent: one is made for it.
    pub password: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Recipients in any 60 minutes.
    pub per_hour: u32,
    /// Recipients in a calendar day.
    pub per_day: u32,
    /// Whether it may send.
    pub available: bool,
    /// Phone, mail address and WeChat id of its owner; empty: none.
    pub contacts: [String; 3],
}

impl NewAccount {
    /// An account with this name and what holds where nobody says otherwise.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: None,
            role: Role::User,
            per_hour: PER_HOUR,
            per_day: PER_DAY,
            available: true,
            contacts: Default::default(),
        }
    }

    /// What about it cannot be, in words that repeat nothing of it.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub fn check(&self) -> Result<(), &'static str> {
        if account_name(&self.name).is_none() {
            return Err("its name is 1 to 64 characters without control characters");
        }
        if self.password.as_deref().is_some_and(|password| !is_password(password)) {
            return Err(NO_PASSWORD);
        }
        if self.per_hour.max(self.per_day) > LIMIT_MAX {
            return Err("per_hour and per_day are at most 2147483647");
        }
        if self.contacts.iter().any(|contact| contact.len() > CONTACT_BYTES_MAX || has_control(contact)) {
            return Err("phone, email and wechat are at most 254 bytes without control characters");
        }
        Ok(())
    }
}

const NO_PASSWORD: &str = "its password is 1 to 1024 bytes";

fn is_password(text: &str) -> bool {
    !text.is_empty() && text.len() <= PASSWORD_BYTES_MAX
}

/// Why an account was not made or has no other password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// It cannot be so; in words.
    #[error("{0}")]
    Wrong(&'static str),
    /// Another has its name.
    #[error("there is an account of this name")]
    NameTaken,
    /// Another has its phone, mail address or WeChat id.
    #[error("another account has this phone, email or wechat")]
    ContactTaken,
    /// Its password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account, and the password that was made for it where none was given: whoever asked is the only one to see it.
pub type WithPassword = (Account, Option<String>);

/// Makes accounts and sets their passwords, for all of a node.
pub struct AccountBook {
    store: Arc<dyn Store>,
    passwords: Passwords,
}

impl AccountBook {
    /// The accounts of `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, passwords: Passwords::new() }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What hashes and checks their passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Makes an account.
    ///
    /// # Errors
    /// Why it was not made.
    pub async fn add(&self, new: NewAccount) -> Result<WithPassword, AccountError> {
        new.check().map_err(AccountError::Wrong)?;
        let NewAccount { name, password, role, per_hour, per_day, available, contacts } = new;
        let name = name.trim().to_owned();
        // Asked before, for a hash takes its time; whether the name is free is decided when it is added.
        if self.store.account_find(name.clone()).await?.is_some() {
            return Err(AccountError::NameTaken);
        }
        let (hash, made) = self.hash(password).await?;
        let contacts = contacts.map(|contact| contact.trim().to_owned());
        let profile = Profile { password: hash, role, per_hour, per_day, available, enabled: true, contacts };
        let now = self.store.clock().now();
        match self.store.account_add(name, profile, now).await? {
            AccountAdded::Yes(account) => Ok((account, made)),
            AccountAdded::NameTaken => Err(AccountError::NameTaken),
            AccountAdded::ContactTaken => Err(AccountError::ContactTaken),
        }
    }

    /// Gives an account another password, which ends its tokens; absent: one is made. `None` where there is no such account.
    ///
    /// # Errors
    /// Why it has none.
    pub async fn set_password(
        &self,
        name: &str,
        password: Option<String>,
    ) -> Result<Option<WithPassword>, AccountError> {
        if password.as_deref().is_some_and(|password| !is_password(password)) {
            return Err(AccountError::Wrong(NO_PASSWORD));
        }
        let (hash, made) = self.hash(password).await?;
        let change = AccountChange { password: Some(hash), ..AccountChange::default() };
        let changed = self.store.account_change(name.trim().to_owned(), change).await?;
        Ok(changed.map(|account| (account, made)))
    }

    /// The hash of a password, and the password itself where it was made here.
    async fn hash(&self, password: Option<String>) -> Result<(String, Option<String>), PasswordError> {
        match password {
            Some(password) => Ok((self.passwords.hash(&password).await?, None)),
            None => {
                let made = generate_password()?;
                Ok((self.passwords.hash(&made).await?, Some(made)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts() {
        let (long, longer) = ("存".repeat(64), "存".repeat(65));
        for (text, name) in [
            ("天存-system-1001", Some("天存-system-1001")),
            (" a:b ", Some("a:b")),
            (long.as_str(), Some(long.as_str())),
            (longer.as_str(), None),
            (" ", None),
            ("a\u{7}b", None),
        ] {
            assert_eq!(account_name(text), name, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        let good = NewAccount::named("a");
        assert_eq!(good.check(), Ok(()));
        for (wrong, says) in [
            (NewAccount::named("\n"), "name"),
            (NewAccount { password: Some(String::new()), ..good.clone() }, "password"),
            (NewAccount { password: Some("p".repeat(PASSWORD_BYTES_MAX + 1)), ..good.clone() }, "password"),
            (NewAccount { per_day: LIMIT_MAX + 1, ..good.clone() }, "per_day"),
            (NewAccount { contacts: ["1\r".into(), String::new(), String::new()], ..good }, "phone"),
        ] {
            assert!(wrong.check().is_err_and(|said| said.contains(says)), "{says}");
        }
    }
}
