//! `[[user]]`, `[[department]]`, `[[post]]` and `[[role]]`: people, and what they belong to.

use anyhow::{bail, ensure};
use hongyan_api::{group_faults, user_faults};
use hongyan_core::{
    directory::{DirectoryChange, GroupEntry, GroupKind, UserEntry},
    setup::User,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[[user]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserPlan {
    /// The code by which callers name this person: a CMSI username, a `user` of the push platform.
    pub code: String,
    /// The name shown.
    pub name: String,
    /// Mail address.
    pub email: String,
    /// Phone number, E.164.
    pub phone: String,
    /// WeCom user id.
    pub wecom: String,
    /// openid of the official account.
    pub openid: String,
    /// Codes of the departments to which this person belongs.
    pub departments: Vec<String>,
    /// Codes of the posts that this person holds.
    pub posts: Vec<String>,
    /// Codes of the roles that this person has.
    pub roles: Vec<String>,
    /// Whether messages may reach this person.
    pub enabled: bool,
}

impl Default for UserPlan {
    fn default() -> Self {
        let (none, list) = (String::new, Vec::new);
        Self {
            code: none(),
            name: none(),
            email: none(),
            phone: none(),
            wecom: none(),
            openid: none(),
            departments: list(),
            posts: list(),
            roles: list(),
            enabled: true,
        }
    }
}

/// `[[department]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DepartmentPlan {
    /// Its code.
    pub code: String,
    /// The name shown; empty: the code.
    pub name: String,
    /// The code of the department above it; empty: it is at the top.
    pub parent: String,
}

/// `[[post]]` and `[[role]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupPlan {
    /// Its code.
    pub code: String,
    /// The name shown; empty: the code.
    pub name: String,
}

impl UserPlan {
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        said(user_faults(&self.clone().entry()))?;
        for (key, codes) in [("departments", &self.departments), ("posts", &self.posts), ("roles", &self.roles)] {
            let again = codes.iter().enumerate().find(|(n, code)| codes[..*n].contains(code));
            ensure!(again.is_none(), "{key} has a code twice");
        }
        Ok(())
    }

    fn entry(self) -> UserEntry {
        let Self { code, name, email, phone, wecom, openid, departments, posts, roles, enabled } = self;
        let user = User { code, name, email, phone, wecom, openid, enabled };
        UserEntry { user, departments, posts, roles }
    }
}

impl DepartmentPlan {
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        said(group_faults(&self.clone().entry()))
    }

    fn entry(self) -> GroupEntry {
        entry(GroupKind::Department, self.code, self.name, self.parent)
    }
}

impl GroupPlan {
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        said(group_faults(&entry(GroupKind::Post, self.code.clone(), self.name.clone(), String::new())))
    }
}

/// What a plan changes in the directory.
pub(super) fn change(
    departments: Vec<DepartmentPlan>,
    posts: Vec<GroupPlan>,
    roles: Vec<GroupPlan>,
    users: Vec<UserPlan>,
) -> DirectoryChange {
    let of_kind = |kind| move |plan: GroupPlan| entry(kind, plan.code, plan.name, String::new());
    let mut groups: Vec<_> = departments.into_iter().map(DepartmentPlan::entry).collect();
    groups.extend(posts.into_iter().map(of_kind(GroupKind::Post)));
    groups.extend(roles.into_iter().map(of_kind(GroupKind::Role)));
    DirectoryChange { groups, users: users.into_iter().map(UserPlan::entry).collect() }
}

fn entry(kind: GroupKind, code: String, name: String, parent: String) -> GroupEntry {
    let name = if name.is_empty() { code.clone() } else { name };
    GroupEntry { kind, code, name, parent }
}

fn said(faults: Vec<String>) -> anyhow::Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("; "))
}

#[cfg(test)]
mod tests {
    use hongyan_core::directory::GroupEntry;

    use crate::{plan::Plan, vault::Vault};

    #[test]
    fn people_and_what_they_belong_to_become_one_change() {
        let text = r#"
[[department]]
code = "HQ"
name = "总公司"
[[department]]
code = "RD"
parent = "HQ"
[[post]]
code = "P1"
[[role]]
code = "R1"
name = "On call"
[[user]]
code = "z"
phone = "+8613800000001"
departments = ["RD", "HQ"]
posts = ["P1"]
roles = ["R1"]
enabled = false
"#;
        let plan = Plan::parse(text).expect("a plan");
        let change = plan.seal(String::new(), &Vault::passing().expect("a vault")).expect("seals").directory;
        let group =
            |GroupEntry { kind, code, name, parent }: &GroupEntry| format!("{} {code} {name} {parent}", kind.as_str());
        let groups: Vec<_> = change.groups.iter().map(group).collect();
        assert_eq!(groups, ["department HQ 总公司 ", "department RD RD HQ", "post P1 P1 ", "role R1 On call "]);
        let user = &change.users[0];
        assert_eq!((user.departments.len(), &*user.posts[0], &*user.roles[0]), (2, "P1", "R1"));
        assert!(!user.user.enabled && user.user.phone == "+8613800000001");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_it_is_about() {
        for (text, words) in [
            ("[[department]]\ncode = \"A\"\nparent = \"A\"", &["department \"A\"", "below itself"][..]),
            ("[[department]]\ncode = \"A\"\n[[department]]\ncode = \"A\"", &["department \"A\"", "twice"]),
            ("[[post]]\ncode = \"A\"\nparent = \"B\"", &["parent"]),
            ("[[role]]\nname = \"A\"", &["role", "no code"]),
            ("[[post]]\ncode = \"A\"\nname = \"a\\nb\"", &["post \"A\"", "control"]),
            ("[[user]]\ncode = \"z\"\nphone = \"138\"", &["user \"z\"", "+"]),
            ("[[user]]\ncode = \"z\"\nroles = [\"\"]", &["user \"z\"", "role is missing"]),
            ("[[user]]\ncode = \"z\"\nposts = [\"A\", \"A\"]", &["user \"z\"", "posts has a code twice"]),
        ] {
            let error = format!("{:#}", Plan::parse(text).expect_err("wrong"));
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }
}
