//! Every crate takes the workspace's lints, the workspace does not lower them, and no code steps out of them silently:
//! `#[expect(…, reason = "…")]` is the only way.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Meta, spanned::Spanned, visit::Visit};
use toml::{Table, Value};

use super::Finding;
use crate::tree::Tree;

/// What the workspace must forbid at least, and how strictly.
const AT_LEAST: [(&str, &str, &str); 9] = [
    ("rust", "unsafe_code", "forbid"),
    ("rust", "missing_docs", "warn"),
    ("clippy", "allow_attributes", "warn"),
    ("clippy", "disallowed_methods", "warn"),
    ("clippy", "disallowed_types", "warn"),
    ("clippy", "dbg_macro", "warn"),
    ("clippy", "print_stdout", "warn"),
    ("clippy", "print_stderr", "warn"),
    ("clippy", "unwrap_used", "warn"),
];

const LEVELS: [&str; 4] = ["allow", "warn", "deny", "forbid"];

/// Checks manifests and attributes.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    workspace(tree, &mut findings);
    for (dir, text) in tree.manifests() {
        let path = format!("crates/{dir}/Cargo.toml");
        let lints = text.parse::<Table>().ok().and_then(|table| table.get("lints").cloned());
        let inherits = |lints: &Table| lints.len() == 1 && lints.get("workspace") == Some(&Value::Boolean(true));
        if !lints.as_ref().and_then(Value::as_table).is_some_and(inherits) {
            findings.push(Finding::new(&path, 1, "must hold `[lints]` with `workspace = true` and nothing else"));
        }
    }
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with(".rs")) {
        let mut visitor = Attributes { path, findings: &mut findings };
        if let Ok(file) = syn::parse_file(text) {
            visitor.visit_file(&file);
        }
    }
    findings
}

fn workspace(tree: &Tree, findings: &mut Vec<Finding>) {
    let Some(text) = tree.text("Cargo.toml") else { return };
    let table = text.parse::<Table>().unwrap_or_default();
    let lints = table.get("workspace").and_then(|workspace| workspace.get("lints"));
    for (tool, lint, least) in AT_LEAST {
        let entry = lints.and_then(|lints| lints.get(tool)).and_then(|tool| tool.get(lint));
        let level = entry.and_then(|entry| entry.get("level").unwrap_or(entry).as_str()).unwrap_or("allow");
        let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
        if rank(level) < rank(least) {
            let line = text.lines().position(|line| line.starts_with(lint)).map_or(1, |index| index + 1);
            findings.push(Finding::new("Cargo.toml", line, format!("{tool}::{lint} is {level}, must be {least}")));
        }
    }
}

struct Attributes<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl<'ast> Visit<'ast> for Attributes<'_> {
    fn visit_attribute(&mut self, attr: &'ast Attribute) {
        let Meta::List(list) = &attr.meta else { return };
        let line = attr.span().start().line;
        let conditional = list.path.is_ident("cfg_attr");
        if list.path.is_ident("allow") || conditional && names(list.tokens.clone(), "allow") {
            let what = "`allow` hides a finding for good; use `expect` with a reason";
            self.findings.push(Finding::new(self.path, line, what));
        }
        let expects = list.path.is_ident("expect") || conditional && names(list.tokens.clone(), "expect");
        if expects && !names(list.tokens.clone(), "reason") {
            self.findings.push(Finding::new(self.path, line, "`expect` without a reason"));
        }
        let level = if attr.path().is_ident("warn") { Some("warn") } else { None };
        if matches!(attr.style, syn::AttrStyle::Inner(_)) && level.is_some() {
            let what = "lints are set in the workspace's manifest; a crate may only `deny` or `forbid` more";
            self.findings.push(Finding::new(self.path, line, what));
        }
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone()); // a macro's arguments are not parsed, but may hold items with attributes
    }
}

impl Attributes<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut after_hash = false;
        for token in tokens {
            if let TokenTree::Group(group) = &token {
                let first = group.stream().into_iter().next();
                if after_hash && matches!(first, Some(TokenTree::Ident(name)) if name == "allow") {
                    let line = group.span().start().line;
                    let what = "`allow` hides a finding for good; use `expect` with a reason";
                    self.findings.push(Finding::new(self.path, line, what));
                }
                self.tokens(group.stream());
            }
            let keeps = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '!') && after_hash;
            after_hash = keeps || matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#');
        }
    }
}

/// Whether a word occurs among tokens, at any depth.
fn names(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => names(group.stream(), word),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::found, *};

    fn of_code(text: &str) -> Vec<String> {
        found(check, &[("crates/a/tests/all.rs", text)])
    }

    #[test]
    fn a_crate_must_take_the_workspace_lints_and_nothing_else() {
        let of_manifest = |text: &str| found(check, &[("crates/a/Cargo.toml", text)]).len();
        assert_eq!(of_manifest("[lints]\nworkspace = true\n"), 0);
        assert_eq!(of_manifest("lints.workspace = true\n"), 0);
        assert_eq!(of_manifest("[package]\nname = \"a\"\n"), 1);
        assert_eq!(of_manifest("[lints]\nworkspace = false\n"), 1);
        assert_eq!(of_manifest("[lints.rust]\nunsafe_code = \"allow\"\n"), 1);
    }

    #[test]
    fn the_workspace_must_not_lower_a_lint() {
        let strict: Vec<_> =
            AT_LEAST.iter().map(|(t, l, level)| format!("[workspace.lints.{t}.{l}]\nlevel = \"{level}\"\n")).collect();
        let strict = strict.concat();
        assert_eq!(found(check, &[("Cargo.toml", &strict)]), Vec::<String>::new());
        let loose = strict.replace("forbid", "deny");
        assert_eq!(
            found(check, &[("Cargo.toml", &loose)]),
            ["Cargo.toml:1: rust::unsafe_code is deny, must be forbid"]
        );
        assert_eq!(found(check, &[("Cargo.toml", "[workspace]")]).len(), AT_LEAST.len());
    }

    #[test]
    fn allow_is_found_wherever_it_hides() {
        let what = "`allow` hides a finding for good; use `expect` with a reason";
        assert_eq!(of_code("\n#[allow(dead_code)]\nfn f() {}"), [format!("crates/a/tests/all.rs:2: {what}")]);
        assert_eq!(of_code("#![allow(dead_code)]").len(), 1);
        assert_eq!(of_code("fn f() { #[allow(unused)] let a = 1; }").len(), 1);
        assert_eq!(of_code("#[cfg_attr(test, allow(unused))] fn f() {}").len(), 1);
        assert_eq!(of_code("m! { #[allow(unused)] fn f() {} }").len(), 1);
        assert_eq!(of_code("fn f() { let s = \"#[allow(unused)]\"; allow(1); }"), Vec::<String>::new());
    }

    #[test]
    fn expect_needs_a_reason() {
        assert_eq!(of_code("#[expect(unused, reason = \"why\")] fn f() {}"), Vec::<String>::new());
        assert_eq!(of_code("#[expect(unused)] fn f() {}"), ["crates/a/tests/all.rs:1: `expect` without a reason"]);
    }

    #[test]
    fn a_crate_may_be_stricter_but_not_laxer() {
        assert_eq!(of_code("#![deny(missing_docs)]"), Vec::<String>::new());
        assert_eq!(of_code("#![warn(missing_docs)]").len(), 1);
    }
}
