//! `hongyan directory show` and `who`.

use clap::Args;
use serde_json::{Value, json};

use super::{Kind, PATH, print, print_json};
use crate::{
    account::desk::Desk,
    fetch::{Call, path_segment},
    table::table,
    talk::say,
};

/// `hongyan directory who …`
#[derive(Debug, Args)]
pub(super) struct Who {
    /// A person, by code; may be given again, as may the others.
    #[arg(long, value_name = "CODE")]
    user: Vec<String>,
    /// A department, by code, and all below it.
    #[arg(long, value_name = "CODE")]
    dept: Vec<String>,
    /// A post, by code.
    #[arg(long, value_name = "CODE")]
    post: Vec<String>,
    /// A role, by code.
    #[arg(long, value_name = "CODE")]
    role: Vec<String>,
    /// Everyone who is enabled.
    #[arg(long)]
    everyone: bool,
    /// Leave those below the departments out.
    #[arg(long)]
    exact: bool,
}

pub(super) async fn show(desk: &Desk, kind: Kind, code: &str, json: bool) -> anyhow::Result<bool> {
    let list = match kind {
        Kind::User => "users",
        Kind::Department => "departments",
        Kind::Post => "posts",
        Kind::Role => "roles",
    };
    let found = desk.call(Call::get(format!("{PATH}/{list}/{}", path_segment(code)))).await?;
    if json {
        print_json(&found)?;
    } else {
        print(&lines(&found))?;
    }
    Ok(true)
}

pub(super) async fn who(desk: &Desk, who: &Who, json: bool) -> anyhow::Result<bool> {
    let Who { user, dept, post, role, everyone, exact } = who;
    let asked = json!({
        "user": user, "dept": dept, "post": post, "role": role, "everyone": everyone, "exact": exact,
    });
    let found = desk.call(Call::post(format!("{PATH}/who"), asked.to_string())).await?;
    for (kind, codes) in found["unknown"].as_object().into_iter().flatten() {
        for code in codes.as_array().into_iter().flatten() {
            say(&format!("hongyan: there is no {kind} {code}."));
        }
    }
    if json {
        print_json(&found)?;
    } else {
        print(&reached(&found))?;
    }
    Ok(true)
}

/// A key and its value a line; what is empty is left out.
fn lines(found: &Value) -> String {
    let mut page = String::new();
    for (key, value) in found.as_object().into_iter().flatten() {
        let text = match value {
            Value::Array(codes) => codes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !text.is_empty() {
            page += &format!("{key} {text}\n");
        }
    }
    page
}

fn reached(found: &Value) -> String {
    let keys = ["code", "name", "email", "phone", "wecom", "openid"];
    let people = found["people"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<_> =
        people.iter().map(|one| keys.map(|key| one[key].as_str().unwrap_or_default().to_owned())).collect();
    let more = if found["more"] == true { " or more" } else { "" };
    let shown = table(["CODE", "NAME", "EMAIL", "PHONE", "WECOM", "OPENID"], &rows);
    format!("people {}{more}\n{}", found["count"], if rows.is_empty() { "" } else { &shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_shown() {
        let user = json!({ "code": "z", "name": "", "departments": ["D1", "D2"], "posts": [], "enabled": true });
        assert_eq!(lines(&user), "code z\ndepartments D1; D2\nenabled true\n");
        let nobody = json!({ "count": 0, "more": false, "people": [] });
        assert_eq!(reached(&nobody), "people 0\n");
        let many = json!({ "count": 100_000, "more": true, "people": [{ "code": "z", "email": "z@x.cn" }] });
        assert_eq!(
            reached(&many),
            "people 100000 or more\nCODE  NAME  EMAIL   PHONE  WECOM  OPENID\nz           z@x.cn\n"
        );
    }
}
