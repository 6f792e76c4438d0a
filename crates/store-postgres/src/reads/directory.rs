//! People, and what they belong to.

use hongyan_core::{
    directory::{Group, GroupKind, GroupNo, Member, UserEntry},
    setup::User,
};
use tokio_postgres::Row as SqlRow;

use crate::{
    engine::Engine,
    row::{number, signed},
    sql::directory as sql,
    trouble::{Outcome, Trouble},
};

/// The number of the columns of a person; others may follow.
pub(crate) const PERSON_COLUMNS: usize = 7;

/// Reads a person.
pub(crate) fn user_read(row: &SqlRow) -> Outcome<User> {
    Ok(User {
        code: row.try_get(0)?,
        name: row.try_get(1)?,
        email: row.try_get(2)?,
        phone: row.try_get(3)?,
        wecom: row.try_get(4)?,
        openid: row.try_get(5)?,
        enabled: row.try_get(6)?,
    })
}

/// Reads a group.
pub(crate) fn group_read(row: &SqlRow) -> Outcome<Group> {
    Ok(Group {
        no: GroupNo(number(row.try_get(0)?)?),
        kind: kind_named(row.try_get(1)?)?,
        code: row.try_get(2)?,
        name: row.try_get(3)?,
        parent: row.try_get::<_, Option<i32>>(4)?.map(|parent| number(parent).map(GroupNo)).transpose()?,
    })
}

fn kind_named(name: &str) -> Outcome<GroupKind> {
    GroupKind::from_name(name).ok_or_else(|| Trouble::Damaged(format!("a group that is a {name:?}")))
}

/// Reads an array of groups.
pub(crate) fn groups_read(row: &SqlRow, column: usize) -> Outcome<Vec<GroupNo>> {
    let numbers: Vec<i32> = row.try_get(column)?;
    numbers.into_iter().map(|no| number(no).map(GroupNo)).collect()
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The people who are reached under these addresses.
pub(crate) async fn users_reached(engine: &Engine, emails: Vec<String>, phones: Vec<String>) -> Outcome<Vec<User>> {
    let emails: Vec<String> = emails.iter().map(|email| email.to_ascii_lowercase()).collect();
    let rows = engine.pool.lend().await?.query(sql::REACHED, &[&emails, &phones]).await?;
    rows.iter().map(user_read).collect()
}

/// People in the order of their codes.
pub(crate) async fn users_page(engine: &Engine, after: Option<String>, limit: usize) -> Outcome<Vec<User>> {
    let after = after.unwrap_or_default();
    let rows = engine.pool.lend().await?.query(sql::PEOPLE_PAGE, &[&after, &most(limit)]).await?;
    rows.iter().map(user_read).collect()
}

/// People with what they belong to.
pub(crate) async fn user_entries(engine: &Engine, mut codes: Vec<String>) -> Outcome<Vec<UserEntry>> {
    codes.sort_unstable();
    codes.dedup();
    let rows = engine.pool.lend().await?.query(sql::ENTRIES, &[&codes]).await?;
    rows.iter().map(entry_read).collect()
}

fn entry_read(row: &SqlRow) -> Outcome<UserEntry> {
    let mut entry = UserEntry { user: user_read(row)?, ..UserEntry::default() };
    let groups: Vec<&str> = row.try_get(PERSON_COLUMNS)?;
    for group in groups {
        let (kind, code) = group.split_once('/').unwrap_or((group, ""));
        let codes = match kind_named(kind)? {
            GroupKind::Department => &mut entry.departments,
            GroupKind::Post => &mut entry.posts,
            GroupKind::Role => &mut entry.roles,
        };
        codes.push(code.to_owned());
    }
    Ok(entry)
}

/// The groups of a kind with these codes.
pub(crate) async fn groups_find(engine: &Engine, kind: GroupKind, codes: Vec<String>) -> Outcome<Vec<Group>> {
    let rows = engine.pool.lend().await?.query(sql::GROUPS_NAMED, &[&kind.as_str(), &codes]).await?;
    rows.iter().map(group_read).collect()
}

/// The groups of a kind in the order of their codes.
pub(crate) async fn groups_page(
    engine: &Engine,
    kind: GroupKind,
    after: Option<String>,
    limit: usize,
) -> Outcome<Vec<Group>> {
    let after = after.unwrap_or_default();
    let rows = engine.pool.lend().await?.query(sql::GROUPS_PAGE, &[&kind.as_str(), &after, &most(limit)]).await?;
    rows.iter().map(group_read).collect()
}

/// These groups and all below them.
pub(crate) async fn groups_below(engine: &Engine, groups: Vec<GroupNo>) -> Outcome<Vec<GroupNo>> {
    let groups: Vec<i32> = groups.iter().map(|group| signed(group.0)).collect();
    let rows = engine.pool.lend().await?.query(sql::GROUPS_BELOW, &[&groups]).await?;
    rows.iter().map(|row| number(row.try_get(0)?).map(GroupNo)).collect()
}

/// The members of groups, group by group.
pub(crate) async fn members(
    engine: &Engine,
    mut groups: Vec<GroupNo>,
    after: Option<(GroupNo, String)>,
    limit: usize,
) -> Outcome<Vec<Member>> {
    groups.sort_unstable();
    groups.dedup();
    let (first, behind) = after.unwrap_or((GroupNo(0), String::new()));
    groups.retain(|group| *group >= first);
    let behinds: Vec<&str> = groups.iter().map(|group| if *group == first { behind.as_str() } else { "" }).collect();
    let groups: Vec<i32> = groups.iter().map(|group| signed(group.0)).collect();
    let rows = engine.pool.lend().await?.query(sql::MEMBERS, &[&groups, &behinds, &most(limit)]).await?;
    rows.iter().map(member_read).collect()
}

fn member_read(row: &SqlRow) -> Outcome<Member> {
    Ok(Member {
        group: GroupNo(number(row.try_get(PERSON_COLUMNS + 1)?)?),
        user: user_read(row)?,
        groups: groups_read(row, PERSON_COLUMNS)?,
    })
}
