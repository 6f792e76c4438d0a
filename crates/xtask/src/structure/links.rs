//! Links in documents to files of the repository lead to files that exist.

use super::Finding;
use crate::tree::Tree;

/// Follows the links of every Markdown file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with(".md")) {
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(line) {
                if let Some(file) = file_of(path, &target)
                    && !tree.has(&file)
                {
                    findings.push(Finding::new(path, index + 1, format!("the link to {target} leads nowhere")));
                }
            }
        }
    }
    findings
}

/// What the links of a line point at: `[text](target "title")`, `[name]: target` and `src="target"`.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let mut found = Vec::new();
    for (at, mark) in line.match_indices("](").chain(line.match_indices("src=\"")).chain(line.match_indices("href=\""))
    {
        let rest = &line[at + mark.len()..];
        let end = if mark == "](" { rest.find([')', ' ']) } else { rest.find('"') };
        found.extend(end.map(|end| rest[..end].trim_matches(['<', '>']).to_owned()));
    }
    if line.trim_start().starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.extend(target.split_whitespace().next().map(|target| target.trim_matches(['<', '>']).to_owned()));
    }
    found
}

/// The line without what stands between backquotes.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The repository path that a link means; nothing for links to elsewhere and into the same page.
fn file_of(document: &str, target: &str) -> Option<String> {
    let file = target.split(['#', '?']).next().unwrap_or_default();
    let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("//") || file.starts_with("mailto:");
    if elsewhere {
        return None;
    }
    let mut parts: Vec<&str> = match file.starts_with('/') {
        true => Vec::new(),
        false => document.split('/').collect(),
    };
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Some(format!("../{file}")), // out of the repository
            ".." => {}
            name => parts.push(name),
        }
    }
    Some(parts.join("/").replace("%20", " "))
}

#[cfg(test)]
mod tests {
    use super::{super::found, *};

    fn of_page(text: &str) -> Vec<String> {
        found(check, &[("docs/a.md", text), ("docs/b.md", ""), ("crates/core/src/lib.rs", "//! A.")])
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let page = "[b](b.md) ![c](../crates/core/src/lib.rs#L1 \"title\") [d](/docs/b.md) [here](#part) [e](..)\n\
                    [web](https://example.com/x.md) [mail](mailto:a@example.com) [dir](../crates/core/)\n[b]: b.md\n";
        assert_eq!(of_page(page), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(of_page("fine\n[c](c.md)"), ["docs/a.md:2: the link to c.md leads nowhere"]);
        assert_eq!(of_page("[c](../../b.md)").len(), 1);
        assert_eq!(of_page("![c](c.png) and [b](b.md) and [d](d.md#x)").len(), 2);
        assert_eq!(of_page("[c]: ../c.md").len(), 1);
        assert_eq!(of_page("<img src=\"c.svg\">").len(), 1);
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(of_page("`[c](c.md)` and ``\n```\n[c](c.md)\n```\n"), Vec::<String>::new());
    }
}
