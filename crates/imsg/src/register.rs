//! `POST /api/register`: a new account (rows 4, 5, 9; decision 5). The document names the call and no more.

use hongyan_core::account::Role;
use hongyan_intake::{AccountError, NewAccount, wire::Json};

use crate::{
    call::{self, Call},
    code::Code,
    deps::ImsgDeps,
    login,
    reply::{Answer, Reply},
    throttle::{Door, Throttle},
    token,
};

/// What a caller is told who is no administrator.
const NOT_ALLOWED: &str = "无权注册";

/// Answers a registration.
pub(crate) async fn register(deps: &ImsgDeps, throttle: &Throttle, call: &Call<'_>) -> Answer {
    let is_admin = is_admin(deps, call).await?;
    let new = new_account(call, is_admin)?;
    if !is_admin && throttle.count(&deps.intake, vec![Door::address("register", call.client())]).await? {
        return Err(Reply::later());
    }
    match deps.book.add(new).await {
        Ok(_) => Ok(Reply::new(Code::Done)),
        Err(AccountError::Wrong(why)) => Err(Reply::details(Code::Type, why)),
        Err(AccountError::NameTaken) => Err(Code::NameTaken.into()),
        Err(AccountError::ContactTaken) => Err(Code::ContactTaken.into()),
        Err(AccountError::Password(error)) => Err(login::not_checked(error)),
        Err(AccountError::Store(error)) => Err(error.into()),
    }
}

/// Whether an administrator calls. Anybody may where registration is open, but not with a token that counts for nothing.
async fn is_admin(deps: &ImsgDeps, call: &Call<'_>) -> Result<bool, Reply> {
    let is_open = deps.intake.setup().get().settings.imsg_open_register;
    if is_open && token::given(call).is_none() {
        return Ok(false);
    }
    match token::account(deps, call).await?.profile.role {
        Role::Admin => Ok(true),
        Role::User if is_open => Ok(false),
        Role::User => Err(Reply::details(Code::Details, NOT_ALLOWED)),
    }
}

fn new_account(call: &Call<'_>, is_admin: bool) -> Result<NewAccount, Reply> {
    let [username, password] = ["username", "password"].map(|name| call.get(name));
    if [username, password].contains(&&Json::Null) {
        return Err(Code::Missing.into());
    }
    let mut new = NewAccount::named(call::text(username)?);
    new.password = Some(call::text(password)?.to_owned());
    for (contact, name) in new.contacts.iter_mut().zip(["phone", "email", "wechat"]) {
        match call.get(name) {
            Json::Null => {}
            value => *contact = call::text(value)?.trim().to_owned(),
        }
    }
    if is_admin {
        new.per_day = call::limit(call.get("per_day"))?.unwrap_or(new.per_day);
        new.per_hour = call::limit(call.get("per_hour"))?.unwrap_or(new.per_hour);
        new.available = call::flag(call.get("available"))?.unwrap_or(new.available);
    }
    Ok(new)
}
