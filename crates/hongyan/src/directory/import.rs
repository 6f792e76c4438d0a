//! `hongyan directory import`.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{
    PATH, print, print_json,
    upload::{Part, send},
};
use crate::{account::desk::Desk, fetch::Call, table::table, talk::say};

/// The files of an import.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Files {
    /// People.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Departments: code,name,parent.
    #[arg(long, value_name = "FILE")]
    departments: Option<PathBuf>,
    /// Posts: code,name.
    #[arg(long, value_name = "FILE")]
    posts: Option<PathBuf>,
    /// Roles: code,name.
    #[arg(long, value_name = "FILE")]
    roles: Option<PathBuf>,
    /// How people are listed; without it, as the header of their file shows.
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// Our own: code,name,email,phone,wecom,openid,departments,posts,roles,enabled; codes in a list are parted by ;
    Plain,
    /// An export of BlueKing's user management, saved as CSV.
    #[value(alias = "bluking")]
    Blueking,
    /// An export of an LDAP server whose columns are attributes, as csvde makes it.
    Ldap,
}

impl Files {
    fn query(&self, apply: bool) -> String {
        let format = match self.format {
            None => "auto",
            Some(FormatName::Plain) => "plain",
            Some(FormatName::Blueking) => "blueking",
            Some(FormatName::Ldap) => "ldap",
        };
        format!("{PATH}/import?dry={}&format={format}", !apply)
    }

    fn parts(self) -> Vec<Part> {
        let files =
            [("departments", self.departments), ("posts", self.posts), ("roles", self.roles), ("users", self.users)];
        files.into_iter().filter_map(|(name, path)| Some(Part { name, path: path? })).collect()
    }
}

pub(super) async fn run(desk: &Desk, files: Files, apply: bool, json: bool) -> anyhow::Result<bool> {
    // Whether we are let in is known before the first megabyte goes out.
    desk.call(Call::get(format!("{PATH}/departments?limit=1"))).await?;
    let (status, body) = send(desk, files.query(apply), files.parts()).await?;
    let report: Value = serde_json::from_str(&body).unwrap_or_default();
    if !report["told"].is_array() {
        match report["detail"].as_str() {
            Some(detail) => bail!("{detail}"),
            None => bail!("the reply ({status}) is of another kind: is it a Hongyan node of this version?"),
        }
    }
    if json {
        print_json(&report)?;
    } else {
        print(&page(&report))?;
    }
    let faults = report["faults"].as_u64().unwrap_or_default();
    let told = report["told"].as_array().map_or(0, Vec::len);
    if faults > told as u64 {
        say(&format!("hongyan: … and {} more things are wrong.", faults - told as u64));
    }
    match (faults, report["applied"] == true) {
        (0, true) => say("hongyan: done."),
        (0, false) => say("hongyan: nothing was changed, for this was a try; --apply does it."),
        _ => say("hongyan: nothing was changed, and nothing can be before the files are mended."),
    }
    ensure!(faults > 0 || report["applied"] == apply, "the node did not do what was asked: {report}");
    Ok(faults == 0)
}

/// What is wrong, one thing a line, or else what is new and what is changed.
fn page(report: &Value) -> String {
    let told = report["told"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !told.is_empty() {
        return told.iter().map(line).collect();
    }
    let row = |name: &str, what: &Value| {
        let number = |key: &str| what[key].as_u64().unwrap_or_default();
        let (listed, new, changed) = (number("listed"), number("new"), number("changed"));
        let same = listed.saturating_sub(new + changed);
        [name.to_owned(), listed.to_string(), new.to_string(), changed.to_string(), same.to_string()]
    };
    let rows = [row("groups", &report["groups"]), row("users", &report["users"])];
    table(["WHAT", "LISTED", "NEW", "CHANGED", "SAME"], &rows)
}

fn line(fault: &Value) -> String {
    let what = fault["what"].as_str().unwrap_or_default();
    match (fault["file"].as_str(), fault["line"].as_u64()) {
        (Some(file), Some(line)) => format!("{file}:{line}: {what}\n"),
        _ => format!("{what}\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_one_line_each() {
        let report = json!({ "told": [
            { "file": "users.csv", "line": 3, "what": "user \"z\": the code is missing" },
            { "what": "department \"A\" would lie below itself" },
        ] });
        assert_eq!(
            page(&report),
            "users.csv:3: user \"z\": the code is missing\ndepartment \"A\" would lie below itself\n"
        );
    }

    #[test]
    fn what_would_be_done_is_a_table() {
        let counts = |listed: u32, new: u32, changed: u32| json!({ "listed": listed, "new": new, "changed": changed });
        let report = json!({ "told": [], "groups": counts(3, 3, 0), "users": counts(10, 1, 2) });
        let wanted =
            "WHAT    LISTED  NEW  CHANGED  SAME\ngroups  3       3    0        0\nusers   10      1    2        7\n";
        assert_eq!(page(&report), wanted);
    }
}
