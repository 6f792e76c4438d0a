//! Accounts of the token API (iMSG): who they are, what they may send, and the tokens by which they speak. Passwords and tokens
//! are kept as hashes; what makes and checks those belongs to the dialect.

use crate::{id::bucket_of_name, setup::AppNo, time::Timestamp};

/// An account's number. It never changes and is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNo(pub u32);

/// What tells the numbers of accounts from those of apps, with which their messages take turns.
const ACCOUNTS: u32 = 1 << 30;

impl AccountNo {
    /// The highest number.
    pub const MAX: Self = Self(ACCOUNTS - 1);

    /// The number under which its messages are stored and take turns with those of apps.
    pub const fn as_app(self) -> AppNo {
        AppNo(ACCOUNTS | self.0)
    }

    /// The account whose messages have this number; `None` where it is an app's.
    pub const fn of_app(app: AppNo) -> Option<Self> {
        if app.0 >= ACCOUNTS { Some(Self(app.0 & (ACCOUNTS - 1))) } else { None }
    }

    /// The key of its windows ([`crate::quota`]). The number comes first, for what comes last in a name hardly moves its bucket.
    pub fn windows(self) -> String {
        format!("{}/account", self.0)
    }

    /// The bucket of its windows, in which all its messages lie, so that what one request does is one commit in one place.
    pub fn bucket(self) -> u8 {
        bucket_of_name(&self.windows())
    }
}

/// What an account may do beside sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Anything, for anyone.
    Admin,
    /// Send, and see its own history.
    #[default]
    User,
}

impl Role {
    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admin, Self::User].into_iter().find(|role| role.as_str() == name)
    }
}

/// What is kept of an account beside its name and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The hash of its password, in the PHC string format (Argon2id).
    pub password: String,
    /// What it may do.
    pub role: Role,
    /// Recipients in any 60 minutes.
    pub per_hour: u32,
    /// Recipients in a calendar day.
    pub per_day: u32,
    /// Whether it may send.
    pub available: bool,
    /// Whether it may log in and its tokens count.
    pub enabled: bool,
    /// Phone, mail address and WeChat id of its owner, each of one account at most; empty: none.
    pub contacts: [String; 3],
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub no: AccountNo,
    /// Its name, as it was given, without white space around it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The rest.
    pub profile: Profile,
}

/// What changes of an account; what is absent stays. A new password, and being disabled, ends all its tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// The hash of a new password.
    pub password: Option<String>,
    /// Another role.
    pub role: Option<Role>,
    /// Recipients in any 60 minutes.
    pub per_hour: Option<u32>,
    /// Recipients in a calendar day.
    pub per_day: Option<u32>,
    /// Whether it may send.
    pub available: Option<bool>,
    /// Whether it may log in.
    pub enabled: Option<bool>,
}

impl AccountChange {
    /// Makes the change; answers whether it ends the account's tokens.
    pub fn apply(self, profile: &mut Profile) -> bool {
        let is_end = self.password.is_some() || (self.enabled == Some(false) && profile.enabled);
        let Self { password, role, per_hour, per_day, available, enabled } = self;
        profile.password = password.unwrap_or_else(|| std::mem::take(&mut profile.password));
        profile.role = role.unwrap_or(profile.role);
        profile.per_hour = per_hour.unwrap_or(profile.per_hour);
        profile.per_day = per_day.unwrap_or(profile.per_day);
        profile.available = available.unwrap_or(profile.available);
        profile.enabled = enabled.unwrap_or(profile.enabled);
        is_end
    }
}

/// What became of a new account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountAdded {
    /// It is there.
    Yes(Account),
    /// Another has its name.
    NameTaken,
    /// Another has one of its contacts.
    ContactTaken,
}

/// Someone who follows an official account, and the tag by which callers name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The number of the tag `iMSG-10001`, given in the order in which followers first ask.
    pub tag: u32,
    /// Who they are for the official account.
    pub openid: String,
    /// Whether they follow it still.
    pub subscribed: bool,
}

/// The number of the first tag (`contracts/imsg.md` 2.5).
pub const FIRST_TAG: u32 = 10_001;
/// What stands before the number in a tag.
pub const TAG_PREFIX: &str = "iMSG-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_accounts_and_apps_are_told_apart() {
        for no in [AccountNo(0), AccountNo(7), AccountNo::MAX] {
            assert_eq!(AccountNo::of_app(no.as_app()), Some(no));
            assert!(i32::try_from(no.as_app().0).is_ok(), "a store can keep it as 32 bits with a sign");
        }
        assert_eq!(AccountNo::of_app(AppNo(ACCOUNTS - 1)), None);
    }

    #[test]
    fn accounts_are_spread_over_the_buckets() {
        let mut accounts = [0; 64];
        (1..=1_000).for_each(|no| accounts[usize::from(AccountNo(no).bucket())] += 1);
        assert!(accounts.iter().all(|count| (1..50).contains(count)), "{accounts:?}");
    }

    #[test]
    fn a_new_password_and_being_disabled_end_the_tokens() {
        let profile = Profile {
            password: "old".into(),
            role: Role::User,
            per_hour: 5,
            per_day: 20,
            available: true,
            enabled: true,
            contacts: Default::default(),
        };
        let apply = |change: AccountChange| {
            let mut changed = profile.clone();
            (change.apply(&mut changed), changed)
        };
        let none = AccountChange::default();
        assert_eq!(apply(none.clone()), (false, profile.clone()));
        let (ends, changed) = apply(AccountChange { password: Some("new".into()), ..none.clone() });
        assert!(ends && changed.password == "new");
        assert!(apply(AccountChange { enabled: Some(false), ..none.clone() }).0);
        assert!(!apply(AccountChange { enabled: Some(true), per_hour: Some(0), ..none }).0);
    }
}
