//! `/v1/directory/departments`, `/posts` and `/roles`.

use std::collections::{HashMap, HashSet};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use hongyan_core::{
    audience::People,
    directory::{DirectoryChange, Group, GroupEntry, GroupKind, GroupNo},
    store::{Store, StoreResult},
};
use serde::{Deserialize, Serialize};

use super::{PAGE_MAX, Paging, change, check::group_faults, cut, page, refused, who::Reach};
use crate::{
    Api,
    body::{Body, parsed},
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(super) struct GroupsView {
    groups: Vec<GroupView>,
    /// The `after` of the next page; absent when there is nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A group as `/v1` shows it.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    code: String,
    name: String,
    /// The code of the department above it; absent for posts and roles, and at the top.
    #[serde(skip_serializing_if = "String::is_empty")]
    parent: String,
}

/// A group by itself.
#[derive(Debug, Serialize)]
pub(super) struct WholeView {
    #[serde(flatten)]
    group: GroupView,
    /// How many departments are below it, at whatever depth.
    below: usize,
    /// How many enabled people belong to it or to one below it.
    people: usize,
    /// Whether there are more than that.
    more: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    name: String,
    parent: String,
}

pub(super) async fn list(
    State(api): State<Api>,
    Path(kind): Path<String>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<GroupsView>, Problem> {
    let (kind, (after, limit)) = (kind_of(&kind)?, page(paging)?);
    let mut groups = api.store.groups_page(kind, after, limit + 1).await?;
    let next = cut(&mut groups, limit, |group| &group.code);
    Ok(Json(GroupsView { groups: views(&*api.store, groups).await?, next }))
}

pub(super) async fn read(
    State(api): State<Api>,
    Path((kind, code)): Path<(String, String)>,
) -> Result<Json<WholeView>, Problem> {
    let kind = kind_of(&kind)?;
    let Some(group) = find(&*api.store, kind, code.clone()).await? else {
        return Err(Problem::not_found(format!("there is no {} of this code", kind.as_str())));
    };
    let below = match kind {
        GroupKind::Department => api.store.groups_below(vec![group.no]).await?.len().saturating_sub(1),
        GroupKind::Post | GroupKind::Role => 0,
    };
    let mut people = People { with_below: true, ..People::default() };
    match kind {
        GroupKind::Department => people.departments.push(code),
        GroupKind::Post => people.posts.push(code),
        GroupKind::Role => people.roles.push(code),
    }
    let reach = Reach::of(&*api.store, &people, 0).await?;
    let group = views(&*api.store, vec![group]).await?.pop();
    let group = group.ok_or_else(|| Problem::not_found("it is gone"))?;
    Ok(Json(WholeView { group, below, people: reach.count, more: reach.is_more }))
}

pub(super) async fn keep(
    State(api): State<Api>,
    Path((kind, code)): Path<(String, String)>,
    body: Body,
) -> Result<(StatusCode, Json<GroupView>), Problem> {
    let kind = kind_of(&kind)?;
    let Given { name, parent } = parsed(body)?;
    if kind != GroupKind::Department && !parent.is_empty() {
        return Err(Problem::bad_request(format!("a {} has no parent", kind.as_str())));
    }
    let name = if name.is_empty() { code.clone() } else { name };
    let entry = GroupEntry { kind, code, name, parent };
    refused(group_faults(&entry))?;
    let GroupEntry { code, name, parent, .. } = entry.clone();
    let report = change(&*api.store, DirectoryChange { groups: vec![entry], users: Vec::new() }).await?;
    let status = if report.groups_new > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(GroupView { code, name, parent })))
}

fn kind_of(path: &str) -> Result<GroupKind, Problem> {
    let kind = path.strip_suffix('s').and_then(GroupKind::from_name);
    kind.ok_or_else(|| Problem::not_found("there are users, departments, posts and roles"))
}

async fn find(store: &dyn Store, kind: GroupKind, code: String) -> StoreResult<Option<Group>> {
    Ok(store.groups_find(kind, vec![code]).await?.pop())
}

/// Groups with the codes of those above them.
async fn views(store: &dyn Store, groups: Vec<Group>) -> StoreResult<Vec<GroupView>> {
    let parents = codes(store, &groups).await?;
    let view = |group: Group| {
        let parent = group.parent.and_then(|no| parents.get(&no).cloned()).unwrap_or_default();
        GroupView { code: group.code, name: group.name, parent }
    };
    Ok(groups.into_iter().map(view).collect())
}

/// The codes of the departments above these: as far as they are not among them, they are looked for from the first department on.
async fn codes(store: &dyn Store, groups: &[Group]) -> StoreResult<HashMap<GroupNo, String>> {
    let mut wanted: HashSet<GroupNo> = groups.iter().filter_map(|group| group.parent).collect();
    let mut codes = HashMap::new();
    let mut note = |groups: &[Group], wanted: &mut HashSet<GroupNo>| {
        for group in groups {
            if wanted.remove(&group.no) {
                codes.insert(group.no, group.code.clone());
            }
        }
    };
    note(groups, &mut wanted);
    let mut after = None;
    while !wanted.is_empty() {
        let page = store.groups_page(GroupKind::Department, after, PAGE_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.code.clone());
        note(&page, &mut wanted);
    }
    Ok(codes)
}
