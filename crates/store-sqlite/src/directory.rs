//! People and what they belong to, as look-ups read them. Every page begins where the one before it ended, by the key of its
//! table, and members are read group by group, so that no department is read or sorted as a whole.

use hongyan_core::{
    directory::{Group, GroupKind, GroupNo, Member, UserEntry},
    setup::User,
};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use crate::{
    reads::sql_limit,
    trouble::{Outcome, Trouble},
};

/// The columns that [`user_row`] reads, in its order.
macro_rules! user_columns {
    () => {
        "p.code, p.name, p.email, p.phone, p.wecom, p.openid, p.enabled"
    };
}
pub(crate) use user_columns;

/// Reads the columns of [`user_columns`].
pub(crate) fn user_row(row: &SqlRow<'_>) -> rusqlite::Result<User> {
    Ok(User {
        code: row.get(0)?,
        name: row.get(1)?,
        email: row.get(2)?,
        phone: row.get(3)?,
        wecom: row.get(4)?,
        openid: row.get(5)?,
        enabled: row.get(6)?,
    })
}

/// Reads a group whose columns come in this order: number, kind, code, name, parent.
pub(crate) fn group_row(row: &SqlRow<'_>) -> Outcome<Group> {
    let parent: Option<u32> = row.get(4)?;
    Ok(Group {
        no: GroupNo(row.get(0)?),
        kind: kind_read(row, 1)?,
        code: row.get(2)?,
        name: row.get(3)?,
        parent: parent.map(GroupNo),
    })
}

fn kind_read(row: &SqlRow<'_>, column: usize) -> Outcome<GroupKind> {
    let kind = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    GroupKind::from_name(kind).ok_or_else(|| Trouble::Damaged(format!("a group of the kind {kind:?}")))
}

/// The person with this code.
pub(crate) fn user(db: &Connection, code: &str) -> Outcome<Option<User>> {
    let mut find = db.prepare_cached(concat!("SELECT ", user_columns!(), " FROM person p WHERE code = ?1"))?;
    Ok(find.query_row([code], user_row).optional()?)
}

/// The people with these codes.
pub(crate) fn users(db: &Connection, codes: &[String]) -> Outcome<Vec<User>> {
    let mut found = Vec::with_capacity(codes.len());
    for code in codes {
        found.extend(user(db, code)?);
    }
    Ok(found)
}

/// What [`users_reached`] asks of a mail address, and of a phone number.
pub(crate) const REACHED: [&str; 2] = [
    concat!(
        "SELECT ",
        user_columns!(),
        " FROM person p INDEXED BY person_email WHERE email <> '' AND lower(email) = lower(?1)"
    ),
    concat!("SELECT ", user_columns!(), " FROM person p INDEXED BY person_phone WHERE phone <> '' AND phone = ?1"),
];

/// The people who are reached under one of these mail addresses or phone numbers, each once, in the order of their codes.
pub(crate) fn users_reached(db: &Connection, emails: &[String], phones: &[String]) -> Outcome<Vec<User>> {
    let mut found = Vec::new();
    for (sql, addresses) in REACHED.into_iter().zip([emails, phones]) {
        let mut find = db.prepare_cached(sql)?;
        for address in addresses {
            for user in find.query_map([address], user_row)? {
                found.push(user?);
            }
        }
    }
    found.sort_by(|one: &User, other| one.code.cmp(&other.code));
    found.dedup_by(|one, other| one.code == other.code);
    Ok(found)
}

/// What [`users_page`] asks.
pub(crate) const USERS_PAGE: &str =
    concat!("SELECT ", user_columns!(), " FROM person p WHERE code > ?1 ORDER BY code LIMIT ?2");

/// People in the order of their codes, which is that of their bytes.
pub(crate) fn users_page(db: &Connection, after: Option<&str>, limit: usize) -> Outcome<Vec<User>> {
    // No code is empty.
    let mut find = db.prepare_cached(USERS_PAGE)?;
    let users = find.query_map(params![after.unwrap_or(""), sql_limit(limit)], user_row)?;
    Ok(users.collect::<Result<_, _>>()?)
}

/// People as they are declared, with what they belong to, as of one moment.
pub(crate) fn user_entries(db: &Connection, codes: &[String]) -> Outcome<Vec<UserEntry>> {
    let snapshot = db.unchecked_transaction()?;
    let mut find = snapshot.prepare_cached(
        "SELECT g.kind, g.code FROM directory_member m INDEXED BY directory_member_user \
         JOIN directory_group g ON g.no = m.party WHERE m.user = ?1 ORDER BY m.party",
    )?;
    let mut found = Vec::with_capacity(codes.len());
    for code in codes {
        let Some(user) = user(&snapshot, code)? else { continue };
        let mut entry = UserEntry { user, ..UserEntry::default() };
        let mut rows = find.query([code])?;
        while let Some(row) = rows.next()? {
            let of_kind = match kind_read(row, 0)? {
                GroupKind::Department => &mut entry.departments,
                GroupKind::Post => &mut entry.posts,
                GroupKind::Role => &mut entry.roles,
            };
            of_kind.push(row.get(1)?);
        }
        found.push(entry);
    }
    Ok(found)
}

/// The group of a kind with this code.
pub(crate) fn group(db: &Connection, kind: GroupKind, code: &str) -> Outcome<Option<Group>> {
    let mut find =
        db.prepare_cached("SELECT no, kind, code, name, parent FROM directory_group WHERE kind = ?1 AND code = ?2")?;
    find.query_row([kind.as_str(), code], |row| Ok(group_row(row))).optional()?.transpose()
}

/// The groups of a kind with these codes.
pub(crate) fn groups(db: &Connection, kind: GroupKind, codes: &[String]) -> Outcome<Vec<Group>> {
    let mut found = Vec::with_capacity(codes.len());
    for code in codes {
        found.extend(group(db, kind, code)?);
    }
    Ok(found)
}

/// What [`groups_page`] asks.
pub(crate) const GROUPS_PAGE: &str = "SELECT no, kind, code, name, parent FROM directory_group \
     WHERE kind = ?1 AND code > ?2 ORDER BY code LIMIT ?3";

/// The groups of a kind in the order of their codes.
pub(crate) fn groups_page(db: &Connection, kind: GroupKind, after: Option<&str>, limit: usize) -> Outcome<Vec<Group>> {
    let mut find = db.prepare_cached(GROUPS_PAGE)?;
    let mut rows = find.query(params![kind.as_str(), after.unwrap_or(""), sql_limit(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(group_row(row)?);
    }
    Ok(found)
}

/// What [`groups_below`] asks: one group, then what lies below what was found, each once, so that it ends.
pub(crate) const GROUPS_BELOW: &str = "WITH RECURSIVE below (no) AS (SELECT no FROM directory_group WHERE no = ?1 UNION \
     SELECT g.no FROM below b CROSS JOIN directory_group g INDEXED BY directory_group_parent ON g.parent = b.no AND g.parent IS NOT NULL) \
     SELECT no FROM below";

/// These groups and every department below one of them, in the order of their numbers. What is not there has nothing below it.
pub(crate) fn groups_below(db: &Connection, groups: &[GroupNo]) -> Outcome<Vec<GroupNo>> {
    let snapshot = db.unchecked_transaction()?;
    let mut find = snapshot.prepare_cached(GROUPS_BELOW)?;
    let mut found = std::collections::BTreeSet::new();
    for group in groups {
        // What lies below a group that was found was found with it.
        if !found.contains(group) {
            for no in find.query_map([group.0], |row| row.get(0))? {
                found.insert(GroupNo(no?));
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// What [`members`] asks of a group.
pub(crate) const MEMBERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM directory_member m CROSS JOIN person p ON p.code = m.user WHERE m.party = ?1 AND m.user > ?2 ORDER BY m.user LIMIT ?3"
);

/// What [`members`] asks of a person.
pub(crate) const GROUPS_OF: &str =
    "SELECT party FROM directory_member INDEXED BY directory_member_user WHERE user = ?1 ORDER BY party";

/// The groups to which a person belongs, in the order of their numbers.
pub(crate) fn groups_of(db: &Connection, user: &str) -> Outcome<Vec<GroupNo>> {
    let mut find = db.prepare_cached(GROUPS_OF)?;
    let groups = find.query_map([user], |row| Ok(GroupNo(row.get(0)?)))?;
    Ok(groups.collect::<Result<_, _>>()?)
}

/// Members of these groups, group by group, as of one moment.
pub(crate) fn members(
    db: &Connection,
    groups: &[GroupNo],
    after: Option<&(GroupNo, String)>,
    limit: usize,
) -> Outcome<Vec<Member>> {
    let snapshot = db.unchecked_transaction()?;
    let mut groups = groups.to_vec();
    groups.sort_unstable();
    groups.dedup();
    let mut find = snapshot.prepare_cached(MEMBERS)?;
    let mut found = Vec::new();
    for group in groups {
        let behind = match after {
            Some((last, _)) if group < *last => continue,
            Some((last, code)) if group == *last => code.as_str(),
            _ => "",
        };
        for user in find.query_map(params![group.0, behind, sql_limit(limit - found.len())], user_row)? {
            let user = user?;
            let groups = groups_of(&snapshot, &user.code)?;
            found.push(Member { group, user, groups });
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}
