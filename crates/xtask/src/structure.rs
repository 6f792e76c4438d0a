//! The structure check: which crate may use which, no import cycle between modules, and the house rules of tidiness.
//!
//! `cargo xtask structure` prints what it finds; the tests of this crate run the same checks, so `cargo test` fails
//! where the command would.

mod cycles;
mod edges;
mod links;
mod lints;
mod sizes;
mod sources;
mod words;

use std::fmt;

use anyhow::Result;

use crate::tree::Tree;

/// Something that a check objects to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

type Check = fn(&Tree) -> Vec<Finding>;

/// Every check, by what it looks after.
const CHECKS: [(&str, Check); 6] = [
    ("crate edges", edges::check),
    ("import cycles", cycles::check),
    ("sizes and module docs", sizes::check),
    ("lints", lints::check),
    ("words", words::check),
    ("links", links::check),
];

/// Runs every check on the repository and prints the findings. Whether there were none.
pub fn run() -> Result<bool> {
    let tree = Tree::read()?;
    let mut clean = true;
    for (name, check) in CHECKS {
        let findings = check(&tree);
        clean &= findings.is_empty();
        crate::say(&format!("{name}: {}", if findings.is_empty() { "ok" } else { "NOT ok" }));
        for finding in findings {
            crate::say(&format!("  {finding}"));
        }
    }
    Ok(clean)
}

/// What a check finds in made-up files, as text.
#[cfg(test)]
fn found(check: Check, files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::of(files)).iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository_passes(check: Check) {
        let findings: Vec<_> = check(&Tree::read().unwrap()).iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }

    #[test]
    fn crates_use_only_what_the_table_lets_them() {
        repository_passes(edges::check);
    }

    #[test]
    fn modules_import_each_other_without_cycles() {
        repository_passes(cycles::check);
    }

    #[test]
    fn files_and_functions_are_short_and_documented() {
        repository_passes(sizes::check);
    }

    #[test]
    fn no_crate_forbids_less_than_the_workspace() {
        repository_passes(lints::check);
    }

    #[test]
    fn no_file_says_what_it_must_not() {
        repository_passes(words::check);
    }

    #[test]
    fn links_between_documents_lead_somewhere() {
        repository_passes(links::check);
    }
}
