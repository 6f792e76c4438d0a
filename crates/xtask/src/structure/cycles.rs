//! No import cycle between the modules of a crate.
//!
//! What is measured: among the modules that share a parent (the top-level ones share the root), module *a* uses module
//! *b* when anything inside *a*, its children included, names a path that leads into *b* or its children: in `use`
//! declarations, types, expressions, patterns, macro arguments and attribute texts. A name that a parent re-exports
//! counts for the module that it comes from. A parent and its children are one thing seen from outside, so a child that
//! names its parent's items is no edge; nor does the root take part, which wires everything. Test-only code is left
//! out: tests may look anywhere. A set of siblings that all lead to each other is a cycle.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{Item, UseTree, spanned::Spanned, visit::Visit};

use super::{
    Finding,
    sources::{Module, Root, Sources, attrs, is_test_item},
};
use crate::tree::Tree;

/// Finds the cycles in every crate.
pub fn check(tree: &Tree) -> Vec<Finding> {
    Sources::read(tree).roots.iter().flat_map(of_root).collect()
}

/// One use of a path by a module.
struct Use<'a> {
    from: &'a Module,
    to: Vec<String>,
    line: usize,
}

/// What a module's names mean.
#[derive(Default)]
struct Names {
    /// Imported names and the paths that they stand for.
    imports: BTreeMap<String, Vec<String>>,
    /// Modules of which everything is imported.
    globs: Vec<Vec<String>>,
    /// Items and child modules.
    items: BTreeSet<String>,
}

type Scope = BTreeMap<Vec<String>, Names>;

fn of_root(root: &Root) -> Vec<Finding> {
    let modules: Vec<&Module> = root.modules.iter().filter(|module| !module.test).collect();
    let mut scope: Scope = modules.iter().map(|module| (module.path.clone(), items(module))).collect();
    for module in &modules {
        let mut names = Names::default();
        for item in &module.items {
            if let Item::Use(item) = item
                && !is_test_item(&item.attrs)
            {
                flatten(&item.tree, Vec::new(), &mut |path, name| {
                    let Some(to) = absolute(&path, module, &scope) else { return };
                    match name {
                        Some(name) => drop(names.imports.insert(name, to)),
                        None => names.globs.push(to),
                    }
                });
            }
        }
        let entry = scope.entry(module.path.clone()).or_default();
        entry.imports = names.imports;
        entry.globs = names.globs;
    }
    let mut uses = Vec::new();
    for module in &modules {
        let mut visitor = Visitor { module, scope: &scope, uses: &mut uses };
        for item in module.items.iter().filter(|item| !matches!(item, Item::Mod(_))) {
            visitor.visit_item(item);
        }
    }
    modules.iter().flat_map(|parent| cycles_among_children(root, parent, &modules, &uses)).collect()
}

fn items(module: &Module) -> Names {
    let items = module.items.iter().filter(|item| !is_test_item(attrs(item))).filter_map(|item| {
        Some(match item {
            Item::Const(item) => item.ident.to_string(),
            Item::Enum(item) => item.ident.to_string(),
            Item::Fn(item) => item.sig.ident.to_string(),
            Item::Macro(item) => item.ident.as_ref()?.to_string(),
            Item::Mod(item) => item.ident.to_string(),
            Item::Static(item) => item.ident.to_string(),
            Item::Struct(item) => item.ident.to_string(),
            Item::Trait(item) => item.ident.to_string(),
            Item::Type(item) => item.ident.to_string(),
            Item::Union(item) => item.ident.to_string(),
            _ => return None,
        })
    });
    Names { items: items.collect(), ..Names::default() }
}

/// Calls `each` with every path that a `use` names and the name it is given; no name for a `*`.
fn flatten(tree: &UseTree, mut path: Vec<String>, each: &mut dyn FnMut(Vec<String>, Option<String>)) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            flatten(&inner.tree, path, each);
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path.clone(), each)),
        UseTree::Glob(_) => each(path, None),
        UseTree::Name(name) if name.ident == "self" => {
            let last = path.last().cloned();
            each(path, last);
        }
        UseTree::Name(name) => {
            path.push(name.ident.to_string());
            each(path, Some(name.ident.to_string()));
        }
        UseTree::Rename(rename) => {
            if rename.ident != "self" {
                path.push(rename.ident.to_string());
            }
            each(path, Some(rename.rename.to_string()));
        }
    }
}

/// A path as written in a module, from the root; nothing when it leads out of the crate or is the module's own name.
fn absolute(path: &[String], module: &Module, scope: &Scope) -> Option<Vec<String>> {
    let mut base = module.path.clone();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        first => {
            let mut child = base.clone();
            child.push(first.to_owned());
            let names = scope.get(&base)?;
            let through_glob =
                || names.globs.iter().any(|glob| scope.get(glob).is_some_and(|n| n.items.contains(first)));
            if !scope.contains_key(&child) && !through_glob() {
                return None;
            }
        }
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// Follows re-exports: the path of the module that what is named really comes from.
fn resolve(mut path: Vec<String>, scope: &Scope) -> Vec<String> {
    for _ in 0..16 {
        let known = (0..=path.len()).rev().find(|length| scope.contains_key(&path[..*length])).unwrap_or(0);
        let (Some(names), Some(name)) = (scope.get(&path[..known]), path.get(known)) else { return path };
        if names.items.contains(name) {
            return path;
        }
        let glob = || names.globs.iter().find(|glob| scope.get(*glob).is_some_and(|inner| inner.has(name)));
        let target = match names.imports.get(name) {
            Some(target) => target.clone(),
            None => match glob() {
                Some(glob) => glob.iter().chain([name]).cloned().collect(),
                None => return path,
            },
        };
        path.splice(..=known, target);
    }
    path
}

impl Names {
    fn has(&self, name: &String) -> bool {
        self.items.contains(name) || self.imports.contains_key(name)
    }
}

/// Collects the paths that a module names.
struct Visitor<'a, 'u> {
    module: &'a Module,
    scope: &'u Scope,
    uses: &'u mut Vec<Use<'a>>,
}

impl Visitor<'_, '_> {
    fn name(&mut self, path: &[String], span: Span) {
        if let Some(to) = absolute(path, self.module, self.scope) {
            let to = resolve(to, self.scope);
            self.uses.push(Use { from: self.module, to, line: span.start().line });
        }
    }

    /// Paths in what the parser does not look into: arguments of macros and of attributes.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        let mut colons = 0;
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.tokens_end(&mut path, start);
                        start = ident.span();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                _ => {
                    self.tokens_end(&mut path, start);
                    colons = 0;
                }
            }
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => self.text(&literal),
                _ => {}
            }
        }
        self.tokens_end(&mut path, start);
    }

    fn tokens_end(&mut self, path: &mut Vec<String>, start: Span) {
        if path.len() > 1 {
            self.name(path, start);
        }
        path.clear();
    }

    fn text(&mut self, literal: &proc_macro2::Literal) {
        let text = literal.to_string();
        let text = text.trim_matches('"');
        if ["crate::", "self::", "super::"].iter().any(|start| text.starts_with(start)) && !text.contains(' ') {
            let path: Vec<String> = text.split("::").map(str::to_owned).collect();
            self.name(&path, literal.span());
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_, '_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_item(attrs(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test_item(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        flatten(&item.tree, Vec::new(), &mut |path, _| self.name(&path, item.span()));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if parts.len() > 1 {
                self.name(&parts, path.span());
            }
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, attr: &'ast syn::Attribute) {
        match &attr.meta {
            syn::Meta::List(list) => self.tokens(list.tokens.clone()),
            _ if attr.path().is_ident("doc") => {} // links in comments are no imports
            meta => syn::visit::visit_meta(self, meta),
        }
    }
}

/// The cycles among the children of one module.
fn cycles_among_children(root: &Root, parent: &Module, modules: &[&Module], uses: &[Use<'_>]) -> Vec<Finding> {
    let depth = parent.path.len();
    let is_child = |module: &&&Module| module.path.len() == depth + 1 && module.path.starts_with(&parent.path);
    let children: BTreeSet<&str> = modules.iter().filter(is_child).map(|module| module.path[depth].as_str()).collect();
    let mut edges: BTreeMap<(&str, &str), &Use<'_>> = BTreeMap::new();
    for used in uses {
        let inside = |path: &[String]| path.len() > depth && path.starts_with(&parent.path);
        if inside(&used.from.path) && inside(&used.to) {
            let (from, to) = (used.from.path[depth].as_str(), used.to[depth].as_str());
            if from != to && children.contains(from) && children.contains(to) {
                edges.entry((from, to)).or_insert(used);
            }
        }
    }
    let mut findings = Vec::new();
    for knot in knots(&children, &edges) {
        let inside = edges.iter().filter(|((from, to), _)| knot.contains(from) && knot.contains(to));
        let why: Vec<String> =
            inside.map(|((from, to), used)| format!("{from} -> {to} ({}:{})", used.from.file, used.line)).collect();
        let names = knot.iter().copied().collect::<Vec<_>>().join(", ");
        let what = format!("the modules {names} import each other: {}", why.join(", "));
        let file = if depth == 0 { &root.file } else { &parent.file };
        findings.push(Finding::new(file, 1, what));
    }
    findings
}

/// Strongly connected components of more than one module.
fn knots<'a>(
    children: &BTreeSet<&'a str>,
    edges: &BTreeMap<(&'a str, &'a str), &Use<'_>>,
) -> BTreeSet<BTreeSet<&'a str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        children.iter().map(|child| (*child, reachable(child, edges))).collect();
    let mutual = |child: &'a str| {
        let others = reach[child].iter().copied().filter(|other| reach[other].contains(child));
        others.collect::<BTreeSet<&'a str>>()
    };
    children.iter().map(|child| mutual(child)).filter(|knot| knot.len() > 1).collect()
}

fn reachable<'a>(from: &'a str, edges: &BTreeMap<(&'a str, &'a str), &Use<'_>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for (_, to) in edges.keys().filter(|(from, _)| *from == at) {
            if seen.insert(*to) {
                open.push(to);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests;
