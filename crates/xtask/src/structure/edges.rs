//! Which crate may depend on which: the table of the design as data, compared with every manifest.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::Finding;
use crate::tree::Tree;

/// What a crate of ours may use of ours.
struct Rule {
    dir: &'static str,
    /// As a dependency of any sort.
    any: &'static [&'static str],
    /// For its tests only.
    dev: &'static [&'static str],
}

const fn rule(dir: &'static str, any: &'static [&'static str], dev: &'static [&'static str]) -> Rule {
    Rule { dir, any, dev }
}

/// The table, by directory under `crates/`. A crate may be missing on disk, but none may be missing here.
const TABLE: [Rule; 13] = [
    rule("core", &[], &[]),
    rule("intake", &["core"], &["store-sqlite"]),
    rule("delivery", &["core"], &[]),
    rule("channels", &["core"], &[]),
    rule("store-sqlite", &["core"], &["store-suite"]),
    rule("store-postgres", &["core"], &["store-suite"]),
    rule("store-suite", &["core"], &[]),
    rule("cmsi", &["core", "intake"], &[]),
    rule("imsg", &["core", "intake"], &[]),
    rule("push", &["core", "intake"], &["store-sqlite"]),
    rule("api", &["core", "intake"], &["store-sqlite"]),
    rule(
        "hongyan",
        &["core", "intake", "delivery", "channels", "store-sqlite", "store-postgres", "cmsi", "imsg", "push", "api"],
        &["store-suite", "xtask"],
    ),
    // For its PostgreSQL server alone: the benchmark judges from outside.
    rule("xtask", &["store-suite"], &[]),
];

/// Compares every manifest with the table.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut manifests = BTreeMap::new();
    for (dir, text) in tree.manifests() {
        match text.parse::<Table>() {
            Ok(table) => drop(manifests.insert(dir, (text, table))),
            Err(error) => findings.push(Finding::new(&path(dir), 1, format!("not a manifest: {error}"))),
        }
    }
    let workspace = tree.text("Cargo.toml").and_then(|text| text.parse::<Table>().ok()).unwrap_or_default();
    let ours: BTreeMap<&str, &str> =
        manifests.iter().filter_map(|(dir, (_, manifest))| Some((package(manifest)?, *dir))).collect();
    for (dir, (text, manifest)) in &manifests {
        let name = package(manifest).unwrap_or("nothing");
        if name != expected_name(dir) {
            let what = format!("the package in crates/{dir} is named {name}, not {}", expected_name(dir));
            findings.push(Finding::new(&path(dir), line_of(text, "name"), what));
        }
        let Some(rule) = TABLE.iter().find(|rule| rule.dir == *dir) else {
            findings.push(Finding::new(&path(dir), 1, format!("the crate {dir} is not in the table of crates")));
            continue;
        };
        for (key, used, dev) in our_edges(manifest, &workspace, &ours) {
            let allowed = rule.any.contains(&used) || dev && rule.dev.contains(&used);
            if !allowed {
                let sort = if dev { " for its tests" } else { "" };
                let what = format!("the crate {dir} may not use the crate {used}{sort}");
                findings.push(Finding::new(&path(dir), line_of(text, key), what));
            }
        }
    }
    findings
}

fn path(dir: &str) -> String {
    format!("crates/{dir}/Cargo.toml")
}

fn package(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

fn expected_name(dir: &str) -> String {
    if matches!(dir, "hongyan" | "xtask") { dir.to_owned() } else { format!("hongyan-{dir}") }
}

fn line_of(text: &str, key: &str) -> usize {
    let named = |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '=', '.']));
    text.lines().position(named).map_or(1, |index| index + 1)
}

/// The dependencies on crates of ours: the key in the manifest, the directory it means, and whether only tests use it.
fn our_edges<'a>(
    manifest: &'a Table,
    workspace: &Table,
    ours: &BTreeMap<&str, &'a str>,
) -> BTreeSet<(&'a str, &'a str, bool)> {
    let mut targets: Vec<&Table> = vec![manifest];
    if let Some(Value::Table(by_target)) = manifest.get("target") {
        targets.extend(by_target.values().filter_map(Value::as_table));
    }
    let shared = workspace.get("workspace").and_then(|table| table.get("dependencies"));
    let mut edges = BTreeSet::new();
    for target in targets {
        let kinds = [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
        for (kind, dev) in kinds {
            let Some(Value::Table(dependencies)) = target.get(kind) else { continue };
            for (key, entry) in dependencies {
                let inherited = shared.and_then(|table| table.get(key));
                let renamed = |entry: &Value| entry.get("package").and_then(Value::as_str).map(str::to_owned);
                let name = renamed(entry).or_else(|| inherited.and_then(renamed)).unwrap_or_else(|| key.clone());
                if let Some(dir) = ours.get(name.as_str()) {
                    edges.insert((key.as_str(), *dir, dev));
                }
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::{super::found, *};

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n\n{rest}")
    }

    fn with(dir: &str, name: &str, rest: &str) -> Vec<String> {
        let (path, text) = (path(dir), manifest(name, rest));
        let mut files = vec![(path.as_str(), text.as_str())];
        let others = [("core", "hongyan-core"), ("intake", "hongyan-intake"), ("store-suite", "hongyan-store-suite")];
        let others = others.map(|(dir, name)| (super::path(dir), manifest(name, "")));
        files.extend(others.iter().filter(|(other, _)| *other != path).map(|(p, t)| (p.as_str(), t.as_str())));
        let root = "[workspace.dependencies]\ninlet = { package = \"hongyan-intake\", path = \"crates/intake\" }\n";
        files.push(("Cargo.toml", root));
        found(check, &files)
    }

    #[test]
    fn an_edge_of_the_table_passes() {
        let clean = Vec::<String>::new();
        assert_eq!(with("cmsi", "hongyan-cmsi", "[dependencies]\nhongyan-core.workspace = true\n"), clean);
        let suite = "[dev-dependencies]\nhongyan-store-suite.workspace = true\n";
        assert_eq!(with("store-sqlite", "hongyan-store-sqlite", suite), clean);
        assert_eq!(with("hongyan", "hongyan", suite), clean);
    }

    #[test]
    fn an_edge_outside_the_table_names_both_crates() {
        let edge = "[dependencies]\nserde = \"1\"\nhongyan-intake = { path = \"../intake\" }\n";
        let expected = ["crates/delivery/Cargo.toml:6: the crate delivery may not use the crate intake"];
        assert_eq!(with("delivery", "hongyan-delivery", edge), expected);
    }

    #[test]
    fn a_new_name_does_not_hide_an_edge() {
        let renamed = "[dependencies]\nfront = { package = \"hongyan-intake\", path = \"../intake\" }\n";
        assert_eq!(with("core", "hongyan-core", renamed).len(), 1);
        let inherited = "[build-dependencies]\ninlet.workspace = true\n";
        assert_eq!(with("core", "hongyan-core", inherited).len(), 1);
        let target = "[target.'cfg(unix)'.dependencies]\nhongyan-intake = { path = \"../intake\" }\n";
        assert_eq!(with("core", "hongyan-core", target).len(), 1);
    }

    #[test]
    fn edges_for_tests_must_be_in_the_table_too() {
        let suite = "[dev-dependencies]\nhongyan-store-suite.workspace = true\n";
        let expected = ["crates/cmsi/Cargo.toml:5: the crate cmsi may not use the crate store-suite for its tests"];
        assert_eq!(with("cmsi", "hongyan-cmsi", suite), expected);
        let normal = "[dependencies]\nhongyan-store-suite.workspace = true\n";
        assert_eq!(with("store-sqlite", "hongyan-store-sqlite", normal).len(), 1);
    }

    #[test]
    fn a_crate_outside_the_table_fails() {
        let expected = ["crates/misc/Cargo.toml:1: the crate misc is not in the table of crates"];
        assert_eq!(with("misc", "hongyan-misc", ""), expected);
        assert_eq!(
            with("push", "push", ""),
            ["crates/push/Cargo.toml:2: the package in crates/push is named push, not hongyan-push"]
        );
    }
}
