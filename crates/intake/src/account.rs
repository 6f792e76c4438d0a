//! What holds for new accounts, whoever makes them: a caller of the token API, an administrator, a plan.

use hongyan_core::text::has_control;

/// The longest name, in characters (`contracts/imsg.md` row 9).
pub const ACCOUNT_NAME_CHARS_MAX: usize = 64;

/// Recipients in any 60 minutes, where nobody says otherwise (the document's default).
pub const PER_HOUR: u32 = 5;

/// Recipients in a calendar day, where nobody says otherwise (the document's default).
pub const PER_DAY: u32 = 20;

/// The highest limit of either sort, which every store can keep.
pub const LIMIT_MAX: u32 = i32::MAX as u32;

/// The name of an account as it is kept, without white space around it; `None` where this can be no name.
pub fn account_name(text: &str) -> Option<&str> {
    let name = text.trim();
    let is_one = !name.is_empty() && name.chars().count() <= ACCOUNT_NAME_CHARS_MAX && !has_control(name);
    is_one.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts() {
        let (long, longer) = ("存".repeat(64), "存".repeat(65));
        for (text, name) in [
            ("天存-system-1001", Some("天存-system-1001")),
            (" a:b ", Some("a:b")),
            (long.as_str(), Some(long.as_str())),
            (longer.as_str(), None),
            (" ", None),
            ("a\u{7}b", None),
        ] {
            assert_eq!(account_name(text), name, "{text:?}");
        }
    }
}
