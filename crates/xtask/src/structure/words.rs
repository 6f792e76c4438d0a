//! What no tracked file may say: an open end without an issue number, a package registry's host, a path of one machine.
//!
//! The words themselves are spelled in pieces here, so that this file passes its own check.

use super::Finding;
use crate::tree::Tree;

/// Marks of open ends; each needs the number of an issue on its line.
const OPEN_ENDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Hosts of package registries and ways of naming one: where packages come from is the builder's own configuration.
const REGISTRIES: [&str; 13] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("npm", "mirror.com"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("sparse+", "http"),
    concat!("--index", "-url"),
    concat!("--extra-index", "-url"),
    concat!("arti", "factory"),
];

/// The one source that a lock file may name.
const PUBLIC_INDEX: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

/// Directories that exist on somebody's machine only.
const MACHINE_PATHS: [&str; 2] = [concat!("/wo", "rk"), concat!("/ro", "ot")];

/// Reads every text file, line by line.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        let locked = path.ends_with("Cargo.lock");
        for (index, line) in text.lines().enumerate() {
            let mut find = |what: String| findings.push(Finding::new(path, index + 1, what));
            if let Some(mark) = OPEN_ENDS.iter().find(|mark| has_word(line, mark))
                && !has_issue_number(line)
            {
                find(format!("{mark} without the number of an issue, as in #123"));
            }
            let lower = line.to_lowercase();
            if let Some(host) = REGISTRIES.iter().find(|host| lower.contains(**host)) {
                find(format!("names a package registry: {host}"));
            }
            if locked && line.starts_with("source = ") && !line.contains(PUBLIC_INDEX) {
                find(format!("a package that is not from the public index: {line}"));
            }
            if let Some(machine) = MACHINE_PATHS.iter().find(|machine| has_path(line, machine)) {
                find(format!("a path of one machine: {machine}"));
            }
        }
    }
    findings
}

/// Whether a word occurs by itself.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_word) && !line[at + word.len()..].starts_with(part_of_word))
}

fn has_issue_number(line: &str) -> bool {
    line.match_indices('#').any(|(at, _)| line[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether an absolute path occurs that starts with this directory.
fn has_path(line: &str, dir: &str) -> bool {
    let before = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '~' | '-' | '/' | '}' | ')' | '$' | '*');
    let after = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    line.match_indices(dir).any(|(at, _)| !line[..at].ends_with(before) && !line[at + dir.len()..].starts_with(after))
}

#[cfg(test)]
mod tests {
    use super::{super::found, *};

    fn of_line(line: &str) -> Vec<String> {
        found(check, &[("notes.md", &format!("fine\n{line}\n"))])
    }

    fn passes(line: &str) -> bool {
        of_line(line).is_empty()
    }

    #[test]
    fn an_open_end_needs_an_issue() {
        let [mark, other] = OPEN_ENDS;
        assert_eq!(
            of_line(&format!("// {mark}: later")),
            [format!("notes.md:2: {mark} without the number of an issue, as in #123")]
        );
        assert!(!passes(&format!("{other}(me) #")));
        assert!(passes(&format!("// {mark}(#123): later")));
        assert!(passes(&format!("{mark}S and MY{mark} are other words")));
    }

    #[test]
    fn registries_are_found() {
        for host in REGISTRIES {
            assert!(!passes(&format!("from https://{host}/simple")), "{host}");
        }
        assert!(passes("published on the package index"));
    }

    #[test]
    fn a_lock_file_may_name_the_public_index_only() {
        let of_lock = |source: &str| found(check, &[("Cargo.lock", &format!("source = \"{source}\""))]).len();
        assert_eq!(of_lock(PUBLIC_INDEX), 0);
        assert_eq!(of_lock("registry+https://mirror.example.com/index"), 1);
        assert_eq!(of_lock("git+https://example.com/a"), 1);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for dir in MACHINE_PATHS {
            assert!(!passes(&format!("cd {dir}/main")), "{dir}");
            assert!(!passes(&format!("\"{dir}\"")), "{dir}");
            assert!(passes(&format!("crates{dir}/main {dir}s/a https://host{dir}/a")), "{dir}");
        }
    }
}
