//! People, what they belong to, and their inboxes.

use hongyan_core::{
    directory::{Group, GroupNo},
    inbox::NewItem,
    setup::{AppNo, ChannelNo, User},
    time::Timestamp,
    transfer::{MovedBroadcast, MovedItem, Presence},
};
use rusqlite::{Connection, Row as SqlRow, params};

use super::{has_people, page};
use crate::{
    directory::{group_row, user_columns, user_row},
    row::id_read,
    trouble::Outcome,
};

pub(super) fn people(db: &Connection, after: &str) -> Outcome<Vec<User>> {
    let sql = concat!("SELECT ", user_columns!(), " FROM person p WHERE code > ?1 ORDER BY code");
    page(db, sql, [after], |row| Ok((user_row(row)?, 0)))
}

/// In a store of an older version whoever is enabled was so ever since.
pub(in crate::source) const PRESENCES_BEFORE: &str =
    "SELECT code AS user, 0 AS since, NULL AS until FROM person WHERE enabled = 1";

pub(super) fn presences(db: &Connection, after: &(String, i64)) -> Outcome<Vec<Presence>> {
    let table = if has_people(db)? { "presence".to_owned() } else { format!("({PRESENCES_BEFORE})") };
    let sql = format!("SELECT user, since, until FROM {table} WHERE (user, since) > (?1, ?2) ORDER BY user, since");
    page(db, &sql, params![after.0, after.1], |row| {
        let until: Option<i64> = row.get(2)?;
        let since = Timestamp::from_ms(row.get(1)?);
        Ok((Presence { user: row.get(0)?, since, until: until.map(Timestamp::from_ms) }, 0))
    })
}

pub(super) fn groups(db: &Connection, after: u32) -> Outcome<Vec<Group>> {
    let sql = "SELECT no, kind, code, name, parent FROM directory_group WHERE no > ?1 ORDER BY no";
    page(db, sql, [after], |row| Ok((group_row(row)?, 0)))
}

pub(super) fn members(db: &Connection, after: &(u32, String)) -> Outcome<Vec<(String, GroupNo)>> {
    let sql = "SELECT user, party FROM directory_member WHERE (party, user) > (?1, ?2) ORDER BY party, user";
    page(db, sql, params![after.0, after.1], |row| Ok(((row.get(0)?, GroupNo(row.get(1)?)), 0)))
}

pub(super) fn items(db: &Connection, after: i64) -> Outcome<Vec<MovedItem>> {
    let sql = "SELECT id, user, message, app, channel, business, kind, at, 0, read, archived, deleted FROM inbox_item \
               WHERE id > ?1 ORDER BY id";
    page(db, sql, [after], |row| Ok((item_row(row)?, 0)))
}

/// What readers did with broadcasts.
pub(super) fn marks(db: &Connection, after: &(String, i64)) -> Outcome<Vec<MovedItem>> {
    let sql = "SELECT m.message, m.user, m.message, b.app, b.channel, b.business, b.kind, b.at, 1, m.read, m.archived, \
               m.deleted FROM broadcast_mark m JOIN broadcast b ON b.message = m.message \
               WHERE (m.user, m.message) > (?1, ?2) ORDER BY m.user, m.message";
    page(db, sql, params![after.0, after.1], |row| Ok((item_row(row)?, 0)))
}

fn item_row(row: &SqlRow<'_>) -> Outcome<MovedItem> {
    let item = NewItem {
        id: id_read(row, 0)?,
        user: row.get(1)?,
        message: id_read(row, 2)?,
        app: AppNo(row.get(3)?),
        channel: ChannelNo(row.get(4)?),
        business: row.get(5)?,
        kind: row.get(6)?,
        at: Timestamp::from_ms(row.get(7)?),
    };
    Ok(MovedItem { item, broadcast: row.get(8)?, read: row.get(9)?, archived: row.get(10)?, deleted: row.get(11)? })
}

pub(super) fn broadcasts(db: &Connection, after: i64) -> Outcome<Vec<MovedBroadcast>> {
    let sql = "SELECT message, app, channel, business, kind, at FROM broadcast WHERE message > ?1 ORDER BY message";
    page(db, sql, [after], |row| {
        let moved = MovedBroadcast {
            message: id_read(row, 0)?,
            app: AppNo(row.get(1)?),
            channel: ChannelNo(row.get(2)?),
            business: row.get(3)?,
            kind: row.get(4)?,
            at: Timestamp::from_ms(row.get(5)?),
        };
        Ok((moved, 0))
    })
}
