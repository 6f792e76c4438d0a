//! `/v1/directory/users`: people, and what they belong to.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use hongyan_core::{
    directory::{DirectoryChange, UserEntry},
    setup::User,
    store::{Store, StoreResult},
};
use serde::{Deserialize, Serialize};

use super::{Paging, change, check::user_faults, cut, page, refused};
use crate::{
    Api,
    body::{Body, parsed},
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(super) struct UsersView {
    users: Vec<UserView>,
    /// The `after` of the next page; absent when there is nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A person as `/v1` shows them.
#[derive(Debug, Serialize)]
pub(super) struct UserView {
    code: String,
    name: String,
    email: String,
    phone: String,
    wecom: String,
    openid: String,
    departments: Vec<String>,
    posts: Vec<String>,
    roles: Vec<String>,
    enabled: bool,
}

impl From<UserEntry> for UserView {
    fn from(entry: UserEntry) -> Self {
        let UserEntry { user, mut departments, mut posts, mut roles } = entry;
        // The store's own order tells nothing to anybody.
        [&mut departments, &mut posts, &mut roles].into_iter().for_each(|codes| codes.sort_unstable());
        let User { code, name, email, phone, wecom, openid, enabled } = user;
        Self { code, name, email, phone, wecom, openid, departments, posts, roles, enabled }
    }
}

/// What a person is from now on; what is absent is empty, and they are enabled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    name: String,
    email: String,
    phone: String,
    wecom: String,
    openid: String,
    departments: Vec<String>,
    posts: Vec<String>,
    roles: Vec<String>,
    enabled: bool,
}

impl Default for Given {
    fn default() -> Self {
        let (text, list) = (String::new, Vec::new);
        Self {
            name: text(),
            email: text(),
            phone: text(),
            wecom: text(),
            openid: text(),
            departments: list(),
            posts: list(),
            roles: list(),
            enabled: true,
        }
    }
}

impl Given {
    fn entry(self, code: String) -> UserEntry {
        let Self { name, email, phone, wecom, openid, departments, posts, roles, enabled } = self;
        let user = User { code, name, email, phone, wecom, openid, enabled };
        UserEntry { user, departments, posts, roles }
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<UsersView>, Problem> {
    let (after, limit) = page(paging)?;
    let mut users = api.store.users_page(after, limit + 1).await?;
    let next = cut(&mut users, limit, |user| &user.code);
    let codes = users.into_iter().map(|user| user.code).collect();
    let mut entries = api.store.user_entries(codes).await?;
    entries.sort_unstable_by(|one, other| one.user.code.cmp(&other.user.code));
    Ok(Json(UsersView { users: entries.into_iter().map(UserView::from).collect(), next }))
}

pub(super) async fn read(State(api): State<Api>, Path(code): Path<String>) -> Result<Json<UserView>, Problem> {
    let entry = find(&*api.store, code).await?;
    Ok(Json(entry.ok_or_else(|| Problem::not_found("there is no user of this code"))?.into()))
}

pub(super) async fn keep(
    State(api): State<Api>,
    Path(code): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let entry = parsed::<Given>(body)?.entry(code);
    refused(user_faults(&entry))?;
    let report = change(&*api.store, DirectoryChange { groups: Vec::new(), users: vec![entry.clone()] }).await?;
    let status = if report.users_new > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(find(&*api.store, entry.user.code.clone()).await?.unwrap_or(entry).into())))
}

async fn find(store: &dyn Store, code: String) -> StoreResult<Option<UserEntry>> {
    Ok(store.user_entries(vec![code]).await?.pop())
}
