//! Every statement stands in `src/sql`, where a test reads it (`src/sql/rules.rs`); what makes and drops tables stands with them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Where else SQL may stand: what makes or changes tables, and what a connection is set to.
const PLACES: [&str; 7] =
    ["schema.rs", "schema/indexes.rs", "schema/v1.rs", "schema/v5.rs", "migrate.rs", "days.rs", "target.rs"];

/// Statements that stand elsewhere, as nobody else needs them: settings of one operation, and whole
/// tables.
const ELSEWHERE: [(&str, &str); 5] = [
    ("ops/directory.rs", "SET LOCAL lock_timeout = 0"),
    ("ops/prune.rs", "SET LOCAL lock_timeout = '100ms'"),
    ("ops/prune.rs", "DROP TABLE IF EXISTS {}"),
    ("arrival.rs", "SET enable_seqscan = on"),
    ("arrival.rs", "TRUNCATE message, attachment,"),
];

/// By what a statement is known, in capitals as all of ours are written.
const WORDS: [&str; 14] = [
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "WHERE ",
    "FROM ",
    "SET ",
    "CREATE TABLE",
    "ALTER TABLE",
    "DROP TABLE",
    "TRUNCATE ",
    "LOCK TABLE",
    "LISTEN ",
    "NOTIFY ",
];

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The texts of a source file, without its comments and tests.
fn texts(tokens: TokenStream, found: &mut Vec<String>) {
    let mut is_test = false;
    for token in tokens {
        match token {
            TokenTree::Literal(literal) => found.push(literal.to_string()),
            TokenTree::Group(group) => {
                let inner = group.stream().to_string();
                match group.delimiter() {
                    Delimiter::Bracket if inner.starts_with("doc =") => {}
                    Delimiter::Bracket if inner == "cfg (test)" => is_test = true,
                    Delimiter::Brace if is_test => is_test = false,
                    _ => texts(group.stream(), found),
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn statements(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    texts(source.parse().expect("the source can be read"), &mut found);
    found.retain(|text| WORDS.iter().any(|word| text.contains(word)));
    found
}

#[test]
fn statements_stand_where_they_are_read() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let mut astray = Vec::new();
    for path in &found {
        let name = path.strip_prefix(&source).expect("is below").to_string_lossy().into_owned();
        if name.starts_with("sql/") || PLACES.contains(&name.as_str()) {
            continue;
        }
        let is_known = |text: &&String| ELSEWHERE.iter().any(|(file, known)| name == *file && text.contains(known));
        let text = fs::read_to_string(path).expect("a source file");
        astray.extend(statements(&text).iter().filter(|text| !is_known(text)).map(|text| format!("{name}: {text}")));
    }
    assert!(found.len() > 30, "the sources are not where they were: {found:?}");
    assert!(astray.is_empty(), "{astray:#?}");
}

#[test]
fn finds_a_statement_that_went_astray() {
    let source = r##"
        /// SELECT in a comment.
        fn run() { db.query("SELECT 1 FROM node", &[]); say!("selects where it can"); db.batch(&format!(r#"DROP TABLE {name}"#)); }
        #[cfg(test)]
        mod tests { const SQL: &str = "DELETE FROM node"; }
    "##;
    assert_eq!(statements(source), [r#""SELECT 1 FROM node""#, r##"r#"DROP TABLE {name}"#"##]);
}
