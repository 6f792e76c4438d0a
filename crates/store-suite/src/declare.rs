//! What is declared outside plans: compared and set, so that of two who change it at once one is told so.

use hongyan_core::store::{Declaration, DeclarationChange, PlanChange};

use crate::{Bench, world::World};

fn declaration(kind: &str, code: &str, doc: &str) -> Declaration {
    Declaration { kind: kind.into(), code: code.into(), no: 0, doc: doc.into() }
}

fn put(version: i64, put: &[(&str, &str, &str)]) -> DeclarationChange {
    let put = put.iter().map(|(kind, code, doc)| declaration(kind, code, doc)).collect();
    DeclarationChange { version, put, remove: Vec::new() }
}

fn remove(version: i64, kind: &str, code: &str) -> DeclarationChange {
    DeclarationChange { version, put: Vec::new(), remove: vec![(kind.into(), code.into())] }
}

/// What is declared of a kind: code, number and text, in order.
async fn declared(world: &World<'_>, kind: &str) -> Vec<(String, u32, String)> {
    let (_, declared) = world.store().declarations().await.expect("reads");
    let of = declared.into_iter().filter(|one| one.kind == kind).map(|one| (one.code, one.no, one.doc));
    let mut of: Vec<_> = of.collect();
    of.sort();
    of
}

async fn version(world: &World<'_>) -> i64 {
    world.store().setup_version().await.expect("reads")
}

async fn declare(world: &World<'_>, change: DeclarationChange) -> bool {
    world.store().declare(change).await.expect("declares")
}

/// A change from the version of now is made, raises it and gives numbers; one from another version changes nothing.
pub async fn declares_from_the_version_that_was_read(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let begin = version(&world).await;
    assert!(
        declare(&world, put(begin, &[("template", "T1", "1"), ("template", "T2", "2"), ("app", "T1", "{}")])).await
    );
    let first = version(&world).await;
    assert!(first > begin);
    assert_eq!(world.store().declarations().await.expect("reads").0, first);
    let templates = declared(&world, "template").await;
    let [(t1, n1, _), (t2, n2, _)] = &templates[..] else { panic!("{templates:?}") };
    assert!((t1.as_str(), t2.as_str()) == ("T1", "T2") && n1 != n2 && *n1 > 0 && *n2 > 0, "{templates:?}");
    for wrong in [begin, first + 1, 0] {
        let mut change = put(wrong, &[("template", "T1", "other"), ("template", "T3", "3")]);
        change.remove.push(("template".into(), "T2".into()));
        assert!(!declare(&world, change).await, "{wrong}");
    }
    assert_eq!((declared(&world, "template").await, version(&world).await), (templates.clone(), first));
    world.crash().await;
    let mut change = put(first, &[("template", "T1", "new"), ("template", "T3", "3")]);
    change.remove.push(("template".into(), "T2".into()));
    assert!(declare(&world, change).await);
    let after = declared(&world, "template").await;
    assert_eq!(after[0], ("T1".into(), *n1, "new".into()), "it keeps its number");
    assert_eq!((after.len(), after[1].0.as_str()), (2, "T3"));
    assert!(after[1].1 > *n1.max(n2) && version(&world).await > first);
    assert_eq!(declared(&world, "app").await.len(), 1, "of another kind with the same code");
}

/// What is removed is gone; its number is not given again, to nobody.
pub async fn numbers_of_the_removed_are_not_given_again(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    assert!(declare(&world, put(version(&world).await, &[("template", "a", "1"), ("template", "b", "2")])).await);
    let mut given: Vec<u32> = declared(&world, "template").await.into_iter().map(|(_, no, _)| no).collect();
    for code in ["a", "b"] {
        assert!(declare(&world, remove(version(&world).await, "template", code)).await);
    }
    assert!(declared(&world, "template").await.is_empty());
    world.crash().await;
    for code in ["c", "a"] {
        assert!(declare(&world, put(version(&world).await, &[("template", code, "3")])).await);
    }
    given.extend(declared(&world, "template").await.into_iter().map(|(_, no, _)| no));
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!((count, given.len()), (4, 4));
    assert!(
        declare(&world, remove(version(&world).await, "template", "nothing")).await,
        "what there is not is gone already"
    );
}

/// Of many who change it at once from one version, one does.
pub async fn one_of_many_declares(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let begin = version(&world).await;
    let codes: Vec<String> = (0..16).map(|n| format!("T{n}")).collect();
    let asked = codes.iter().map(|code| declare(&world, put(begin, &[("template", code, "{}")])));
    let made: Vec<bool> = futures_util::future::join_all(asked).await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    let kept = declared(&world, "template").await;
    let winner = made.iter().position(|made| *made).expect("one");
    assert_eq!(kept.into_iter().map(|(code, ..)| code).collect::<Vec<_>>(), [codes[winner].clone()]);
}

/// Plans and changes beside them: each raises the version of the other, and a plan that was applied last stays so.
pub async fn plans_and_changes_go_together(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let plan = PlanChange {
        hash: "h1".into(),
        declarations: vec![declaration("app", "esb", "planned")],
        ..PlanChange::default()
    };
    let begin = version(&world).await;
    assert_eq!(world.store().plan_apply(plan.clone()).await, Ok(true));
    assert!(!declare(&world, put(begin, &[("app", "esb", "late")])).await);
    assert!(declare(&world, put(version(&world).await, &[("app", "esb", "changed"), ("template", "T", "{}")])).await);
    let no = declared(&world, "app").await[0].1;
    assert_eq!(world.store().plan_apply(plan.clone()).await, Ok(false), "it is applied");
    assert_eq!(declared(&world, "app").await, [("esb".into(), no, "changed".into())]);
    assert_eq!(world.store().plan_apply(PlanChange { hash: "h2".into(), ..plan }).await, Ok(true));
    assert_eq!(declared(&world, "app").await, [("esb".into(), no, "planned".into())]);
    assert_eq!(declared(&world, "template").await.len(), 1, "what a plan does not name stays");
}
