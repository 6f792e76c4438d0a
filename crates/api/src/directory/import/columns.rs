//! Which column of a file says what. Our own files name columns as `/v1` does and have no others; exports of BlueKing's user
//! management and of LDAP servers name them in their own ways, and have many that mean nothing here.

use csv::StringRecord;

/// Whose way of listing people a file follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Our own.
    Plain,
    /// An export of BlueKing's user management (bk-user 2 and 3).
    Blueking,
    /// An export of an LDAP server: of Active Directory by csvde, or any that has its attributes as columns.
    Ldap,
}

impl Format {
    const ALL: [Self; 3] = [Self::Blueking, Self::Ldap, Self::Plain];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Blueking => "blueking",
            Self::Ldap => "ldap",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    const fn names(self) -> &'static [(Column, &'static [&'static str])] {
        match self {
            Self::Plain => &PLAIN,
            Self::Blueking => &BLUEKING,
            Self::Ldap => &LDAP,
        }
    }
}

/// What a column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Code,
    Name,
    Email,
    Phone,
    /// The country's code of a phone that has none itself.
    Country,
    Wecom,
    Openid,
    Departments,
    Posts,
    Roles,
    Enabled,
    /// The department above a department.
    Parent,
    /// Whether an account counts, in BlueKing's words.
    Status,
    /// Whether somebody is still on the staff, in BlueKing's words.
    Staff,
    /// Active Directory's `userAccountControl`, a number of flags.
    Control,
    /// `nsAccountLock` of 389 Directory Server.
    Locked,
    /// Where an entry stands in the LDAP tree.
    Dn,
    /// The LDAP groups that have it as a member.
    MemberOf,
    /// What kind of entry it is.
    Class,
}

const COLUMNS: usize = Column::Class as usize + 1;

const PLAIN: [(Column, &[&str]); 10] = [
    (Column::Code, &["code"]),
    (Column::Name, &["name"]),
    (Column::Email, &["email"]),
    (Column::Phone, &["phone"]),
    (Column::Wecom, &["wecom"]),
    (Column::Openid, &["openid"]),
    (Column::Departments, &["departments"]),
    (Column::Posts, &["posts"]),
    (Column::Roles, &["roles"]),
    (Column::Enabled, &["enabled"]),
];

/// The columns of departments; posts and roles have no parent.
const GROUPS: [(Column, &[&str]); 3] =
    [(Column::Code, &["code"]), (Column::Name, &["name"]), (Column::Parent, &["parent"])];

/// As bk-user 2 and 3 head them, in Chinese, in English or (`用户名/username`) in both.
const BLUEKING: [(Column, &[&str]); 10] = [
    (Column::Code, &["username", "bk_username", "用户名"]),
    (Column::Name, &["full_name", "display_name", "全名", "姓名"]),
    (Column::Email, &["email", "邮箱"]),
    (Column::Phone, &["phone_number", "telephone", "phone", "手机号", "手机号码"]),
    (Column::Country, &["phone_country_code", "country_code", "手机国际码", "国际区号"]),
    (Column::Wecom, &["wx_userid", "企业微信"]),
    (Column::Openid, &["wx_openid"]),
    (Column::Departments, &["organizations", "organization", "departments", "department_name", "组织", "部门"]),
    (Column::Status, &["status", "账户状态", "账号状态", "状态"]),
    (Column::Staff, &["staff_status", "在职状态"]),
];

/// Attributes of RFC 4519, RFC 4524, RFC 2798 and Active Directory; of several that are there, the first that is not empty counts.
const LDAP: [(Column, &[&str]); 10] = [
    (Column::Code, &["samaccountname", "uid"]),
    (Column::Name, &["displayname", "cn", "name"]),
    (Column::Email, &["mail", "email"]),
    (Column::Phone, &["mobile", "telephonenumber"]),
    (Column::Departments, &["department", "departmentnumber"]),
    (Column::Dn, &["dn", "distinguishedname"]),
    (Column::MemberOf, &["memberof"]),
    (Column::Control, &["useraccountcontrol"]),
    (Column::Locked, &["nsaccountlock"]),
    (Column::Class, &["objectclass"]),
];

/// Where the columns of a file are.
#[derive(Debug)]
pub(super) struct Header {
    /// For each [`Column`] its places, the preferred one first.
    at: [Vec<usize>; COLUMNS],
    width: usize,
}

impl Header {
    /// The header of a file of people, and its format: `wanted`, or the one whose names it has. `None` where this row is no such
    /// header.
    pub fn of_users(row: &StringRecord, wanted: Option<Format>) -> Option<Result<(Self, Format), String>> {
        let formats: &[Format] = wanted.as_ref().map_or(&Format::ALL, std::slice::from_ref);
        let (header, format) = formats.iter().find_map(|format| {
            let header = Self::new(row, format.names());
            header.has(Column::Code).then_some((header, *format))
        })?;
        let known = if format == Format::Plain { header.only(row, format.names()) } else { Ok(()) };
        Some(known.map(|()| (header, format)))
    }

    /// The header of a file of departments, posts or roles. `None` where this row is none.
    pub fn of_groups(row: &StringRecord, has_parent: bool) -> Option<Result<Self, String>> {
        let names = if has_parent { &GROUPS[..] } else { &GROUPS[..2] };
        let header = Self::new(row, names);
        header.has(Column::Code).then(|| header.only(row, names).map(|()| header))
    }

    fn new(row: &StringRecord, names: &[(Column, &[&str])]) -> Self {
        let mut at: [Vec<usize>; COLUMNS] = std::array::from_fn(|_| Vec::new());
        for (column, names) in names {
            for name in *names {
                at[*column as usize].extend(row.iter().position(|cell| is_named(cell, name)));
            }
            at[*column as usize].dedup();
        }
        Self { at, width: row.len() }
    }

    /// Refuses names that mean nothing: in a file of our own they are slips.
    fn only(&self, row: &StringRecord, names: &[(Column, &[&str])]) -> Result<(), String> {
        for (place, cell) in row.iter().enumerate() {
            if cell.trim().is_empty() || self.at.iter().any(|places| places.contains(&place)) {
                continue;
            }
            let known: Vec<_> = names.iter().map(|(_, names)| names[0]).collect();
            let cell: String = cell.trim().chars().take(40).collect();
            let again =
                if known.iter().any(|name| is_named(&cell, name)) { "stands here twice" } else { "is not known" };
            return Err(format!("the column {cell:?} {again}: there are {}", known.join(", ")));
        }
        Ok(())
    }

    /// Whether the file has this column.
    pub fn has(&self, column: Column) -> bool {
        !self.at[column as usize].is_empty()
    }

    /// What a row says in this column, blanks around it left out; empty where it says nothing.
    pub fn cell<'r>(&self, row: &'r StringRecord, column: Column) -> &'r str {
        let mut cells = self.at[column as usize].iter().filter_map(|place| row.get(*place)).map(str::trim);
        cells.find(|cell| !cell.is_empty()).unwrap_or_default()
    }

    /// Whether a row has more cells than there are columns.
    pub fn is_exceeded_by(&self, row: &StringRecord) -> bool {
        row.iter().skip(self.width).any(|cell| !cell.trim().is_empty())
    }
}

/// Whether a cell of a header says this name, whatever the case, alone or beside its translation (`用户名/username`).
fn is_named(cell: &str, name: &str) -> bool {
    let cell = cell.trim().trim_end_matches('*');
    cell.eq_ignore_ascii_case(name) || cell.split('/').any(|part| part.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &str) -> StringRecord {
        cells.split(',').collect::<Vec<_>>().into()
    }

    #[test]
    fn the_header_tells_the_format() {
        for (cells, format) in [
            ("code,name,email", Format::Plain),
            ("Name, CODE ", Format::Plain),
            (
                "用户名/username,姓名/full_name,邮箱/email,手机号/phone_number,组织/organizations,直接上级/leaders",
                Format::Blueking,
            ),
            ("用户名,全名,邮箱,手机号,组织,直接上级", Format::Blueking),
            ("code,username,display_name,telephone", Format::Blueking),
            ("DN,objectClass,cn,sAMAccountName,mail", Format::Ldap),
            ("uid,displayName,mobile", Format::Ldap),
        ] {
            let (_, found) = Header::of_users(&row(cells), None).expect("a header").expect("known columns");
            assert_eq!(found, format, "{cells}");
            assert_eq!(Format::from_name(format.as_str()), Some(format));
        }
        assert!(Header::of_users(&row("zhang,张三"), None).is_none());
        assert!(Header::of_users(&row("uid,cn"), Some(Format::Plain)).is_none());
    }

    #[test]
    fn a_slip_in_a_file_of_our_own_is_told_and_an_export_may_have_what_it_likes() {
        let slip = Header::of_users(&row("code,emial"), None).expect("a header").expect_err("a slip");
        assert!(slip.contains("\"emial\" is not known") && slip.contains("email"), "{slip}");
        let twice = Header::of_users(&row("code,name,name"), None).expect("a header").expect_err("twice");
        assert!(twice.contains("twice"), "{twice}");
        assert!(Header::of_users(&row("username,年龄/age,emial"), None).expect("a header").is_ok());
        assert!(Header::of_groups(&row("code,name,parent"), true).expect("a header").is_ok());
        assert!(Header::of_groups(&row("code,name,parent"), false).expect("a header").is_err());
        assert!(Header::of_groups(&row("name"), true).is_none());
    }

    #[test]
    fn of_several_columns_the_first_that_says_something_counts() {
        let (header, _) =
            Header::of_users(&row("telephoneNumber,uid,mobile"), None).expect("a header").expect("known columns");
        assert_eq!(header.cell(&row("010,z, 138 "), Column::Phone), "138");
        assert_eq!(header.cell(&row("010,z,"), Column::Phone), "010");
        assert_eq!(header.cell(&row("010"), Column::Code), "");
        assert!(!header.has(Column::Email));
        assert!(header.is_exceeded_by(&row("1,2,3,4")) && !header.is_exceeded_by(&row("1,2,3,,")));
    }
}
