//! What a person or group of the directory may look like, wherever it comes from: a plan, an import or a single change.

use hongyan_core::{
    address::{AccountId, EmailAddress, Phone},
    directory::{GroupEntry, UserEntry},
    limits,
    text::has_control,
};

/// What is wrong with a person, in words; empty where nothing is.
pub fn user_faults(entry: &UserEntry) -> Vec<String> {
    let user = &entry.user;
    let mut faults = Vec::new();
    faults.extend(code_fault("the code", &user.code, limits::USER_CODE_BYTES_MAX));
    faults.extend(name_fault(&user.name));
    if !user.email.is_empty()
        && let Err(error) = EmailAddress::parse(&user.email)
    {
        faults.push(format!("the email {:?} {error}", user.email));
    }
    if !user.phone.is_empty()
        && let Err(error) = Phone::parse(&user.phone)
    {
        faults.push(format!("the phone {:?} (it begins with +) {error}", user.phone));
    }
    for (key, id) in [("wecom", &user.wecom), ("openid", &user.openid)] {
        if !id.is_empty()
            && let Err(error) = AccountId::parse(id)
        {
            faults.push(format!("{key} {id:?} {error}"));
        }
    }
    for (kind, code) in entry.groups() {
        faults.extend(code_fault(&format!("the {}", kind.as_str()), code, limits::GROUP_CODE_BYTES_MAX));
    }
    if entry.groups().count() > limits::MEMBERSHIPS_MAX {
        faults.push(format!("it belongs to more than {} departments, posts and roles", limits::MEMBERSHIPS_MAX));
    }
    faults
}

/// What is wrong with a department, post or role, in words; empty where nothing is.
pub fn group_faults(entry: &GroupEntry) -> Vec<String> {
    let mut faults = Vec::new();
    faults.extend(code_fault("the code", &entry.code, limits::GROUP_CODE_BYTES_MAX));
    faults.extend(name_fault(&entry.name));
    if !entry.parent.is_empty() {
        faults.extend(code_fault("the parent", &entry.parent, limits::GROUP_CODE_BYTES_MAX));
        if entry.parent == entry.code {
            faults.push("it would lie below itself".to_owned());
        }
    }
    faults
}

fn code_fault(what: &str, code: &str, bytes_max: usize) -> Option<String> {
    if code.is_empty() {
        return Some(format!("{what} is missing"));
    }
    if code.len() > bytes_max {
        let begin: String = code.chars().take(40).collect();
        return Some(format!("{what} {begin:?}… is longer than {bytes_max} bytes"));
    }
    (has_control(code) || code.trim() != code)
        .then(|| format!("{what} {code:?} has a control character, or a blank at an end"))
}

fn name_fault(name: &str) -> Option<String> {
    if has_control(name) {
        return Some("the name has a control character".to_owned());
    }
    (name.chars().count() > limits::NAME_CHARS_MAX)
        .then(|| format!("the name is longer than {} characters", limits::NAME_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use hongyan_core::{directory::GroupKind, setup::User};

    use super::*;

    fn person(change: impl FnOnce(&mut UserEntry)) -> Vec<String> {
        let user = User {
            code: "zhang".into(),
            name: "张三".into(),
            email: "zhang@example.com".into(),
            phone: "+8613800000001".into(),
            wecom: "zhang".into(),
            openid: "oABC".into(),
            enabled: true,
        };
        let mut entry = UserEntry { user, departments: vec!["总公司/研发部".into()], ..UserEntry::default() };
        change(&mut entry);
        user_faults(&entry)
    }

    #[test]
    fn each_field_of_a_person_is_held_to_its_rule() {
        assert_eq!(person(|_| {}), Vec::<String>::new());
        assert_eq!(person(|entry| entry.user = User { code: "z".into(), ..User::default() }), Vec::<String>::new());
        type Change = fn(&mut UserEntry);
        let wrong: [(Change, &str); 10] = [
            (|entry| entry.user.code.clear(), "the code is missing"),
            (|entry| entry.user.code = " z".into(), "the code \" z\""),
            (|entry| entry.user.code = "z".repeat(129), "longer than 128 bytes"),
            (|entry| entry.user.name = "a\nb".into(), "the name has a control"),
            (|entry| entry.user.name = "名".repeat(256), "longer than 255 characters"),
            (|entry| entry.user.email = "zhang".into(), "the email \"zhang\""),
            (|entry| entry.user.phone = "13800000001".into(), "begins with +"),
            (|entry| entry.user.wecom = "a|b".into(), "wecom \"a|b\""),
            (|entry| entry.posts = vec![String::new()], "the post is missing"),
            (|entry| entry.roles = (0..1_000).map(|n| n.to_string()).collect(), "more than 1000"),
        ];
        for (change, word) in wrong {
            let faults = person(change);
            assert!(faults.len() == 1 && faults[0].contains(word), "{word}: {faults:?}");
        }
        assert_eq!(person(|entry| (entry.user.email, entry.user.openid) = ("x".into(), "@all".into())).len(), 2);
    }

    #[test]
    fn a_group_has_a_code_and_is_not_its_own_parent() {
        let group = |code: &str, parent: &str| {
            let (code, parent) = (code.to_owned(), parent.to_owned());
            group_faults(&GroupEntry { kind: GroupKind::Department, code, name: String::new(), parent })
        };
        assert!(group("D1", "").is_empty() && group("D1", "D0").is_empty() && group(&"d".repeat(512), "").is_empty());
        for (code, parent) in [("", ""), ("D1", "D1"), ("D1 ", ""), ("D1", "a\tb"), (&"d".repeat(513), "")] {
            assert_eq!(group(code, parent).len(), 1, "{code} {parent}");
        }
    }
}
