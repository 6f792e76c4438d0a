//! `POST /api/modify/<username>`: how often an account may send (section 4 of the document, decision 6, rows 27 to 31).

use hongyan_core::account::{AccountChange, Role};
use hongyan_intake::account_name;

use crate::{
    call::{self, Call},
    code::Code,
    deps::ImsgDeps,
    reply::{Answer, Reply},
    token,
};

/// What a caller is told who may not change that account.
const NOT_ALLOWED: &str = "无权修改";

/// Changes the limits of the account of this name; without one, of the caller's. All of it or nothing.
pub(crate) async fn modify(deps: &ImsgDeps, call: &Call<'_>, name: Option<&str>) -> Answer {
    let caller = token::account(deps, call).await?;
    let name = name.map_or(Some(caller.name.as_str()), account_name);
    let is_self = name == Some(&caller.name) && deps.intake.setup().get().settings.imsg_self_modify;
    if caller.profile.role != Role::Admin && !is_self {
        return Err(Reply::details(Code::Details, NOT_ALLOWED));
    }
    let available = call::flag(call.get("available"))?;
    let [per_day, per_hour] = ["per_day", "per_hour"].map(|name| call::limit(call.get(name)));
    if [&per_day, &per_hour].contains(&&Ok(None)) {
        return Err(Code::Missing.into());
    }
    let change = AccountChange { per_day: per_day?, per_hour: per_hour?, available, ..AccountChange::default() };
    let changed = match name {
        Some(name) => deps.book.store().account_change(name.to_owned(), change).await?,
        None => None,
    };
    changed.map(|_| Reply::new(Code::Done)).ok_or_else(|| Code::UnknownUser.into())
}
