//! Accounts from CSV (RFC 4180): `name,password,role,per_hour,per_day,available`, in this order or as a first row names them. A
//! row by itself: what one refuses does not hold up the others, and nothing of an account that is there already is changed.

use hongyan_core::account::Role;
use hongyan_intake::{AccountBook, AccountError, NewAccount};
use serde::Serialize;

use crate::problem::Problem;

/// Rows of one import: each takes some milliseconds, for its password is hashed.
const ROWS_MAX: usize = 10_000;

const COLUMNS: [&str; 6] = ["name", "password", "role", "per_hour", "per_day", "available"];

#[derive(Debug, Serialize)]
pub(super) struct ImportView {
    /// How many were added.
    added: usize,
    rows: Vec<RowView>,
}

/// What became of a row.
#[derive(Debug, Serialize)]
struct RowView {
    /// Where the row begins in the file, the first line being 1.
    line: usize,
    name: String,
    /// `added`, `exists` (and is as it was) or `refused`.
    result: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The password that was made for it, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// A row, or what is wrong with it.
struct Row {
    line: usize,
    name: String,
    new: Result<NewAccount, String>,
}

/// Adds the accounts that `text` lists. Where the store gives out in between, the rows that it did not take say so; a repeated
/// import leaves those that were added as they are.
///
/// # Errors
/// When it is not CSV, has too many rows, or nothing can be stored for now.
pub(super) async fn import(accounts: &AccountBook, text: &[u8]) -> Result<ImportView, Problem> {
    let rows = rows(text).map_err(Problem::bad_request)?;
    let mut view = ImportView { added: 0, rows: Vec::with_capacity(rows.len()) };
    for Row { line, name, new } in rows {
        let (result, detail, password) = match new {
            Err(why) => ("refused", Some(why), None),
            Ok(new) => match accounts.add(new).await {
                Ok((_, password)) => ("added", None, password),
                Err(AccountError::NameTaken) => ("exists", None, None),
                Err(error @ (AccountError::Wrong(_) | AccountError::ContactTaken)) => {
                    ("refused", Some(error.to_string()), None)
                }
                // Those that were added with a password made for them are in this answer or in none.
                Err(error) if view.added > 0 => ("refused", Some(error.to_string()), None),
                Err(error) => return Err(error.into()),
            },
        };
        view.added += usize::from(result == "added");
        view.rows.push(RowView { line, name, result, detail, password });
    }
    Ok(view)
}

/// The rows of a file. A first row of nothing but names of columns says what is where.
fn rows(text: &[u8]) -> Result<Vec<Row>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the file is not UTF-8; save it as CSV UTF-8")?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut columns: Vec<&str> = COLUMNS.to_vec();
    let (mut rows, mut lines) = (Vec::new(), Lines { text, at: 0, line: 1 });
    for (n, record) in reader.records().enumerate() {
        let record = record.map_err(|_| "the file is not CSV")?;
        if n == 0
            && let Some(named) = record.iter().map(column).collect::<Option<Vec<_>>>()
        {
            if !named.contains(&"name") {
                return Err("the first row names columns, but not the column name".to_owned());
            }
            columns = named;
            continue;
        }
        if rows.len() == ROWS_MAX {
            return Err(format!("the file has more than {ROWS_MAX} rows; divide it"));
        }
        let line = lines.next_at(record.position().map_or(0, csv::Position::byte));
        let cell = |name: &str| {
            let at = columns.iter().position(|column| *column == name);
            at.and_then(|at| record.get(at)).unwrap_or_default()
        };
        let new = if record.len() > columns.len() { Err("it has too many cells".to_owned()) } else { account(cell) };
        rows.push(Row { line, name: cell("name").trim().to_owned(), new });
    }
    Ok(rows)
}

/// On which line a record begins. The reader counts one too few after the line ends of Windows.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the record that begins at this byte or, after empty lines, behind it.
    fn next_at(&mut self, byte: u64) -> usize {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX).clamp(self.at, self.text.len());
        let ends = self.text.as_bytes()[byte..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let start = byte + ends;
        self.line += self.text.as_bytes()[self.at..start].iter().filter(|byte| **byte == b'\n').count();
        self.at = start;
        self.line
    }
}

fn column(cell: &str) -> Option<&'static str> {
    COLUMNS.into_iter().find(|column| cell.trim().eq_ignore_ascii_case(column))
}

/// An account from the cells of its row; an empty one is absent. A password is taken as it is.
fn account<'a>(cell: impl Fn(&str) -> &'a str) -> Result<NewAccount, String> {
    let given = |name: &str| Some(cell(name).trim()).filter(|cell| !cell.is_empty());
    let number = |name: &str, default: u32| match given(name) {
        Some(number) => number.parse().map_err(|_| format!("{name} is a number")),
        None => Ok(default),
    };
    let default = NewAccount::named(cell("name").trim());
    let new = NewAccount {
        password: Some(cell("password")).filter(|password| !password.is_empty()).map(str::to_owned),
        role: given("role").map_or(Ok(default.role), |role| Role::from_name(role).ok_or("role is admin or user"))?,
        per_hour: number("per_hour", default.per_hour)?,
        per_day: number("per_day", default.per_day)?,
        available: match given("available").map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(_) => return Err("available is true or false".to_owned()),
        },
        ..default
    };
    new.check().map(|()| new).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(rows: Vec<Row>) -> Vec<NewAccount> {
        rows.into_iter().map(|row| row.new.unwrap_or_else(|why| panic!("{}: {why}", row.name))).collect()
    }

    #[test]
    fn columns_in_their_order_or_as_they_are_named() {
        let zhang = NewAccount {
            password: Some(" p,1\"".into()),
            role: Role::Admin,
            per_hour: 7,
            per_day: 0,
            available: false,
            ..NewAccount::named("天存-1")
        };
        let li = NewAccount::named("li");
        for text in [
            "天存-1,\" p,1\"\"\",admin,7,0,false\r\nli\r\n",
            "\u{feff}Name,Password,role,per_hour,per_day,available\n天存-1,\" p,1\"\"\",admin,7,0,FALSE\n\nli,,,,,\n",
            "available,per_day,per_hour,role,password,name\n0,0,7,admin,\" p,1\"\"\",天存-1\n,,,,,li",
        ] {
            assert!(good(rows(text.as_bytes()).expect("CSV")) == [zhang.clone(), li.clone()], "{text}");
        }
        assert!(rows(b"").expect("nothing").is_empty());
    }

    #[test]
    fn a_wrong_row_is_wrong_by_itself() {
        let text = "name,role,per_hour,available\r\nok,,,\r\n,,,\r\n\r\n\"a\n\",root,,\r\nb,,many,\nc,,,perhaps\nd,,-1,\ne,,,,more";
        let rows = rows(text.as_bytes()).expect("CSV");
        let said: Vec<_> =
            rows.iter().map(|row| (row.line, row.new.as_ref().err().map_or("", String::as_str))).collect();
        let wanted = ["", "name", "role", "per_hour", "available", "per_hour", "cells"];
        assert_eq!(said.len(), wanted.len());
        assert_eq!(said.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 5, 7, 8, 9, 10]);
        for ((line, said), word) in said.into_iter().zip(wanted) {
            assert!(said.contains(word) && said.is_empty() == word.is_empty(), "{line}: {said}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert!(rows(b"name\n\xff\xfe").is_err_and(|why| why.contains("UTF-8")));
        assert!(rows(b"role,password\nadmin,p").is_err_and(|why| why.contains("name")));
        assert!(rows("a\n".repeat(ROWS_MAX + 1).as_bytes()).is_err_and(|why| why.contains("divide")));
    }
}
