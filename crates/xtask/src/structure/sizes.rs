//! Every source file says what it is for, and no file or function is too long to read at once. Test code is not
//! measured.

use syn::{Item, spanned::Spanned, visit::Visit};

use super::{
    Finding,
    sources::{Module, Sources, attrs, in_src, is_test_item},
};
use crate::tree::Tree;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing about what they hold.
const EMPTY_NAMES: [&str; 7] = ["utils", "util", "common", "types", "helpers", "helper", "misc"];

/// Measures every source file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let sources = Sources::read(tree);
    let mut findings = sources.findings.clone();
    for (path, text) in tree.files().filter(|(path, _)| in_src(path)) {
        if !text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!")) {
            findings.push(Finding::new(path, 1, "does not open with a `//!` that says what it is for"));
        }
    }
    for (path, _) in tree.files().filter(|(path, _)| path.starts_with("crates/") && path.ends_with(".rs")) {
        let named = |part: &str| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"));
        if let Some(part) = path.split('/').find(|part| named(part)) {
            findings.push(Finding::new(path, 1, format!("the name {part} says nothing about what it holds")));
        }
    }
    for root in &sources.roots {
        for module in
            root.modules.iter().filter(|module| module.path.last().is_some_and(|n| EMPTY_NAMES.contains(&&**n)))
        {
            let what = format!("the module name {} says nothing about what it holds", module.path.join("::"));
            findings.push(Finding::new(&module.file, 1, what));
        }
    }
    for module in sources.files().filter(|module| !module.test) {
        let lines = tree.text(&module.file).map_or(0, |text| text.lines().count()) - test_lines(&module.items);
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines besides its tests; at most {FILE_LINES_MAX}");
            findings.push(Finding::new(&module.file, 1, what));
        }
        functions(module, &mut findings);
    }
    findings
}

/// How many lines of a file its test-only items take.
fn test_lines(items: &[Item]) -> usize {
    let tests = items.iter().filter(|item| is_test_item(attrs(item)));
    tests.map(|item| item.span().end().line + 1 - item.span().start().line).sum()
}

fn functions(module: &Module, findings: &mut Vec<Finding>) {
    let mut visitor = Functions { file: &module.file, findings };
    module.items.iter().for_each(|item| visitor.visit_item(item));
}

struct Functions<'a> {
    file: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let start = signature.span().start().line;
        let lines = block.brace_token.span.close().end().line + 1 - start;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("the function {} has {lines} lines; at most {FUNCTION_LINES_MAX}", signature.ident);
            self.findings.push(Finding::new(self.file, start, what));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_item(attrs(item)) && !matches!(item, Item::Mod(module) if module.content.is_none()) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::found, *};

    fn of_library(text: &str) -> Vec<String> {
        found(check, &[("crates/a/src/lib.rs", text)])
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_must_say_what_it_is_for() {
        assert_eq!(of_library("//! Doc.\nfn f() {}"), Vec::<String>::new());
        let expected = ["crates/a/src/lib.rs:1: does not open with a `//!` that says what it is for"];
        assert_eq!(of_library("// Doc.\nfn f() {}"), expected);
        assert_eq!(of_library(""), expected);
        assert_eq!(found(check, &[("crates/a/tests/all.rs", "fn f() {}")]), Vec::<String>::new());
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = |lines: usize| format!("//! Doc.\n{}", "const A: u8 = 1;\n".repeat(lines - 1));
        assert_eq!(of_library(&long(500)), Vec::<String>::new());
        assert_eq!(of_library(&long(501)), ["crates/a/src/lib.rs:1: 501 lines besides its tests; at most 500"]);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    const A: u8 = 1;\n".repeat(600));
        assert_eq!(of_library(&(long(500) + &tests)), Vec::<String>::new());
        let apart = [("crates/a/src/lib.rs", "//! Doc.\n#[cfg(test)]\nmod t;"), ("crates/a/src/t.rs", &long(900))];
        assert_eq!(found(check, &apart), Vec::<String>::new());
    }

    #[test]
    fn a_long_function_is_found_wherever_it_is() {
        assert_eq!(of_library(&format!("//! Doc.\n{}", function(70))), Vec::<String>::new());
        let long = function(71);
        let expected = |line: usize| [format!("crates/a/src/lib.rs:{line}: the function f has 71 lines; at most 70")];
        assert_eq!(of_library(&format!("//! Doc.\n#[inline]\n/// Doc.\n{long}")), expected(4));
        assert_eq!(of_library(&format!("//! Doc.\nimpl A {{\n{long}}}")), expected(3));
        assert_eq!(of_library(&format!("//! Doc.\ntrait A {{\n{long}}}")), expected(3));
        assert_eq!(of_library(&format!("//! Doc.\nmod m {{\n{long}}}")), expected(3));
        assert_eq!(of_library(&format!("//! Doc.\n#[cfg(test)]\nmod m {{\n{long}}}")), Vec::<String>::new());
    }

    #[test]
    fn empty_names_are_found() {
        let found =
            found(check, &[("crates/a/src/lib.rs", "//! Doc.\nmod utils;"), ("crates/a/src/utils.rs", "//! A")]);
        assert_eq!(found[0], "crates/a/src/utils.rs:1: the name utils.rs says nothing about what it holds");
        assert_eq!(of_library("//! Doc.\nmod common {}").len(), 1);
        assert_eq!(super::super::found(check, &[("crates/a/tests/helpers/mod.rs", "")]).len(), 1);
    }
}
