//! Small crates with and without cycles.

use super::{super::found, *};

/// What is found in a crate whose root is `root` and whose modules are `modules`.
fn cycles(root: &str, modules: &[(&str, &str)]) -> Vec<String> {
    let paths: Vec<String> = modules.iter().map(|(path, _)| format!("crates/a/src/{path}.rs")).collect();
    let mut files = vec![("crates/a/src/lib.rs", root)];
    files.extend(paths.iter().zip(modules).map(|(path, (_, text))| (path.as_str(), *text)));
    found(check, &files)
}

/// Whether a module `low` with this text, which the module `high` uses, makes a cycle.
fn turns(low: &str) -> bool {
    let root = "pub mod high; pub mod low; pub mod other; pub use high::Top;";
    let high = "use crate::low; pub struct Top; pub struct Up; pub mod inner;";
    !cycles(root, &[("high", high), ("high/inner", ""), ("low", low), ("other", "")]).is_empty()
}

#[test]
fn a_cycle_is_named_with_its_edges() {
    let found = cycles("mod a; mod b;", &[("a", "use crate::b::B;\npub struct A;"), ("b", "\nuse super::a::A;")]);
    let expected = "crates/a/src/lib.rs:1: the modules a, b import each other: \
                    a -> b (crates/a/src/a.rs:1), b -> a (crates/a/src/b.rs:2)";
    assert_eq!(found, [expected]);
}

#[test]
fn a_long_way_round_is_one_cycle() {
    let modules = [
        ("a", "use crate::b;"),
        ("b", "use crate::c;"),
        ("c", "use crate::{d, a};"),
        ("d", ""),
        ("e", "use crate::a;"),
    ];
    let found = cycles("mod a; mod b; mod c; mod d; mod e;", &modules);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the modules a, b, c import each other"), "{found:?}");
}

#[test]
fn every_way_of_naming_a_module_counts() {
    assert!(turns("use crate::high::Up;"));
    assert!(turns("use crate::{other, high::{self, Up as Down}};"));
    assert!(turns("use super::high::*;"));
    assert!(turns("fn f(up: crate::high::Up) {}"));
    assert!(turns("fn f() { crate::high::g(); }"));
    assert!(turns("fn f() { use crate::high::g; }"));
    assert!(turns("fn f() { println!(\"{}\", crate::high::g()); }"));
    assert!(turns("fn f() { let a = m!({ x: super::high::Up {} }); }"));
    assert!(turns("#[derive(Serialize)] struct S { #[serde(with = \"crate::high::inner\")] a: u8 }"));
    assert!(turns("impl Tr for crate::high::Up {}"));
    assert!(turns("mod nested { use super::super::high::inner; }"));
    assert!(turns("use super::*; fn f() { high::g(); }"));
}

#[test]
fn a_re_export_counts_for_where_it_comes_from() {
    assert!(turns("use crate::Top;"));
    assert!(turns("fn f() -> super::Top {}"));
    let glob = cycles("mod a; mod b; pub use a::*;", &[("a", "use crate::b; pub struct A;"), ("b", "use crate::A;")]);
    assert_eq!(glob.len(), 1, "{glob:?}");
}

#[test]
fn other_names_do_not_count() {
    assert!(!turns("use high::Up; use ::high::Up as B; fn f() { let high = 1; high::g(); }"));
    assert!(!turns("#[cfg(test)] mod tests { use crate::high::Up; }"));
    assert!(!turns("#[cfg(test)] use crate::high::Up;"));
    assert!(!turns("#[test] fn f() { crate::high::g(); }"));
    assert!(!turns("/// See [`crate::high::Up`].\n/// crate::high::Up\nfn f() {}"));
    assert!(!turns("mod high { pub struct Up; } use self::high::Up;"));
    assert!(!turns("pub(in crate::low) fn f() { crate::f() }"));
}

#[test]
fn parent_and_child_are_one_but_siblings_below_are_not() {
    let up_and_down = [("a", "mod b; pub struct A; use b::B;"), ("a/b", "use super::A; pub struct B;")];
    assert_eq!(cycles("mod a;", &up_and_down), Vec::<String>::new());
    let below = [("a", "mod b; mod c;"), ("a/b", "use super::c::C;"), ("a/c", "use crate::a::b::B;")];
    assert!(cycles("mod a;", &below)[0].starts_with("crates/a/src/a.rs:1: the modules b, c import each other"));
    let through_children = [("a", "mod x;"), ("a/x", "use crate::b::B;"), ("b", "use crate::a::A;")];
    assert_eq!(cycles("mod a; mod b;", &through_children).len(), 1);
}
