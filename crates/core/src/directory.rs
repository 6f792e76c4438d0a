//! The directory: people, and the departments (a tree), posts and roles that they belong to.

use serde::{Deserialize, Serialize};

use crate::setup::User;

/// A group's number. It never changes and is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupNo(pub u32);

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// A department, perhaps below another.
    Department,
    /// A post that people hold.
    Post,
    /// A role that people have.
    Role,
}

impl GroupKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Department, Self::Post, Self::Role];

    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Department => "department",
            Self::Post => "post",
            Self::Role => "role",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A department, post or role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub no: GroupNo,
    /// What it is.
    pub kind: GroupKind,
    /// Its code, unique among those of its kind.
    pub code: String,
    /// The name shown.
    pub name: String,
    /// The department above it; absent: it is at the top.
    pub parent: Option<GroupNo>,
}

/// A department, post or role as it is declared or imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// What it is.
    pub kind: GroupKind,
    /// Its code.
    pub code: String,
    /// The name shown.
    pub name: String,
    /// The code of the department above it; empty: it is at the top, as posts and roles are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parent: String,
}

/// A person as they are declared or imported, with all that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEntry {
    /// The person.
    pub user: User,
    /// Codes of their departments.
    pub departments: Vec<String>,
    /// Codes of their posts.
    pub posts: Vec<String>,
    /// Codes of their roles.
    pub roles: Vec<String>,
}

impl UserEntry {
    /// The groups to which the person belongs, by kind and code.
    pub fn groups(&self) -> impl Iterator<Item = (GroupKind, &str)> {
        let kinds = [
            (GroupKind::Department, &self.departments),
            (GroupKind::Post, &self.posts),
            (GroupKind::Role, &self.roles),
        ];
        kinds.into_iter().flat_map(|(kind, codes)| codes.iter().map(move |code| (kind, code.as_str())))
    }
}

/// What is to be changed in the directory, all of it in one commit or nothing. What it does not name stays; a person or group that
/// it names is afterwards as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryChange {
    /// Groups.
    pub groups: Vec<GroupEntry>,
    /// People.
    pub users: Vec<UserEntry>,
}

/// Why a change of the directory is refused. Nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryFault {
    /// A person belongs to a group that there is not and that the change does not make.
    #[error("user {user:?} belongs to the {kind} {code:?}, which does not exist", kind = kind.as_str())]
    UnknownGroup {
        /// The person's code.
        user: String,
        /// What kind of group it is.
        kind: GroupKind,
        /// The code of the group.
        code: String,
    },
    /// A department lies below one that there is not and that the change does not make.
    #[error("department {code:?} lies below {parent:?}, which does not exist")]
    UnknownParent {
        /// The department's code.
        code: String,
        /// The code of the one above it.
        parent: String,
    },
    /// A department would lie below itself.
    #[error("department {0:?} would lie below itself")]
    Cycle(String),
}

/// What a change of the directory does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryReport {
    /// Groups that are new.
    pub groups_new: u64,
    /// Groups that are otherwise than before.
    pub groups_changed: u64,
    /// People who are new.
    pub users_new: u64,
    /// People who are otherwise than before, what they belong to included.
    pub users_changed: u64,
    /// Groups and people who are as they were.
    pub same: u64,
    /// What is wrong; of many faults the first [`crate::limits::DIRECTORY_FAULTS_TOLD`]. Where there are any, nothing was done.
    pub faults: Vec<DirectoryFault>,
}

/// A member of one of the groups that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The group in which they were found.
    pub group: GroupNo,
    /// The person.
    pub user: User,
    /// Every group to which the person belongs.
    pub groups: Vec<GroupNo>,
}
