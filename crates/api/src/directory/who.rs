//! `POST /v1/directory/who`: whom a message to these people, departments, posts and roles would reach, each once, as the directory
//! stands. Nothing is sent.

use std::collections::{BTreeSet, HashSet};

use axum::{Json, extract::State};
use hongyan_core::{
    audience::People,
    directory::{GroupKind, GroupNo, Member},
    limits,
    setup::User,
    store::{Store, StoreResult},
};
use serde::{Deserialize, Serialize};

use super::PAGE_MAX;
use crate::{
    Api,
    body::{Body, parsed},
    problem::Problem,
};

/// People who are shown of those who are counted.
const SHOWN: usize = 20;

/// Who is meant, in the words of the push platform's `receiverData`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    user: Vec<String>,
    dept: Vec<String>,
    post: Vec<String>,
    role: Vec<String>,
    everyone: bool,
    /// Whether those below the departments are left out.
    exact: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct WhoView {
    /// How many people.
    count: usize,
    /// Whether there are more than were counted.
    more: bool,
    /// The first of them.
    people: Vec<PersonView>,
    unknown: UnknownView,
}

#[derive(Debug, Serialize)]
struct PersonView {
    code: String,
    name: String,
    email: String,
    phone: String,
    wecom: String,
    openid: String,
}

/// Codes that the directory does not have.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct UnknownView {
    user: Vec<String>,
    dept: Vec<String>,
    post: Vec<String>,
    role: Vec<String>,
}

pub(super) async fn who(State(api): State<Api>, body: Body) -> Result<Json<WhoView>, Problem> {
    let Asked { user, dept, post, role, everyone, exact } = parsed(body)?;
    if user.len() + dept.len() + post.len() + role.len() > limits::PEOPLE_NAMED_MAX {
        return Err(Problem::bad_request(format!("more than {} codes are named", limits::PEOPLE_NAMED_MAX)));
    }
    let people = People { everyone, users: user, departments: dept, with_below: !exact, posts: post, roles: role };
    let reach = Reach::of(&*api.store, &people, SHOWN).await?;
    let person =
        |User { code, name, email, phone, wecom, openid, .. }| PersonView { code, name, email, phone, wecom, openid };
    let shown = reach.people.into_iter().map(person).collect();
    Ok(Json(WhoView { count: reach.count, more: reach.is_more, people: shown, unknown: reach.unknown }))
}

/// Who is reached. Disabled people are not.
#[derive(Default)]
pub(super) struct Reach {
    /// How many, [`limits::DIRECTORY_COUNT_MAX`] at most.
    pub count: usize,
    /// Whether there are more.
    pub is_more: bool,
    people: Vec<User>,
    unknown: UnknownView,
    shown_max: usize,
}

impl Reach {
    /// Goes over everybody who is meant, page by page, and keeps the first `shown`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of(store: &dyn Store, people: &People, shown: usize) -> StoreResult<Self> {
        let mut reach = Self { shown_max: shown, ..Self::default() };
        if people.everyone {
            reach.everyone(store).await?;
            return Ok(reach);
        }
        let named = reach.named(store, &people.users).await?;
        let groups = reach.groups(store, people).await?;
        reach.members(store, groups, &named).await?;
        Ok(reach)
    }

    fn add(&mut self, user: User) {
        if !user.enabled {
            return;
        }
        if self.count == limits::DIRECTORY_COUNT_MAX {
            self.is_more = true;
            return;
        }
        self.count += 1;
        if self.people.len() < self.shown_max {
            self.people.push(user);
        }
    }

    async fn everyone(&mut self, store: &dyn Store) -> StoreResult<()> {
        let mut after = None;
        while !self.is_more {
            let page = store.users_page(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.code.clone());
            page.into_iter().for_each(|user| self.add(user));
        }
        Ok(())
    }

    /// Those who are named by themselves; answers their codes.
    async fn named<'p>(&mut self, store: &dyn Store, codes: &'p [String]) -> StoreResult<HashSet<&'p str>> {
        let mut named = HashSet::new();
        let once: Vec<&String> = codes.iter().filter(|code| named.insert(code.as_str())).collect();
        for codes in once.chunks(PAGE_MAX) {
            let found = store.users_find(codes.iter().copied().cloned().collect()).await?;
            let known: HashSet<String> = found.iter().map(|user| user.code.clone()).collect();
            self.unknown.user.extend(codes.iter().filter(|code| !known.contains(**code)).copied().cloned());
            found.into_iter().for_each(|user| self.add(user));
        }
        Ok(named)
    }

    /// The groups that are meant.
    async fn groups(&mut self, store: &dyn Store, people: &People) -> StoreResult<BTreeSet<GroupNo>> {
        let mut groups = BTreeSet::new();
        for kind in GroupKind::ALL {
            let (codes, unknown) = match kind {
                GroupKind::Department => (&people.departments, &mut self.unknown.dept),
                GroupKind::Post => (&people.posts, &mut self.unknown.post),
                GroupKind::Role => (&people.roles, &mut self.unknown.role),
            };
            let mut found = Vec::new();
            for codes in codes.chunks(PAGE_MAX) {
                let known = store.groups_find(kind, codes.to_vec()).await?;
                let is_known: HashSet<&str> = known.iter().map(|group| group.code.as_str()).collect();
                unknown.extend(codes.iter().filter(|code| !is_known.contains(code.as_str())).cloned());
                found.extend(known.iter().map(|group| group.no));
            }
            if kind == GroupKind::Department && people.with_below && !found.is_empty() {
                found = store.groups_below(found).await?;
            }
            groups.extend(found);
        }
        Ok(groups)
    }

    /// The members of groups, each in the first of them alone, but for those who are `named` by themselves.
    async fn members(
        &mut self,
        store: &dyn Store,
        groups: BTreeSet<GroupNo>,
        named: &HashSet<&str>,
    ) -> StoreResult<()> {
        let list: Vec<GroupNo> = groups.iter().copied().collect();
        let mut after = None;
        while !self.is_more && !list.is_empty() {
            let page = store.members(list.clone(), after, PAGE_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.group, last.user.code.clone()));
            for member in page {
                if !named.contains(member.user.code.as_str()) && is_first(&member, &groups) {
                    self.add(member.user);
                }
            }
        }
        Ok(())
    }
}

/// Whether a member was found in the first of those `groups` to which they belong.
fn is_first(member: &Member, groups: &BTreeSet<GroupNo>) -> bool {
    member.groups.iter().filter(|group| groups.contains(group)).all(|group| member.group <= *group)
}
