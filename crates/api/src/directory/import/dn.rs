//! Distinguished names of LDAP (RFC 4514): where an entry stands in its tree.

/// The organisational units of a name from the top down, as a path of departments: `CN=Zhang,OU=R&D,OU=HQ,DC=example` stands in
/// `HQ/R&D`. Empty where it stands in none.
pub(super) fn units(dn: &str) -> String {
    let mut units: Vec<String> = parts(dn).filter(|(key, _)| key.eq_ignore_ascii_case("ou")).map(|(_, v)| v).collect();
    units.reverse();
    units.join("/")
}

/// The common name of an entry; empty where its name does not begin with one.
pub(super) fn common_name(dn: &str) -> String {
    parts(dn).next().filter(|(key, _)| key.eq_ignore_ascii_case("cn")).map(|(_, value)| value).unwrap_or_default()
}

/// The entries in a list of names. Exports part them by `;`, which stands in no name unless a backslash is before it.
pub(super) fn list(cell: &str) -> impl Iterator<Item = &str> {
    split(cell, ';').map(str::trim).filter(|dn| !dn.is_empty())
}

/// The attributes of a name and their values, which hold no `/` and no blank at an end, so that they can be a part of a path.
fn parts(dn: &str) -> impl Iterator<Item = (&str, String)> {
    split(dn, ',').filter_map(|part| {
        let (key, value) = part.split_once('=')?;
        Some((key.trim(), unescaped(value.trim()).trim().replace('/', "-")))
    })
}

/// Divides at `sign`, but not where a backslash stands before it.
fn split(text: &str, sign: char) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |c| {
        let is_sign = c == sign && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_sign
    })
}

/// A value as it is meant: `\,` is a comma, `\E7\A0\94` the UTF-8 of a letter.
fn unescaped(value: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
        } else if let Some(byte) = after.get(..2).and_then(hex) {
            bytes.push(byte);
            rest = &after[2..];
        }
        // Any other sign behind a backslash means itself, and comes next.
        else if let Some((sign, after)) = after.split_first() {
            bytes.push(*sign);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// A cell as csvde writes it where it is not ASCII: `X'e7a094'` is the UTF-8 of a letter.
pub(super) fn text(cell: &str) -> String {
    let quoted = cell.strip_prefix("X'").and_then(|rest| rest.strip_suffix('\''));
    let bytes = quoted.and_then(|digits| digits.as_bytes().chunks(2).map(hex).collect::<Option<Vec<u8>>>());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| cell.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_a_path_from_the_top() {
        for (dn, path) in [
            ("CN=Zhang,OU=R&D,OU=HQ,DC=example,DC=com", "HQ/R&D"),
            ("cn=z, ou=研发部 , ou=总公司,dc=example", "总公司/研发部"),
            (r"CN=Li\, Si,OU=A\,B/C,DC=x", "A,B-C"),
            (r"uid=z,ou=\E7\A0\94\E5\8F\91,dc=x", "研发"),
            ("CN=Zhang,CN=Users,DC=example", ""),
            ("", ""),
            ("nonsense", ""),
        ] {
            assert_eq!(units(dn), path, "{dn}");
        }
    }

    #[test]
    fn groups_are_named_by_their_common_names() {
        let cell = r"CN=Ops,OU=Groups,DC=x;CN=A\;B,DC=x; ;OU=none,DC=x";
        assert_eq!(list(cell).map(common_name).collect::<Vec<_>>(), ["Ops", "A;B", ""]);
    }

    #[test]
    fn cells_of_csvde_are_read() {
        assert_eq!(text("X'e7a094e58f91'"), "研发");
        for same in ["Zhang", "X'e7a'", "X'zz'", "X''x", "X'ff'", "X'€'"] {
            assert_eq!(text(same), same);
        }
    }
}
