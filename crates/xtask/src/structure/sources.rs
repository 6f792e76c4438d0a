//! The crates' sources as module trees: every file parsed, `mod` declarations followed from the roots, test code marked.

use std::collections::BTreeSet;

use proc_macro2::TokenTree;
use syn::{Attribute, Item, Meta, spanned::Spanned};

use super::Finding;
use crate::tree::Tree;

/// A module of a crate, in a file of its own or inline.
pub struct Module {
    /// Its path from the crate's root; empty for the root.
    pub path: Vec<String>,
    /// The file that holds it.
    pub file: String,
    /// What it holds.
    pub items: Vec<Item>,
    /// Whether it is compiled for tests only.
    pub test: bool,
    /// Whether a file of its own holds it.
    own_file: bool,
}

/// One root file (a library or a binary) and all modules under it.
pub struct Root {
    /// The root file.
    pub file: String,
    /// Its modules, the root first.
    pub modules: Vec<Module>,
}

/// Every crate's sources.
pub struct Sources {
    /// The roots, of all crates.
    pub roots: Vec<Root>,
    /// What cannot be read as Rust, and files that no root leads to.
    pub findings: Vec<Finding>,
}

impl Sources {
    /// Reads the sources of all crates.
    pub fn read(tree: &Tree) -> Self {
        let mut sources = Self { roots: Vec::new(), findings: Vec::new() };
        let root_files: Vec<&str> = tree.files().map(|(path, _)| path).filter(|path| is_root(path)).collect();
        for file in root_files {
            let mut reader = Reader { tree, modules: Vec::new(), findings: &mut sources.findings };
            reader.file(file, Vec::new(), false);
            sources.roots.push(Root { file: file.to_owned(), modules: reader.modules });
        }
        let reached: BTreeSet<&str> =
            sources.roots.iter().flat_map(|root| root.modules.iter().map(|module| module.file.as_str())).collect();
        for (path, _) in tree.files().filter(|(path, _)| in_src(path) && !reached.contains(path)) {
            sources.findings.push(Finding::new(path, 1, "no `mod` declaration leads to this file"));
        }
        sources
    }

    /// The modules that have a file of their own, each file once.
    pub fn files(&self) -> impl Iterator<Item = &Module> {
        let mut seen = BTreeSet::new();
        let modules = self.roots.iter().flat_map(|root| &root.modules);
        modules.filter(move |module| module.own_file && seen.insert(module.file.as_str()))
    }
}

/// Whether a path is a Rust file under a crate's `src`.
pub fn in_src(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates") && parts.nth(1) == Some("src") && path.ends_with(".rs")
}

fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    in_src(path) && matches!(parts[3..], ["lib.rs" | "main.rs"] | ["bin", _] | ["bin", _, "main.rs"])
}

struct Reader<'a> {
    tree: &'a Tree,
    modules: Vec<Module>,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    fn file(&mut self, file: &str, path: Vec<String>, test: bool) {
        let Some(text) = self.tree.text(file) else { return };
        match syn::parse_file(text) {
            Ok(parsed) => {
                let test = test || parsed.attrs.iter().any(is_cfg_test);
                self.module(file, path, parsed.items, test, true);
            }
            Err(error) => {
                let line = error.span().start().line;
                self.findings.push(Finding::new(file, line, format!("not Rust: {error}")));
            }
        }
    }

    fn module(&mut self, file: &str, path: Vec<String>, items: Vec<Item>, test: bool, own_file: bool) {
        let index = self.modules.len();
        self.modules.push(Module { path: path.clone(), file: file.to_owned(), items: Vec::new(), test, own_file });
        for item in &items {
            let Item::Mod(inner) = item else { continue };
            let mut inner_path = path.clone();
            inner_path.push(inner.ident.to_string());
            let test = test || inner.attrs.iter().any(is_cfg_test);
            match &inner.content {
                Some((_, items)) => self.module(file, inner_path, items.clone(), test, false),
                None => self.declared(file, inner, inner_path, test),
            }
        }
        self.modules[index].items = items;
    }

    fn declared(&mut self, file: &str, item: &syn::ItemMod, path: Vec<String>, test: bool) {
        let places = places(file, &path, &item.attrs);
        match places.iter().find(|place| self.tree.text(place).is_some()) {
            Some(place) => self.file(place, path, test),
            None => {
                let what = format!("no file for the module {}", item.ident);
                self.findings.push(Finding::new(file, item.span().start().line, what));
            }
        }
    }
}

/// Where the file of a declared module may be.
fn places(file: &str, path: &[String], attrs: &[Attribute]) -> Vec<String> {
    let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("path")) {
        if let Meta::NameValue(meta) = &attr.meta
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &meta.value
        {
            return vec![format!("{dir}/{}", text.value())];
        }
    }
    let mut parts = file.split('/').skip(3);
    let src = file.split('/').take(3).collect::<Vec<_>>().join("/");
    let base = match parts.next() {
        Some("bin") => file.strip_suffix("/main.rs").unwrap_or(&format!("{src}/bin")).to_owned(),
        _ => src,
    };
    let stem = format!("{base}/{}", path.join("/"));
    vec![format!("{stem}.rs"), format!("{stem}/mod.rs")]
}

/// Whether an attribute keeps its item out of everything but tests.
pub fn is_cfg_test(attr: &Attribute) -> bool {
    let Meta::List(list) = &attr.meta else { return false };
    list.path.is_ident("cfg") && needs_test(list.tokens.clone())
}

/// Whether the condition holds for tests only: `test`, or `all(…)` with it.
fn needs_test(tokens: proc_macro2::TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let TokenTree::Ident(name) = token else { continue };
        match tokens.peek() {
            Some(TokenTree::Group(inner)) if name == "all" && needs_test(inner.stream()) => return true,
            Some(TokenTree::Group(_)) => drop(tokens.next()),
            _ if name == "test" => return true,
            _ => {}
        }
    }
    false
}

/// Whether an item is compiled for tests only, or is a test.
pub fn is_test_item(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| is_cfg_test(attr) || attr.path().segments.last().is_some_and(|last| last.ident == "test"))
}

/// The attributes of an item.
pub fn attrs(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_wherever_they_may_be() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "mod b; mod c { mod d; } #[cfg(test)] mod t; #[path = \"odd.rs\"] mod e;"),
            ("crates/a/src/b.rs", "mod deep;"),
            ("crates/a/src/b/deep.rs", ""),
            ("crates/a/src/c/d/mod.rs", ""),
            ("crates/a/src/t.rs", "mod u;"),
            ("crates/a/src/t/u.rs", ""),
            ("crates/a/src/odd.rs", ""),
            ("crates/a/src/bin/tool.rs", ""),
        ]);
        let sources = Sources::read(&tree);
        assert_eq!(sources.findings, []);
        let listed: Vec<String> = sources.roots[1].modules.iter().map(|m| format!("{:?}{}", m.path, m.test)).collect();
        let expected = [
            "[]false",
            "[\"b\"]false",
            "[\"b\", \"deep\"]false",
            "[\"c\"]false",
            "[\"c\", \"d\"]false",
            "[\"t\"]true",
            "[\"t\", \"u\"]true",
            "[\"e\"]false",
        ];
        assert_eq!(listed, expected);
        assert_eq!(sources.files().count(), 8);
    }

    #[test]
    fn a_file_that_nothing_leads_to_and_a_module_without_a_file_are_found() {
        let tree = Tree::of(&[("crates/a/src/lib.rs", "mod gone;"), ("crates/a/src/stray.rs", "")]);
        let found: Vec<String> = Sources::read(&tree).findings.iter().map(ToString::to_string).collect();
        let expected = [
            "crates/a/src/lib.rs:1: no file for the module gone",
            "crates/a/src/stray.rs:1: no `mod` declaration leads to this file",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_rust_is_found() {
        let tree = Tree::of(&[("crates/a/src/lib.rs", "\nfn {")]);
        assert!(Sources::read(&tree).findings[0].to_string().starts_with("crates/a/src/lib.rs:2: not Rust"));
    }

    #[test]
    fn test_conditions_are_told_from_others() {
        let tests_only = |text: &str| is_cfg_test(&syn::parse_str::<syn::ItemUse>(text).unwrap().attrs[0]);
        assert!(tests_only("#[cfg(test)] use a;"));
        assert!(tests_only("#[cfg(all(unix, test))] use a;"));
        assert!(!tests_only("#[cfg(not(test))] use a;"));
        assert!(!tests_only("#[cfg(any(test, unix))] use a;"));
        assert!(!tests_only("#[cfg(unix)] use a;"));
    }
}
