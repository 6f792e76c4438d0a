//! From a row to a person, in each format.

use csv::StringRecord;
use hongyan_core::{
    address::{AddressError, MAINLAND, Phone},
    directory::UserEntry,
    setup::User,
};

use super::{
    columns::{Column, Format, Header},
    dn,
};

/// `userAccountControl`'s flag of an account that is disabled (MS-ADTS 2.2.16, `ADS_UF_ACCOUNT_DISABLE`).
const DISABLED: u32 = 2;

/// The person of a row, with what is wrong in its cells in `faults`; `None` where the row is about something else, as exports of a
/// whole LDAP tree have it.
pub(super) fn person(
    format: Format,
    header: &Header,
    row: &StringRecord,
    faults: &mut Vec<String>,
) -> Option<UserEntry> {
    let cell = |column| header.cell(row, column);
    match format {
        Format::Plain => Some(plain(&cell, faults)),
        Format::Blueking => Some(blueking(&cell, faults)),
        Format::Ldap => is_person(cell(Column::Class)).then(|| ldap(&cell, faults)),
    }
}

fn plain<'r>(cell: &impl Fn(Column) -> &'r str, faults: &mut Vec<String>) -> UserEntry {
    let enabled = match cell(Column::Enabled).to_ascii_lowercase().as_str() {
        "" | "true" | "1" => true,
        "false" | "0" => false,
        _ => {
            faults.push("enabled is true or false".to_owned());
            true
        }
    };
    let list = |column| once_each(cell(column).split(';').map(|code| code.trim().to_owned()));
    UserEntry {
        user: user(cell, enabled, faults),
        departments: list(Column::Departments),
        posts: list(Column::Posts),
        roles: list(Column::Roles),
    }
}

fn blueking<'r>(cell: &impl Fn(Column) -> &'r str, faults: &mut Vec<String>) -> UserEntry {
    let is_on_staff = !matches!(cell(Column::Staff).to_ascii_uppercase().as_str(), "OUT" | "离职" | "已离职");
    let enabled = is_on_staff && counts(cell(Column::Status), faults);
    let paths = cell(Column::Departments).split(['\n', ';', ',', '；', '，']);
    UserEntry { user: user(cell, enabled, faults), departments: once_each(paths.map(path)), ..UserEntry::default() }
}

/// Whether BlueKing's status says that an account counts. One that is locked (after wrong passwords) is somebody still.
fn counts(status: &str, faults: &mut Vec<String>) -> bool {
    match status.to_ascii_uppercase().as_str() {
        "" | "NORMAL" | "ENABLED" | "LOCKED" | "正常" | "启用" | "冻结" | "被冻结" | "锁定" => true,
        "DISABLED" | "DELETED" | "EXPIRED" | "禁用" | "被禁用" | "停用" | "删除" | "被删除" | "已删除" | "过期"
        | "已过期" => false,
        _ => {
            faults.push(format!("the status {status:?} is not known: there are NORMAL (正常), DISABLED (禁用), …"));
            true
        }
    }
}

fn ldap<'r>(cell: &impl Fn(Column) -> &'r str, faults: &mut Vec<String>) -> UserEntry {
    let control = cell(Column::Control);
    // csvde writes the flags as a signed number.
    let flags = if control.is_empty() { Some(0) } else { control.parse::<i64>().ok() };
    if flags.is_none() {
        faults.push(format!("userAccountControl {control:?} is no number"));
    }
    let is_locked = cell(Column::Locked).eq_ignore_ascii_case("true");
    let enabled = flags.is_none_or(|flags| flags & i64::from(DISABLED) == 0) && !is_locked;
    let departments = match (dn::text(cell(Column::Departments)), dn::units(&dn::text(cell(Column::Dn)))) {
        (named, _) if !named.is_empty() => once_each(named.split([';', '\n']).map(path)),
        (_, units) if !units.is_empty() => vec![units],
        _ => once_each(dn::list(&dn::text(cell(Column::MemberOf))).map(dn::common_name)),
    };
    let plain = user(cell, enabled, faults);
    let user = User { code: dn::text(&plain.code), name: dn::text(&plain.name), ..plain };
    UserEntry { user, departments, ..UserEntry::default() }
}

/// Whether an entry of an LDAP tree is a person, by its classes, where they are told.
fn is_person(classes: &str) -> bool {
    let mut classes = classes.split(|c: char| !c.is_alphanumeric()).filter(|class| !class.is_empty()).peekable();
    let is_told = classes.peek().is_some();
    let (mut is_person, mut is_machine) = (false, false);
    for class in classes {
        let class = class.to_ascii_lowercase();
        is_person |=
            matches!(class.as_str(), "person" | "user" | "inetorgperson" | "organizationalperson" | "posixaccount");
        is_machine |= class == "computer";
    }
    !is_told || is_person && !is_machine
}

/// What all formats have alike.
fn user<'r>(cell: &impl Fn(Column) -> &'r str, enabled: bool, faults: &mut Vec<String>) -> User {
    let text = |column| cell(column).to_owned();
    let given = cell(Column::Phone);
    let phone = phone(given, cell(Column::Country)).unwrap_or_else(|error| {
        faults.push(format!("the phone {given:?} {error}"));
        String::new()
    });
    User {
        code: text(Column::Code),
        name: text(Column::Name),
        email: text(Column::Email),
        phone,
        wecom: text(Column::Wecom),
        openid: text(Column::Openid),
        enabled,
    }
}

/// A phone number in the form of E.164; one without its country's code is of `country`, or of mainland China.
fn phone(given: &str, country: &str) -> Result<String, AddressError> {
    let number: String = given.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '\u{a0}')).collect();
    if number.is_empty() {
        return Ok(number);
    }
    let country = country.trim_start_matches('+');
    let country = if country.is_empty() { MAINLAND } else { country };
    let whole = number.strip_prefix("00").map(|rest| format!("+{rest}"));
    let phone =
        match (whole.as_deref().or(number.starts_with('+').then_some(number.as_str())), number.strip_prefix('0')) {
            (Some(whole), _) => Phone::parse(whole),
            // The 0 before the number of a city is dialled within the country alone.
            (None, Some(in_city)) if country == MAINLAND => Phone::national(country, in_city),
            _ => Phone::national(country, &number),
        };
    phone.map(|phone| phone.as_str().to_owned())
}

/// A path of departments without blanks around its names, or a slash at an end.
fn path(text: &str) -> String {
    text.split('/').map(str::trim).filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/")
}

fn once_each(codes: impl Iterator<Item = String>) -> Vec<String> {
    let mut list = Vec::new();
    for code in codes {
        if !code.is_empty() && !list.contains(&code) {
            list.push(code);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str, cells: &[&str]) -> (Option<UserEntry>, Vec<String>) {
        let head: StringRecord = head.split(',').collect::<Vec<_>>().into();
        let (header, format) = Header::of_users(&head, None).expect("a header").expect("known columns");
        let mut faults = Vec::new();
        (person(format, &header, &cells.to_vec().into(), &mut faults), faults)
    }

    fn good(head: &str, cells: &[&str]) -> UserEntry {
        let (entry, faults) = read(head, cells);
        assert_eq!(faults, Vec::<String>::new());
        entry.expect("a person")
    }

    #[test]
    fn a_row_of_our_own() {
        let head = "code,name,email,phone,wecom,openid,departments,posts,roles,enabled";
        let cells = ["z", " 张三 ", "z@x.cn", "13800000001", "w", "o", "D1; D2;D1;", "P1", "", "0"];
        let user = User {
            code: "z".into(),
            name: "张三".into(),
            email: "z@x.cn".into(),
            phone: "+8613800000001".into(),
            wecom: "w".into(),
            openid: "o".into(),
            enabled: false,
        };
        let wanted = UserEntry {
            user,
            departments: vec!["D1".into(), "D2".into()],
            posts: vec!["P1".into()],
            roles: Vec::new(),
        };
        assert_eq!(good(head, &cells), wanted);
        assert!(good("code", &["z"]).user.enabled);
        let (_, faults) = read("code,phone,enabled", &["z", "1.38E+10", "perhaps"]);
        assert!(faults.len() == 2 && faults[0].contains("enabled") && faults[1].contains("1.38E+10"), "{faults:?}");
    }

    #[test]
    fn a_row_of_blueking() {
        let head = "用户名/username,姓名/full_name,邮箱/email,手机号/phone_number,组织/organizations,直接上级/leaders";
        let entry =
            good(head, &["z", "张三", "z@x.cn", "+85251234567", "总公司/研发部, 总公司 / 平台/ ,总公司/研发部", "li"]);
        assert_eq!((entry.user.code.as_str(), entry.user.name.as_str()), ("z", "张三"));
        assert_eq!(entry.user.phone, "+85251234567");
        assert_eq!(entry.departments, ["总公司/研发部", "总公司/平台"]);
        let head = "username,telephone,country_code,status,staff_status,wx_userid";
        for (status, staff, enabled) in [
            ("NORMAL", "IN", true),
            ("正常", "在职", true),
            ("LOCKED", "", true),
            ("", "", true),
            ("DISABLED", "IN", false),
            ("被删除", "在职", false),
            ("NORMAL", "OUT", false),
            ("正常", "离职", false),
        ] {
            let entry = good(head, &["z", "51234567", "852", status, staff, "w"]);
            assert_eq!(entry.user.enabled, enabled, "{status} {staff}");
            assert_eq!((entry.user.phone.as_str(), entry.user.wecom.as_str()), ("+85251234567", "w"));
        }
        assert!(read(head, &["z", "", "", "whatever", "", ""]).1[0].contains("whatever"));
    }

    #[test]
    fn a_row_of_ldap() {
        let head = "DN,objectClass,cn,sAMAccountName,mail,telephoneNumber,department,userAccountControl,memberOf";
        let dn = "CN=Zhang San,OU=R&D,OU=HQ,DC=x";
        let row = |department: &str, control: &str, dn: &str, member: &str| {
            good(head, &[dn, "user", "X'e5bca0e4b889'", "zhang", "z@x.cn", "010-12345678", department, control, member])
        };
        let entry = row("研发部", "512", dn, "");
        assert_eq!((entry.user.code.as_str(), entry.user.name.as_str()), ("zhang", "张三"));
        assert_eq!((entry.user.phone.as_str(), entry.user.enabled), ("+861012345678", true));
        assert_eq!(entry.departments, ["研发部"]);
        assert_eq!(row("", "66048", dn, "").departments, ["HQ/R&D"]);
        assert_eq!(row("", "66048", "CN=Z,CN=Users,DC=x", "CN=Ops,DC=x;CN=Dev,DC=x").departments, ["Ops", "Dev"]);
        for (control, enabled) in
            [("514", false), ("66050", false), ("66048", true), ("", true), ("-2147483646", false)]
        {
            assert_eq!(row("", control, dn, "").user.enabled, enabled, "{control}");
        }
        assert!(!good("uid,nsAccountLock", &["z", "TRUE"]).user.enabled);
        assert!(read(head, &[dn, "user", "", "z", "", "", "", "many", ""]).1[0].contains("many"));
        for (class, counts) in [
            ("top;person;organizationalPerson;user", true),
            ("inetOrgPerson", true),
            ("", true),
            ("top;person;organizationalPerson;user;computer", false),
            ("group", false),
            ("organizationalUnit", false),
        ] {
            assert_eq!(read("uid,objectClass", &["z", class]).0.is_some(), counts, "{class}");
        }
    }

    #[test]
    fn phones_become_whole_numbers() {
        for (given, country, whole) in [
            ("", "", ""),
            ("13800000001", "", "+8613800000001"),
            ("8613800000001", "", "+8613800000001"),
            ("+86 138-0000-0001", "", "+8613800000001"),
            ("008613800000001", "", "+8613800000001"),
            ("(010) 12345678", "", "+861012345678"),
            ("51234567", "+852", "+85251234567"),
            ("+85251234567", "86", "+85251234567"),
        ] {
            assert_eq!(phone(given, country).expect("a number"), whole, "{given} {country}");
        }
        for wrong in ["1.38E+10", "none", "+", "13800000001 ext 5", "86138000000011111111"] {
            assert!(phone(wrong, "").is_err(), "{wrong}");
        }
    }
}
