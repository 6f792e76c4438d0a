//! Departments that would lie below themselves.

use std::collections::{HashMap, HashSet};

use hongyan_core::directory::{DirectoryChange, GroupKind};
use rusqlite::{Connection, OptionalExtension};

use super::parent_code;
use crate::trouble::Outcome;

/// The departments of a change that would lie below themselves, in the order in which it names them. Every department is walked
/// over once.
pub(super) fn in_a_circle<'a>(db: &Connection, change: &'a DirectoryChange) -> Outcome<Vec<&'a str>> {
    let named: HashMap<&str, Option<&str>> = change
        .groups
        .iter()
        .filter(|entry| entry.kind == GroupKind::Department)
        .map(|entry| (entry.code.as_str(), parent_code(entry)))
        .collect();
    let (mut seen, mut circles): (HashSet<String>, HashSet<String>) = (HashSet::new(), HashSet::new());
    for start in named.keys() {
        let mut path: Vec<String> = Vec::new();
        let mut next = Some((*start).to_owned());
        while let Some(code) = next
            && seen.insert(code.clone())
        {
            next = match named.get(code.as_str()) {
                Some(parent) => parent.map(str::to_owned),
                None => stored_parent(db, &code)?,
            };
            path.push(code);
            // The way has come back to where it has been: from there on it is a circle.
            if let Some(code) = &next
                && seen.contains(code)
                && let Some(from) = path.iter().position(|passed| passed == code)
            {
                circles.extend(path.drain(from..));
                break;
            }
        }
    }
    let mut told = HashSet::new();
    let departments = change.groups.iter().filter(|entry| entry.kind == GroupKind::Department);
    let codes = departments.map(|entry| entry.code.as_str());
    Ok(codes.filter(|code| circles.contains(*code) && told.insert(*code)).collect())
}

/// The code of the department above one that is there.
fn stored_parent(db: &Connection, code: &str) -> Outcome<Option<String>> {
    let mut find = db.prepare_cached(
        "SELECT p.code FROM directory_group g JOIN directory_group p ON p.no = g.parent WHERE g.kind = ?1 AND g.code = ?2",
    )?;
    Ok(find.query_row([GroupKind::Department.as_str(), code], |row| row.get(0)).optional()?)
}
