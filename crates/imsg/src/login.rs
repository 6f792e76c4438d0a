//! `POST /api/login`: a name and a password for a token (section 2 of the document). Unknown names and wrong passwords take
//! equal time (decision 10).

use hongyan_core::account::Account;
use hongyan_intake::{PASSWORD_BYTES_MAX, PasswordError, account_name, wire::Json};

use crate::{
    call::{self, Call},
    code::Code,
    deps::ImsgDeps,
    reply::{Answer, Reply},
    throttle::{Door, Throttle},
    token,
};

/// What the owner of a disabled account is told who knows its password.
const DISABLED: &str = "账号已停用";

/// Answers a login.
pub(crate) async fn login(deps: &ImsgDeps, throttle: &Throttle, call: &Call<'_>) -> Answer {
    let [username, password] = ["username", "password"].map(|name| call.get(name));
    if [username, password].contains(&&Json::Null) {
        return Err(Code::Missing.into());
    }
    let (username, password) = (call::text(username)?, call::text(password)?);
    let doors = Door::login(username, call.client());
    if throttle.is_shut(&doors, deps.intake.now()) {
        return Err(Reply::later());
    }
    let account = match account_name(username) {
        Some(name) => deps.book.store().account_find(name.to_owned()).await?,
        None => None,
    };
    let known = account.as_ref().map(|account| account.profile.password.as_str());
    let is_right = match password.len() <= PASSWORD_BYTES_MAX {
        true => deps.book.passwords().verify(password, known).await,
        false => deps.book.passwords().verify("", None).await,
    };
    match account {
        Some(account) if is_right.map_err(not_checked)? => open(deps, account).await,
        account => {
            let code = if account.is_some() { Code::WrongPassword } else { Code::UnknownUser };
            let is_shut = throttle.count(&deps.intake, doors).await?;
            Err(if is_shut { Reply::later() } else { code.into() })
        }
    }
}

/// Gives a token to whoever knew the password of `account`.
async fn open(deps: &ImsgDeps, account: Account) -> Answer {
    if !account.profile.enabled {
        return Err(Reply::details(Code::Details, DISABLED));
    }
    let token = token::fresh().ok_or(Code::Internal)?;
    let expires = deps.intake.now() + deps.intake.setup().get().settings.imsg_token_ttl;
    let (password, hash) = (account.profile.password, token::hash(&token));
    if deps.book.store().account_token_add(account.name, password, hash, expires).await? {
        Ok(Reply::new(Code::Done).with("token", token))
    } else {
        // The password was changed, or the account removed or disabled, while this one was being checked.
        Err(Code::WrongPassword.into())
    }
}

/// Why a password was not checked or hashed.
pub(crate) fn not_checked(error: PasswordError) -> Reply {
    match error {
        PasswordError::Busy => Reply::later(),
        PasswordError::Failed(_) => {
            tracing::warn!(%error, "a password could not be checked");
            Code::Internal.into()
        }
    }
}
