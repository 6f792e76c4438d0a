//! The repository's text files in memory, so that every check is a function of text and its tests need no disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The text files of a repository by their path from its root, with `/` between the parts.
pub struct Tree {
    files: BTreeMap<String, String>,
    others: Vec<String>,
}

impl Tree {
    /// Reads the repository around the current directory: what is tracked, and what is new and not ignored.
    pub fn read() -> Result<Self> {
        let root = root()?;
        let mut tree = Self { files: BTreeMap::new(), others: Vec::new() };
        for path in listing(&root)? {
            let full = root.join(&path);
            if !full.is_file() {
                continue; // deleted and not yet committed, or a link to elsewhere
            }
            match String::from_utf8(std::fs::read(&full).with_context(|| format!("cannot read {path}"))?) {
                Ok(text) => drop(tree.files.insert(path, text)),
                Err(_) => tree.others.push(path),
            }
        }
        Ok(tree)
    }

    /// A tree of made-up files.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { files, others: Vec::new() }
    }

    /// The text files, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is a file, text or not, or a directory of that path. The empty path is the root.
    pub fn has(&self, path: &str) -> bool {
        let inside = format!("{path}/");
        let mut all = self.files.keys().chain(&self.others);
        path.is_empty() || all.any(|file| file == path || file.starts_with(&inside))
    }

    /// The directories under `crates/` that hold a manifest, with its text.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter_map(|(path, text)| {
            let dir = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
            (!dir.contains('/')).then_some((dir, text))
        })
    }
}

/// The root of the workspace around the current directory.
pub fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("there is no current directory")?;
    for dir in here.ancestors() {
        let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
        if manifest.lines().any(|line| line.trim() == "[workspace]") {
            return Ok(dir.to_owned());
        }
    }
    bail!("no workspace around {}", here.display())
}

fn listing(root: &Path) -> Result<Vec<String>> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    if let Ok(output) = git
        && output.status.success()
    {
        let text = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        return Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect());
    }
    let mut found = Vec::new();
    walk(root, "", &mut found)?; // an unpacked archive without its history
    Ok(found)
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a file name is not UTF-8")?;
        if matches!(name.as_str(), "target" | ".git" | "data" | ".venv" | "node_modules") {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), &path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_repository_and_what_is_in_it() {
        let tree = Tree::read().unwrap();
        assert!(tree.text("Cargo.toml").unwrap().contains("[workspace]"));
        assert!(tree.has("crates/xtask/src"));
        assert!(!tree.has("crates/xtask/sr"));
        assert!(tree.manifests().any(|(dir, _)| dir == "xtask"));
    }

    #[test]
    fn a_walk_finds_what_git_would_list() {
        let mut found = Vec::new();
        walk(&root().unwrap().join("crates/xtask"), "", &mut found).unwrap();
        assert!(found.contains(&"src/tree.rs".to_owned()), "{found:?}");
    }
}
