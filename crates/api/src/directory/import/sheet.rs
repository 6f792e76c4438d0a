//! The files of an import, and places in them.

use hongyan_core::directory::GroupKind;

/// A file of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sheet {
    Departments,
    Posts,
    Roles,
    Users,
}

impl Sheet {
    pub const ALL: [Self; 4] = [Self::Departments, Self::Posts, Self::Roles, Self::Users];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Departments => "departments",
            Self::Posts => "posts",
            Self::Roles => "roles",
            Self::Users => "users",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sheet| sheet.as_str() == name)
    }

    /// What the rows are, where they are not people.
    pub const fn kind(self) -> Option<GroupKind> {
        match self {
            Self::Departments => Some(GroupKind::Department),
            Self::Posts => Some(GroupKind::Post),
            Self::Roles => Some(GroupKind::Role),
            Self::Users => None,
        }
    }
}

/// A line of a file, the first being 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub sheet: Sheet,
    pub line: u32,
}
