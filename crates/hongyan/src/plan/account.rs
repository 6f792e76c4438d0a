//! `[[account]]`: accounts of the token API.

use anyhow::{Context, anyhow};
use hongyan_core::account::{AccountChange, Role};
use hongyan_intake::NewAccount;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[[account]]`. A key that is left out stays as it is; of a new account it is as the document of the API has it.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountPlan {
    /// Its name, by which it logs in.
    pub name: String,
    /// Its password, when it is made; the password of an account that exists is never changed by a plan. Absent: one is made and
    /// shown once on standard error.
    pub password: Option<String>,
    /// `admin` or `user`. Default `user`.
    pub role: Option<String>,
    /// Recipients in any 60 minutes. Default 5.
    pub per_hour: Option<u32>,
    /// Recipients in a calendar day of `time_zone`. Default 20.
    pub per_day: Option<u32>,
    /// Whether it may send. Default true.
    pub available: Option<bool>,
}

/// Without the password.
impl std::fmt::Debug for AccountPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountPlan").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AccountPlan {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.new_account()?.check().map_err(|wrong| anyhow!(wrong))
    }

    /// The account, where it is to be made.
    ///
    /// # Errors
    /// When there is no such role.
    pub fn new_account(&self) -> anyhow::Result<NewAccount> {
        let change = self.change()?;
        let default = NewAccount::named(self.name.as_str());
        Ok(NewAccount {
            password: self.password.clone(),
            role: change.role.unwrap_or(default.role),
            per_hour: change.per_hour.unwrap_or(default.per_hour),
            per_day: change.per_day.unwrap_or(default.per_day),
            available: change.available.unwrap_or(default.available),
            ..default
        })
    }

    /// What changes, where the account exists.
    ///
    /// # Errors
    /// When there is no such role.
    pub fn change(&self) -> anyhow::Result<AccountChange> {
        let role = self.role.as_deref().map(|role| Role::from_name(role).context("its role is admin or user"));
        let Self { per_hour, per_day, available, .. } = *self;
        Ok(AccountChange { role: role.transpose()?, per_hour, per_day, available, ..AccountChange::default() })
    }
}
