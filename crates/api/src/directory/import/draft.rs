//! What the files of an import say, put together row by row: the change, on which lines it stands, and what is wrong with it.

use std::{collections::HashMap, io::Read};

use hongyan_core::{
    directory::{DirectoryChange, GroupEntry, GroupKind},
    limits,
};

use super::{
    columns::{Column, Format, Header},
    faults::Faults,
    person::person,
    sheet::{Place, Sheet},
    table::Table,
};
use crate::directory::check::{group_faults, user_faults};

/// Rows at the top of a file in which its header is looked for: bk-user's template has instructions before it.
const HEADER_WITHIN: usize = 3;

/// A group that is named somewhere in the files.
pub(super) struct Named {
    /// Where first.
    pub place: Place,
    /// In how many more rows.
    pub more: u32,
    /// Whether somebody belongs to it; else it is only the parent of another.
    pub has_members: bool,
}

/// The groups that files name, by kind and code.
#[derive(Default)]
pub(super) struct NamedGroups([HashMap<String, Named>; 3]);

impl NamedGroups {
    fn add(&mut self, kind: GroupKind, code: &str, place: Place) {
        let of_kind = &mut self.0[kind as usize];
        let has_members = place.sheet == Sheet::Users;
        match of_kind.get_mut(code) {
            Some(named) => {
                named.more += 1;
                named.has_members |= has_members;
            }
            None => drop(of_kind.insert(code.to_owned(), Named { place, more: 0, has_members })),
        }
    }

    pub fn of_kind(&mut self, kind: GroupKind) -> &mut HashMap<String, Named> {
        &mut self.0[kind as usize]
    }
}

/// What was read so far.
pub(super) struct Draft {
    wanted: Option<Format>,
    pub change: DirectoryChange,
    /// On which line each person stands.
    user_lines: Vec<u32>,
    /// Where each group stands.
    pub group_places: Vec<Place>,
    pub named: NamedGroups,
    /// What the file of people has columns for.
    pub given: Vec<Column>,
    /// Whether departments that people belong to are made where there are none: those of an export, which have no file.
    pub makes_departments: bool,
    pub faults: Faults,
}

impl Draft {
    /// Nothing yet; people are listed in the format `wanted`, or in the one that their header shows.
    pub fn new(wanted: Option<Format>) -> Self {
        Self {
            wanted,
            change: DirectoryChange::default(),
            user_lines: Vec::new(),
            group_places: Vec::new(),
            named: NamedGroups::default(),
            given: Vec::new(),
            makes_departments: false,
            faults: Faults::default(),
        }
    }

    /// Reads a file to its end, or to where it cannot be read any further.
    pub fn read(&mut self, sheet: Sheet, file: impl Read) {
        let mut table = Table::new(file);
        let read = match sheet.kind() {
            Some(kind) => self.read_groups(sheet, kind, &mut table),
            None => self.read_users(&mut table),
        };
        if let Err((line, why)) = read {
            self.faults.add(Place { sheet, line }, why);
        }
    }

    fn read_users(&mut self, table: &mut Table<impl Read>) -> Result<(), (u32, String)> {
        let wanted = self.wanted;
        let found = header(table, |row| Header::of_users(row, wanted))?;
        let (header, format) = found.ok_or_else(|| (1, no_users_header(wanted)))?;
        self.makes_departments = format != Format::Plain;
        self.given = given(&header);
        while let Some((line, row)) = next(table)? {
            self.has_room().map_err(|why| (line, why))?;
            let place = Place { sheet: Sheet::Users, line };
            let mut faults = Vec::new();
            if header.is_exceeded_by(row) {
                faults.push("it has more cells than there are columns".to_owned());
            }
            let Some(entry) = person(format, &header, row, &mut faults) else { continue };
            faults.extend(user_faults(&entry));
            for what in faults {
                self.faults.add(place, of("user", &entry.user.code, &what));
            }
            for (kind, code) in entry.groups() {
                self.named.add(kind, code, place);
            }
            self.change.users.push(entry);
            self.user_lines.push(line);
        }
        Ok(())
    }

    fn read_groups(
        &mut self,
        sheet: Sheet,
        kind: GroupKind,
        table: &mut Table<impl Read>,
    ) -> Result<(), (u32, String)> {
        let found = header(table, |row| Header::of_groups(row, kind == GroupKind::Department))?;
        let header = found.ok_or_else(|| (1, "no column is headed code".to_owned()))?;
        while let Some((line, row)) = next(table)? {
            self.has_room().map_err(|why| (line, why))?;
            let place = Place { sheet, line };
            let text = |column| header.cell(row, column).to_owned();
            let (code, name, parent) = (text(Column::Code), text(Column::Name), text(Column::Parent));
            let name = if name.is_empty() { code.clone() } else { name };
            let entry = GroupEntry { kind, code, name, parent };
            if header.is_exceeded_by(row) {
                self.faults.add(place, of(kind.as_str(), &entry.code, "it has more cells than there are columns"));
            }
            for what in group_faults(&entry) {
                self.faults.add(place, of(kind.as_str(), &entry.code, &what));
            }
            if !entry.parent.is_empty() {
                self.named.add(kind, &entry.parent, place);
            }
            self.change.groups.push(entry);
            self.group_places.push(place);
        }
        Ok(())
    }

    fn has_room(&self) -> Result<(), String> {
        if self.change.users.len() + self.change.groups.len() < limits::DIRECTORY_IMPORT_ROWS_MAX {
            return Ok(());
        }
        Err(format!("more than {} people and groups: divide the files", limits::DIRECTORY_IMPORT_ROWS_MAX))
    }

    /// What can be said only when all is read: who is listed twice, and which groups are above those that people belong to. Of what
    /// is named, what the files themselves make is left out.
    pub fn finish(&mut self) {
        let (users, lines) = (&self.change.users, &self.user_lines);
        let place = |row: usize| Place { sheet: Sheet::Users, line: lines[row] };
        twice(
            users.len(),
            |row| users[row].user.code.as_str(),
            |first, again| {
                let what = format!("user {:?} was listed on line {} already", users[again].user.code, lines[first]);
                self.faults.add(place(again), what);
            },
        );
        let (groups, places) = (&self.change.groups, &self.group_places);
        twice(
            groups.len(),
            |row| (groups[row].kind, groups[row].code.as_str()),
            |first, again| {
                let (kind, code) = (groups[again].kind.as_str(), &groups[again].code);
                let what = format!("{kind} {code:?} was listed on line {} already", places[first].line);
                self.faults.add(places[again], what);
            },
        );
        if self.makes_departments {
            self.name_those_above();
        }
        for group in &self.change.groups {
            self.named.of_kind(group.kind).remove(&group.code);
        }
    }

    /// Names the departments above those that are paths.
    fn name_those_above(&mut self) {
        let departments = self.named.of_kind(GroupKind::Department);
        let mut above: Vec<(String, Place)> = Vec::new();
        for (code, named) in departments.iter().filter(|(_, named)| named.has_members) {
            // What is too long for a code is refused as it is.
            if code.len() <= limits::GROUP_CODE_BYTES_MAX {
                above.extend(code.match_indices('/').map(|(end, _)| (code[..end].to_owned(), named.place)));
            }
        }
        for (code, place) in above {
            let named = departments.entry(code).or_insert(Named { place, more: 0, has_members: true });
            named.has_members = true;
        }
    }
}

/// Calls `told` with the first row of each key and every other row that has the same.
fn twice<K: Ord>(rows: usize, key: impl Fn(usize) -> K, mut told: impl FnMut(usize, usize)) {
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_unstable_by(|one, other| key(*one).cmp(&key(*other)).then(one.cmp(other)));
    for same in order.chunk_by(|one, other| key(*one) == key(*other)) {
        for again in &same[1..] {
            told(same[0], *again);
        }
    }
}

/// The header among the first rows.
fn header<T>(
    table: &mut Table<impl Read>,
    header: impl Fn(&csv::StringRecord) -> Option<Result<T, String>>,
) -> Result<Option<T>, (u32, String)> {
    for _ in 0..HEADER_WITHIN {
        let Some((line, row)) = next(table)? else { break };
        if let Some(found) = header(row) {
            return found.map(Some).map_err(|why| (line, why));
        }
    }
    Ok(None)
}

fn next<R: Read>(table: &mut Table<R>) -> Result<Option<(u32, &csv::StringRecord)>, (u32, String)> {
    let short = |line: u64| u32::try_from(line).unwrap_or(u32::MAX);
    match table.next() {
        Ok(row) => Ok(row.map(|(line, row)| (short(line), row))),
        Err(broken) => Err((short(broken.line), broken.why)),
    }
}

fn no_users_header(wanted: Option<Format>) -> String {
    match wanted {
        Some(Format::Plain) => "no column is headed code",
        Some(Format::Blueking) => "no column is headed username or 用户名",
        Some(Format::Ldap) => "no column is headed sAMAccountName or uid",
        None => "no column tells who is meant: code, or in an export username, 用户名, sAMAccountName or uid",
    }
    .to_owned()
}

/// What a person is told by, of those columns without which something stays as it is.
fn given(header: &Header) -> Vec<Column> {
    let departments = [Column::Departments, Column::Dn, Column::MemberOf];
    let enabled = [Column::Enabled, Column::Status, Column::Staff, Column::Control, Column::Locked];
    let mut given = Vec::new();
    for column in
        [Column::Name, Column::Email, Column::Phone, Column::Wecom, Column::Openid, Column::Posts, Column::Roles]
    {
        given.extend(header.has(column).then_some(column));
    }
    given.extend(departments.iter().any(|column| header.has(*column)).then_some(Column::Departments));
    given.extend(enabled.iter().any(|column| header.has(*column)).then_some(Column::Enabled));
    given
}

fn of(kind: &str, code: &str, what: &str) -> String {
    if code.is_empty() {
        return what.to_owned();
    }
    let code: String = code.chars().take(60).collect();
    format!("{kind} {code:?}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(files: &[(Sheet, &str)]) -> Draft {
        let mut draft = Draft::new(None);
        for (sheet, text) in files {
            draft.read(*sheet, text.as_bytes());
        }
        draft.finish();
        draft
    }

    fn told(draft: Draft) -> Vec<(u32, String)> {
        let fault = |fault: super::super::faults::Fault| (fault.place.map_or(0, |place| place.line), fault.what);
        draft.faults.into_told().into_iter().map(fault).collect()
    }

    #[test]
    fn what_files_make_themselves_is_not_looked_for() {
        let tree = (Sheet::Departments, "code,parent\nD1,\nD2,D1\nD3,D0\n");
        let mut draft = draft(&[(Sheet::Users, "code,departments,posts\na,D1;D9,P\nb,D9,\n"), tree]);
        let mut left: Vec<_> = draft.named.of_kind(GroupKind::Department).drain().collect();
        left.sort_by(|(one, _), (other, _)| one.cmp(other));
        let left: Vec<_> = left.into_iter().map(|(code, named)| (code, named.place.line, named.more)).collect();
        assert_eq!(left, [("D0".to_owned(), 4, 0), ("D9".to_owned(), 2, 1)]);
        assert!(draft.named.of_kind(GroupKind::Post).contains_key("P") && draft.faults.is_empty());
        assert_eq!(draft.given, [Column::Posts, Column::Departments]);
    }

    #[test]
    fn an_export_names_the_departments_above_those_of_its_people() {
        let mut draft = draft(&[(Sheet::Users, "username,organizations\na,A/B/C\nb,A/B\n")]);
        assert!(draft.makes_departments);
        let mut codes: Vec<_> = draft.named.of_kind(GroupKind::Department).drain().map(|(code, _)| code).collect();
        codes.sort_unstable();
        assert_eq!(codes, ["A", "A/B", "A/B/C"]);
        // As deep as a code is long.
        let deep = vec!["d"; limits::GROUP_CODE_BYTES_MAX / 2].join("/");
        let long = vec!["d"; limits::GROUP_CODE_BYTES_MAX].join("/");
        let mut draft = self::draft(&[(Sheet::Users, &format!("username,organizations\na,{deep}\nb,{long}\n"))]);
        let named = draft.named.of_kind(GroupKind::Department);
        assert_eq!(named.keys().filter(|code| code.len() <= deep.len()).count(), limits::GROUP_CODE_BYTES_MAX / 2);
        let told = told(draft);
        assert!(told.len() == 1 && told[0].0 == 3 && told[0].1.contains("longer than 512 bytes"), "{told:?}");
    }

    #[test]
    fn who_is_listed_again_is_told_with_both_lines() {
        let told = told(draft(&[(Sheet::Users, "code\na\nb\na\nA\na\n"), (Sheet::Posts, "code\nP\nQ\nP\n")]));
        let wanted = [
            (4, "post \"P\" was listed on line 2 already"),
            (4, "user \"a\" was listed on line 2 already"),
            (6, "user \"a\" was listed on line 2 already"),
        ];
        assert_eq!(told, wanted.map(|(line, what)| (line, what.to_owned())));
    }

    #[test]
    fn of_many_faults_the_first_are_told() {
        let text = format!("code,email\n{}", "a,nobody\n".repeat(limits::DIRECTORY_FAULTS_TOLD));
        let draft = draft(&[(Sheet::Users, &text)]);
        assert_eq!(draft.faults.count(), 2 * limits::DIRECTORY_FAULTS_TOLD as u64 - 1);
        assert_eq!(told(draft).len(), limits::DIRECTORY_FAULTS_TOLD);
    }
}
