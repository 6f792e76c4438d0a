//! The people of a change, some thousands at a time: who is new, who differs, and what they belong to from now on.

use std::collections::HashMap;

use hongyan_core::{
    directory::{DirectoryChange, DirectoryReport, GroupNo, UserEntry},
    setup::User,
    time::Timestamp,
};

use super::groups::Groups;
use crate::{
    reads::{PERSON_COLUMNS, groups_read, user_read},
    row::signed,
    session::{Param, Query, Session},
    sql::{directory as sql, plan},
    trouble::Outcome,
};

/// How many people are compared and written at a time: statements of some tens of milliseconds.
const AT_ONCE: usize = 5_000;

/// How the people of a change are compared and kept.
pub(super) struct People<'a> {
    pub groups: &'a Groups,
    pub dry: bool,
    pub now: Timestamp,
}

impl People<'_> {
    /// Counts who differs and, unless this is a dry run, keeps them.
    pub(super) async fn change(
        &self,
        db: &Session,
        change: &DirectoryChange,
        report: &mut DirectoryReport,
    ) -> Outcome<()> {
        // Of several entries for one person the last counts; in the order of the codes, which is that of the indexes.
        let mut entries: Vec<&UserEntry> = change.users.iter().rev().collect();
        entries.sort_by(|a, b| a.user.code.cmp(&b.user.code));
        entries.dedup_by(|later, first| later.user.code == first.user.code);
        for entries in entries.chunks(AT_ONCE) {
            let columns = self.compare(db, entries, report).await?;
            if !self.dry {
                columns.keep(db, self.now).await?;
            }
        }
        Ok(())
    }

    /// What of these is to be written.
    async fn compare<'e>(
        &self,
        db: &Session,
        entries: &[&'e UserEntry],
        report: &mut DirectoryReport,
    ) -> Outcome<Columns<'e>> {
        let codes: Vec<&str> = entries.iter().map(|entry| entry.user.code.as_str()).collect();
        let mut there: HashMap<String, (User, Vec<GroupNo>)> = HashMap::with_capacity(entries.len());
        for row in db.query(sql::PEOPLE_IN_GROUPS, &[&codes]).await? {
            let user = user_read(&row)?;
            there.insert(user.code.clone(), (user, groups_read(&row, PERSON_COLUMNS)?));
        }
        let mut columns = Columns::default();
        for entry in entries {
            let mut groups: Vec<GroupNo> =
                entry.groups().filter_map(|(kind, code)| self.groups.number(kind, code)).collect();
            groups.sort_unstable();
            groups.dedup();
            match there.get(&entry.user.code) {
                None => {
                    report.users_new += 1;
                    columns.push(&entry.user, false);
                    columns.belongs(&entry.user.code, &groups, &[]);
                }
                Some((user, had)) if *user == entry.user && *had == groups => report.same += 1,
                Some((user, had)) => {
                    report.users_changed += 1;
                    if *user != entry.user {
                        columns.push(&entry.user, user.enabled);
                    }
                    columns.belongs(&entry.user.code, &groups, had);
                }
            }
        }
        Ok(columns)
    }
}

/// What is to be written of people, as columns.
#[derive(Default)]
struct Columns<'a> {
    users: Vec<&'a User>,
    comes: (Vec<i32>, Vec<&'a str>),
    goes: (Vec<i32>, Vec<&'a str>),
    enabled: Vec<&'a str>,
    disabled: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, user: &'a User, was_enabled: bool) {
        self.users.push(user);
        match (was_enabled, user.enabled) {
            (false, true) => self.enabled.push(&user.code),
            (true, false) => self.disabled.push(&user.code),
            _ => {}
        }
    }

    /// Somebody belongs to these groups, who had belonged to those; both in order.
    fn belongs(&mut self, code: &'a str, groups: &[GroupNo], had: &[GroupNo]) {
        for group in groups.iter().filter(|group| had.binary_search(group).is_err()) {
            self.comes.0.push(signed(group.0));
            self.comes.1.push(code);
        }
        for group in had.iter().filter(|group| groups.binary_search(group).is_err()) {
            self.goes.0.push(signed(group.0));
            self.goes.1.push(code);
        }
    }

    async fn keep(&self, db: &Session, now: Timestamp) -> Outcome<()> {
        let column = |of: fn(&User) -> &str| self.users.iter().map(|user| of(user)).collect::<Vec<_>>();
        let (codes, names) = (column(|user| &user.code), column(|user| &user.name));
        let (emails, phones) = (column(|user| &user.email), column(|user| &user.phone));
        let (wecoms, openids) = (column(|user| &user.wecom), column(|user| &user.openid));
        let enabled: Vec<bool> = self.users.iter().map(|user| user.enabled).collect();
        let people: Vec<Param<'_>> = vec![&codes, &names, &emails, &phones, &wecoms, &openids, &enabled];
        let now = now.ms();
        let all = [
            (!self.users.is_empty(), plan::PEOPLE_KEEP, people),
            (!self.goes.0.is_empty(), sql::MEMBERS_REMOVE, vec![&self.goes.0 as Param<'_>, &self.goes.1]),
            (!self.comes.0.is_empty(), sql::MEMBERS_ADD, vec![&self.comes.0, &self.comes.1]),
            (!self.enabled.is_empty(), sql::PRESENCE_BEGIN, vec![&self.enabled, &now]),
            (!self.disabled.is_empty(), sql::PRESENCE_END, vec![&self.disabled, &now]),
        ];
        let queries = all.into_iter().filter(|(is_any, ..)| *is_any).map(|(_, sql, params)| Query { sql, params });
        db.query_all(&queries.collect::<Vec<_>>()).await?;
        Ok(())
    }
}
