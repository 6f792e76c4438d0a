//! The departments, posts and roles of a change: what is wrong with it, which of them are new, and which differ.

use std::collections::{HashMap, HashSet};

use hongyan_core::{
    directory::{DirectoryChange, DirectoryFault, DirectoryReport, Group, GroupEntry, GroupKind, GroupNo},
    limits,
};

use crate::{
    reads::group_read,
    row::{number, signed},
    session::Session,
    sql::directory as sql,
    trouble::Outcome,
};

/// Every group that there is, and those that a change makes, by kind and code.
pub(super) struct Groups {
    there: HashMap<(GroupKind, String), Group>,
    numbers: HashMap<GroupKind, HashMap<String, GroupNo>>,
    /// The last number given.
    last: u32,
}

/// The code of the department above a group; posts and roles have none.
fn parent(entry: &GroupEntry) -> Option<&str> {
    (entry.kind == GroupKind::Department && !entry.parent.is_empty()).then_some(entry.parent.as_str())
}

fn key(kind: GroupKind, code: &str) -> (GroupKind, String) {
    (kind, code.to_owned())
}

impl Groups {
    /// Reads what there is, and numbers what the change makes.
    pub(super) async fn read(db: &Session, change: &DirectoryChange, last: i32) -> Outcome<Self> {
        let mut groups = Self { there: HashMap::new(), numbers: HashMap::new(), last: number(last)? };
        for row in db.query(sql::GROUPS, &[]).await? {
            let group = group_read(&row)?;
            groups.numbers.entry(group.kind).or_default().insert(group.code.clone(), group.no);
            groups.there.insert(key(group.kind, &group.code), group);
        }
        for entry in &change.groups {
            let last = &mut groups.last;
            groups.numbers.entry(entry.kind).or_default().entry(entry.code.clone()).or_insert_with(|| {
                *last += 1;
                GroupNo(*last)
            });
        }
        Ok(groups)
    }

    /// The number of a group that is there or that the change makes.
    pub(super) fn number(&self, kind: GroupKind, code: &str) -> Option<GroupNo> {
        self.numbers.get(&kind)?.get(code).copied()
    }

    /// What is wrong with the change; of many faults the first.
    pub(super) fn faults(&self, change: &DirectoryChange) -> Vec<DirectoryFault> {
        let unknown_parents = change.groups.iter().filter_map(|entry| {
            let parent = parent(entry).filter(|parent| self.number(GroupKind::Department, parent).is_none())?;
            Some(DirectoryFault::UnknownParent { code: entry.code.clone(), parent: parent.to_owned() })
        });
        let circles = self.circles(change).into_iter().map(|code| DirectoryFault::Cycle(code.to_owned()));
        let unknown_groups = change.users.iter().flat_map(|entry| {
            let unknown = entry.groups().filter(|(kind, code)| self.number(*kind, code).is_none());
            unknown.map(|(kind, code)| DirectoryFault::UnknownGroup {
                user: entry.user.code.clone(),
                kind,
                code: code.to_owned(),
            })
        });
        unknown_parents.chain(circles).chain(unknown_groups).take(limits::DIRECTORY_FAULTS_TOLD).collect()
    }

    /// The departments of the change that would lie below themselves. Every department is passed once.
    fn circles<'a>(&'a self, change: &'a DirectoryChange) -> Vec<&'a str> {
        let codes: HashMap<GroupNo, &str> = self.there.values().map(|group| (group.no, group.code.as_str())).collect();
        let departments = || change.groups.iter().filter(|entry| entry.kind == GroupKind::Department);
        let mut above: HashMap<&str, Option<&str>> = self
            .there
            .values()
            .filter(|group| group.kind == GroupKind::Department)
            .map(|group| (group.code.as_str(), group.parent.and_then(|parent| codes.get(&parent).copied())))
            .collect();
        above.extend(departments().map(|entry| (entry.code.as_str(), parent(entry))));
        let (mut passed, mut circles): (HashSet<&str>, HashSet<&str>) = Default::default();
        for start in departments() {
            let mut path: Vec<&str> = Vec::new();
            let mut next = Some(start.code.as_str());
            while let Some(code) = next.filter(|code| passed.insert(code)) {
                path.push(code);
                next = above.get(code).copied().flatten();
            }
            // The way has come back to where it has been: from there on it is a circle.
            if let Some(from) = next.and_then(|code| path.iter().position(|passed| *passed == code)) {
                circles.extend(&path[from..]);
            }
        }
        let mut told = HashSet::new();
        departments()
            .map(|entry| entry.code.as_str())
            .filter(|code| circles.contains(code) && told.insert(*code))
            .collect()
    }

    /// Counts what differs and, unless this is a dry run, keeps it.
    pub(super) async fn change(
        &mut self,
        db: &Session,
        change: &DirectoryChange,
        dry: bool,
        report: &mut DirectoryReport,
    ) -> Outcome<()> {
        // Of several entries for one group the last counts.
        let wanted: HashMap<_, &GroupEntry> =
            change.groups.iter().map(|entry| ((entry.kind, entry.code.as_str()), entry)).collect();
        let mut kept = Kept::default();
        for ((kind, code), entry) in wanted {
            let Some(no) = self.number(kind, code) else { continue };
            let parent = parent(entry).and_then(|parent| self.number(GroupKind::Department, parent));
            match self.there.get(&key(kind, code)) {
                None => report.groups_new += 1,
                Some(group) if group.name == entry.name && group.parent == parent => {
                    report.same += 1;
                    continue;
                }
                Some(_) => report.groups_changed += 1,
            }
            kept.push(no, entry, parent);
        }
        if dry || kept.no.is_empty() {
            return Ok(());
        }
        db.execute(sql::GROUPS_KEEP, &[&kept.no, &kept.kind, &kept.code, &kept.name, &kept.parent]).await?;
        db.execute(sql::LAST_KEEP, &[&signed(self.last)]).await?;
        Ok(())
    }
}

/// Groups as columns.
#[derive(Default)]
struct Kept<'a> {
    no: Vec<i32>,
    kind: Vec<&'static str>,
    code: Vec<&'a str>,
    name: Vec<&'a str>,
    parent: Vec<Option<i32>>,
}

impl<'a> Kept<'a> {
    fn push(&mut self, no: GroupNo, entry: &'a GroupEntry, parent: Option<GroupNo>) {
        self.no.push(signed(no.0));
        self.kind.push(entry.kind.as_str());
        self.code.push(&entry.code);
        self.name.push(&entry.name);
        self.parent.push(parent.map(|parent| signed(parent.0)));
    }
}
