//! `/v1/accounts`: the accounts of the token API, for the administrator. A password goes in and never comes out, but for one that
//! is made here: the reply that makes it shows it, and nothing else ever does.

mod import;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hongyan_core::{
    account::{Account, AccountChange, Role},
    time::Timestamp,
};
use hongyan_intake::{AccountError, LIMIT_MAX, NewAccount};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Api,
    body::{Body, whole},
    problem::Problem,
    wire,
};

const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/accounts", get(list).post(create))
        .route("/v1/accounts/{name}", get(read).patch(change).delete(remove))
        .route("/v1/accounts/{name}/password", post(set_password))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct AccountsView {
    accounts: Vec<AccountView>,
    /// The `after` of the next page; absent when there is nothing more.
    next: Option<String>,
}

/// An account as `/v1` shows it.
#[derive(Debug, Serialize)]
struct AccountView {
    name: String,
    role: &'static str,
    per_hour: u32,
    per_day: u32,
    available: bool,
    enabled: bool,
    phone: String,
    email: String,
    wechat: String,
    #[serde(serialize_with = "wire::moment")]
    created: Timestamp,
    /// The password that was made for it, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// What a new account is given; what is absent is as the token API's document has it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    name: String,
    password: Option<String>,
    role: Option<String>,
    per_hour: Option<u32>,
    per_day: Option<u32>,
    available: Option<bool>,
    phone: String,
    email: String,
    wechat: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Changed {
    role: Option<String>,
    per_hour: Option<u32>,
    per_day: Option<u32>,
    available: Option<bool>,
    enabled: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Password {
    password: Option<String>,
}

async fn list(
    State(api): State<Api>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<AccountsView>, Problem> {
    let Query(paging) = paging.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = paging.limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return Err(Problem::bad_request(format!("limit is between 1 and {PAGE_MAX}")));
    }
    let mut accounts = api.accounts.store().accounts(paging.after, limit + 1).await?;
    let is_more = accounts.len() > limit;
    accounts.truncate(limit);
    let next = accounts.last().filter(|_| is_more).map(|last| last.name.clone());
    Ok(Json(AccountsView { accounts: accounts.into_iter().map(|account| view(account, None)).collect(), next }))
}

/// One account from JSON, or many from CSV.
async fn create(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let body = whole(body)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/csv")) {
        return Ok(Json(import::import(&api.accounts, &body).await?).into_response());
    }
    let (account, password) = api.accounts.add(given(parsed(&body)?)?).await?;
    Ok((StatusCode::CREATED, Json(view(account, password))).into_response())
}

async fn read(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<AccountView>, Problem> {
    let account = api.accounts.store().account_find(name).await?.ok_or_else(unknown)?;
    Ok(Json(view(account, None)))
}

async fn change(State(api): State<Api>, Path(name): Path<String>, body: Body) -> Result<Json<AccountView>, Problem> {
    let Changed { role, per_hour, per_day, available, enabled } = parsed(&whole(body)?)?;
    if per_hour.max(per_day).is_some_and(|limit| limit > LIMIT_MAX) {
        return Err(Problem::bad_request(format!("per_hour and per_day are at most {LIMIT_MAX}")));
    }
    let role = role.as_deref().map(role_of).transpose()?;
    let change = AccountChange { password: None, role, per_hour, per_day, available, enabled };
    let account = api.accounts.store().account_change(name, change).await?.ok_or_else(unknown)?;
    Ok(Json(view(account, None)))
}

async fn remove(State(api): State<Api>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let is_gone = api.accounts.store().account_remove(name).await?;
    is_gone.then_some(StatusCode::NO_CONTENT).ok_or_else(unknown)
}

async fn set_password(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<AccountView>, Problem> {
    let body = whole(body)?;
    let Password { password } = if body.is_empty() { Password::default() } else { parsed(&body)? };
    let (account, made) = api.accounts.set_password(&name, password).await?.ok_or_else(unknown)?;
    Ok(Json(view(account, made)))
}

/// A body, whatever its content type says; the parser's own words could repeat a password.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { "has a field that is not known or of the wrong type" } else { "is not JSON" };
        Problem::bad_request(format!("the body {what} (line {line}, column {column})"))
    })
}

fn given(given: Given) -> Result<NewAccount, Problem> {
    let Given { name, password, role, per_hour, per_day, available, phone, email, wechat } = given;
    let default = NewAccount::named(name);
    Ok(NewAccount {
        password,
        role: role.as_deref().map_or(Ok(default.role), role_of)?,
        per_hour: per_hour.unwrap_or(default.per_hour),
        per_day: per_day.unwrap_or(default.per_day),
        available: available.unwrap_or(default.available),
        contacts: [phone, email, wechat],
        ..default
    })
}

fn role_of(name: &str) -> Result<Role, Problem> {
    Role::from_name(name).ok_or_else(|| Problem::bad_request("role is admin or user"))
}

fn unknown() -> Problem {
    Problem::not_found("there is no account of this name")
}

fn view(account: Account, password: Option<String>) -> AccountView {
    let Account { name, created, profile, .. } = account;
    let [phone, email, wechat] = profile.contacts;
    AccountView {
        name,
        role: profile.role.as_str(),
        per_hour: profile.per_hour,
        per_day: profile.per_day,
        available: profile.available,
        enabled: profile.enabled,
        phone,
        email,
        wechat,
        created,
        password,
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Wrong(_) => Self::bad_request(error.to_string()),
            AccountError::NameTaken | AccountError::ContactTaken => Self::conflict(error.to_string()),
            AccountError::Password(error) => {
                tracing::error!(%error, "a password could not be hashed");
                Self::unavailable("a password cannot be hashed for now; try again later")
            }
            AccountError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_intake::{PER_DAY, PER_HOUR};

    use super::*;

    #[test]
    fn what_is_absent_is_as_the_document_has_it() {
        let new = given(parsed(br#"{"name": "a", "role": "admin"}"#).expect("JSON")).expect("given");
        assert!(new == NewAccount { role: Role::Admin, ..NewAccount::named("a") });
        assert_eq!((new.per_hour, new.per_day, new.available), (PER_HOUR, PER_DAY, true));
    }

    #[test]
    fn a_wrong_body_is_refused_and_not_repeated() {
        for body in [
            &br#"{"name": "a", "password": 12345678}"#[..],
            br#"{"name": "a", "canary": "canary"}"#,
            br#"{"name": "a", "per_hour": -1}"#,
            br#"{"name": "a", "available": "canary"}"#,
            b"canary",
            b"",
        ] {
            let refused = parsed::<Given>(body).map(drop).expect_err("wrong");
            let said = format!("{refused:?}");
            assert!(!said.contains("canary") && !said.contains("12345678"), "{said}");
        }
        let role = given(Given { role: Some("root".into()), ..Given::default() });
        assert!(role.is_err());
    }
}
