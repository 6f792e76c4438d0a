//! People on their way from another store, what they belong to, and their inboxes.

use hongyan_core::{
    directory::{Group, GroupNo},
    setup::User,
    transfer::{MovedBroadcast, MovedItem, Presence},
};

use super::{column, plain, put};
use crate::{
    reads::inbox_bucket,
    row::signed,
    session::{Param, Session},
    sql::{arrival as sql, directory, plan},
    trouble::Outcome,
};

pub(super) async fn people(db: &Session, rows: &[User]) -> Outcome<()> {
    let params: [Param<'_>; 7] = [
        &column(rows, |row| row.code.as_str()),
        &column(rows, |row| row.name.as_str()),
        &column(rows, |row| row.email.as_str()),
        &column(rows, |row| row.phone.as_str()),
        &column(rows, |row| row.wecom.as_str()),
        &column(rows, |row| row.openid.as_str()),
        &column(rows, |row| row.enabled),
    ];
    put(db, plan::PEOPLE_KEEP, &params).await
}

pub(super) async fn presences(db: &Session, rows: &[Presence]) -> Outcome<()> {
    let params: [Param<'_>; 3] = [
        &column(rows, |row| row.user.as_str()),
        &column(rows, |row| row.since.ms()),
        &column(rows, |row| row.until.map(|until| until.ms())),
    ];
    put(db, sql::PRESENCES, &params).await
}

pub(super) async fn groups(db: &Session, rows: &[Group]) -> Outcome<()> {
    let params: [Param<'_>; 5] = [
        &column(rows, |row| signed(row.no.0)),
        &column(rows, |row| row.kind.as_str()),
        &column(rows, |row| row.code.as_str()),
        &column(rows, |row| row.name.as_str()),
        &column(rows, |row| row.parent.map(|parent| signed(parent.0))),
    ];
    put(db, directory::GROUPS_KEEP, &params).await?;
    let last = rows.iter().map(|row| signed(row.no.0)).max().unwrap_or(0);
    put(db, directory::LAST_KEEP, &[&last]).await
}

pub(super) async fn members(db: &Session, rows: &[(String, GroupNo)]) -> Outcome<()> {
    let (groups, people) = (column(rows, |(_, group)| signed(group.0)), column(rows, |(user, _)| user.as_str()));
    put(db, directory::MEMBERS_ADD, &[&groups, &people]).await
}

pub(super) async fn items(db: &Session, rows: &[MovedItem]) -> Outcome<()> {
    let params: [Param<'_>; 13] = [
        &column(rows, |row| inbox_bucket(&row.item.user)),
        &column(rows, |row| row.item.user.as_str()),
        &column(rows, |row| row.item.id.get()),
        &column(rows, |row| row.item.message.get()),
        &column(rows, |row| signed(row.item.app.0)),
        &column(rows, |row| signed(row.item.channel.0)),
        &column(rows, |row| plain(&row.item.business)),
        &column(rows, |row| plain(&row.item.kind)),
        &column(rows, |row| row.item.at.ms()),
        &column(rows, |row| row.broadcast),
        &column(rows, |row| row.read),
        &column(rows, |row| row.archived),
        &column(rows, |row| row.deleted),
    ];
    put(db, sql::ITEMS, &params).await
}

pub(super) async fn broadcasts(db: &Session, rows: &[MovedBroadcast]) -> Outcome<()> {
    let params: [Param<'_>; 6] = [
        &column(rows, |row| row.message.get()),
        &column(rows, |row| signed(row.app.0)),
        &column(rows, |row| signed(row.channel.0)),
        &column(rows, |row| plain(&row.business)),
        &column(rows, |row| plain(&row.kind)),
        &column(rows, |row| row.at.ms()),
    ];
    put(db, sql::BROADCASTS, &params).await
}
