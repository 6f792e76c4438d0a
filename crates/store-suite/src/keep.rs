//! What is kept beside messages: declarations, people, notes, captures; and what is kept of messages, and for how long.

use std::time::Duration;

use hongyan_core::{
    directory::{DirectoryChange, UserEntry},
    id::Id,
    limits,
    outcome::{Outcome, Rejection},
    setup::User,
    store::{Capture, Declaration, PlanChange, StoreError, Submitted},
};

use crate::{
    Bench,
    world::{MAIL, SMS, World, accepted, deferred, to},
};

fn declaration(kind: &str, code: &str, doc: &str) -> Declaration {
    Declaration { kind: kind.into(), code: code.into(), no: 0, doc: doc.into() }
}

fn plan(hash: &str, declarations: Vec<Declaration>) -> PlanChange {
    PlanChange { hash: hash.into(), declarations, ..PlanChange::default() }
}

/// A plan raises the version once; the same plan again does nothing, an older one is applied anew.
pub async fn plans_apply_once(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let version = world.store().setup_version().await.expect("reads");
    let first = plan("h1", vec![declaration("settings", "", "{}"), declaration("app", "esb", "{\"a\":1}")]);
    assert_eq!(world.store().plan_apply(first.clone()).await, Ok(true));
    assert_eq!(world.store().setup_version().await, Ok(version + 1));
    assert_eq!(world.store().plan_apply(first.clone()).await, Ok(false));
    assert_eq!(world.store().setup_version().await, Ok(version + 1));
    let second = plan("h2", vec![declaration("app", "esb", "{\"a\":2}")]);
    assert_eq!(world.store().plan_apply(second).await, Ok(true));
    world.crash().await;
    let (version_now, declared) = world.store().declarations().await.expect("reads");
    assert_eq!(version_now, version + 2);
    let docs: Vec<_> = declared.iter().map(|d| (d.kind.as_str(), d.code.as_str(), d.doc.as_str())).collect();
    assert!(docs.contains(&("app", "esb", "{\"a\":2}")) && docs.contains(&("settings", "", "{}")));
    assert_eq!(docs.len(), 2, "what a plan does not name stays, and nothing is there twice");
    assert_eq!(world.store().plan_apply(first).await, Ok(true));
}

/// A code keeps its number, and every kind counts for itself.
pub async fn numbers_are_given_once(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let number = async |kind: &str, code: &str| {
        let (_, declared) = world.store().declarations().await.expect("reads");
        declared.iter().find(|d| d.kind == kind && d.code == code).map(|d| d.no).expect("declared")
    };
    let apply = async |hash: &str, declared| world.store().plan_apply(plan(hash, declared)).await.expect("applies");
    apply("1", vec![declaration("app", "b", "{}"), declaration("app", "a", "{}"), declaration("channel", "x", "{}")])
        .await;
    let (a, b, x) = (number("app", "a").await, number("app", "b").await, number("channel", "x").await);
    assert!(a != b && a > 0 && b > 0 && x > 0);
    apply("2", vec![declaration("app", "c", "{}"), declaration("app", "a", "{\"new\":1}")]).await;
    assert_eq!((number("app", "a").await, number("app", "b").await), (a, b));
    assert!(number("app", "c").await > a.max(b));
}

/// People are found by code; a plan replaces those that it names and keeps the others.
pub async fn finds_users(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let user = |code: &str, email: &str| User {
        code: code.into(),
        name: "李雷".into(),
        email: email.into(),
        phone: "+8613800000001".into(),
        wecom: "w".into(),
        openid: "o".into(),
        enabled: code != "off",
    };
    let apply = async |hash: &str, users: Vec<User>| {
        let users = users.into_iter().map(|user| UserEntry { user, ..UserEntry::default() }).collect();
        let directory = DirectoryChange { users, ..DirectoryChange::default() };
        let plan = PlanChange { hash: hash.into(), declarations: Vec::new(), directory };
        world.store().plan_apply(plan).await.expect("applies")
    };
    apply("1", vec![user("a", "a@x.com"), user("off", "o@x.com")]).await;
    apply("2", vec![user("a", "new@x.com"), user("b", "")]).await;
    let codes = ["off", "nobody", "a", "b"].map(String::from).to_vec();
    let mut found = world.store().users_find(codes).await.expect("finds");
    found.sort_by(|a, b| a.code.cmp(&b.code));
    assert_eq!(found, [user("a", "new@x.com"), user("b", ""), user("off", "o@x.com")]);
    assert!(world.store().users_find(Vec::new()).await.expect("finds").is_empty());
}

/// The first value stays, also among many at once.
pub async fn notes_are_kept_once(bench: &impl Bench) {
    let world = World::begin(bench).await;
    assert_eq!(world.store().note_read("check").await, Ok(None));
    let values: Vec<_> = (0..16).map(|n| n.to_string()).collect();
    let asked = values.iter().map(|value| world.store().note_once("check", value));
    let answers = futures_util::future::join_all(asked).await;
    let kept = world.store().note_read("check").await.expect("reads").expect("kept");
    assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&kept)));
    assert_eq!(world.store().note_once("other", "x").await.as_deref(), Ok("x"));
}

fn capture(world: &World<'_>, id: Id) -> Capture {
    Capture {
        id,
        message: id,
        provider: "capture".into(),
        at: world.now,
        sender: "from@example.com".into(),
        recipients: vec!["a@example.com".into(), "\"b c\"@example.com".into()],
        body: vec![0, 13, 10, 255],
    }
}

/// Captures come newest first, page by page; only the newest are kept.
pub async fn keeps_the_newest_captures(bench: &impl Bench) {
    let world = World::begin(bench).await;
    let count = limits::CAPTURES_KEPT + 5;
    let mut ids = Vec::new();
    for _ in 0..count.div_ceil(1_000) {
        let some: Vec<_> = (0..1_000).map(|_| world.ids.block(1, 0, world.now).expect("ids")).collect();
        let adds = some.iter().map(|id| world.store().capture_add(capture(&world, *id)));
        for added in futures_util::future::join_all(adds).await {
            added.expect("kept");
        }
        ids.extend(some);
    }
    let page = world.store().captures(None, 3).await.expect("lists");
    assert_eq!(page, ids.iter().rev().take(3).map(|id| capture(&world, *id)).collect::<Vec<_>>());
    let next = world.store().captures(Some(page[2].id), 2).await.expect("lists");
    assert_eq!([next[0].id, next[1].id], [ids[ids.len() - 4], ids[ids.len() - 5]]);
    let all = world.store().captures(None, ids.len()).await.expect("lists");
    assert_eq!(all.len(), limits::CAPTURES_KEPT);
    assert_eq!(all.last().map(|oldest| oldest.id), Some(ids[ids.len() - limits::CAPTURES_KEPT]));
}

/// Large captures: a page holds so many bytes and at least one of them, pages follow each other until one is empty, and only
/// the newest of so many bytes are kept, counted on after a restart.
pub async fn bounds_the_bytes_of_captures(bench: &impl Bench) {
    const BODY: usize = limits::CAPTURES_BYTES_KEPT / 8;
    let mut world = World::begin(bench).await;
    let add = async |world: &World<'_>, bytes: usize| {
        let id = world.ids.block(1, 0, world.now).expect("ids");
        let body = vec![b'x'; bytes];
        world.store().capture_add(Capture { body, ..capture(world, id) }).await.expect("kept");
        id
    };
    let listed = async |world: &World<'_>| {
        let mut pages: Vec<Vec<Id>> = Vec::new();
        loop {
            let before = pages.last().and_then(|page| page.last().copied());
            let page = world.store().captures(before, 1_000).await.expect("lists");
            if page.is_empty() {
                return pages;
            }
            pages.push(page.iter().map(|capture| capture.id).collect());
        }
    };
    // Each of these exceeds a page by itself; all but the first are as much as is kept.
    const { assert!(BODY > limits::CAPTURES_PAGE_BYTES_MAX) };
    let mut ids = Vec::new();
    for _ in 0..9 {
        ids.push(add(&world, BODY).await);
    }
    assert_eq!(listed(&world).await, ids[1..].iter().rev().map(|id| vec![*id]).collect::<Vec<_>>());

    world.crash_and_recover().await;
    let small = limits::CAPTURES_PAGE_BYTES_MAX / 2;
    for _ in 0..4 {
        ids.push(add(&world, small).await);
    }
    let pages = listed(&world).await;
    // 2 * 8 MiB fill a page; 4 * 8 MiB took the place of one large capture.
    assert_eq!(pages[..2], [[ids[12], ids[11]], [ids[10], ids[9]]]);
    assert_eq!(pages[2..].concat(), ids[2..9].iter().rev().copied().collect::<Vec<_>>());
    ids.push(add(&world, 1).await);
    assert_eq!(listed(&world).await.concat(), ids[3..].iter().rev().copied().collect::<Vec<_>>());
}

const DAY: Duration = Duration::from_secs(86_400);

/// Retention forgets what is old and done, and leaves what is open, however old.
pub async fn prunes_old_history_and_nothing_open(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let mut order = to(&["a", "b"]);
    order.attachments = vec![vec![1; 20_000]];
    order.lives = 9 * DAY;
    let done = world.submit_all((0..20).map(|_| order.clone())).await;
    let leases = world.claim(MAIL, 20).await;
    world.finish(&leases, &accepted()).await;
    world.pass(2 * DAY);
    let open = world.submit_all((0..5).map(|_| to(&["c"]).channel(SMS).lives(9 * DAY))).await;
    let held = world.claim_one(SMS).await;
    world.pass(DAY);
    let before = world.now;
    world.pass(DAY);
    let young = world.submit(&to(&["d"])).await;
    let lease = world.claim_one(MAIL).await;
    world.finish(&[lease], &accepted()).await;

    while world.store().prune(before, 7, world.now).await.expect("prunes") {}
    for id in done {
        assert!(world.store().message_read(id).await.expect("reads").is_none());
        assert!(world.store().cargo_read(vec![id]).await.expect("reads").is_empty());
    }
    assert_eq!(world.read(young).await.deliveries.len(), 1);
    assert_eq!(world.store().cargo_read(open.clone()).await.expect("reads").len(), 5);
    let refused = world.finish(&[held], &Outcome::Rejected(Rejection::Content)).await;
    assert!(refused[0].is_some());
    for id in &open {
        assert_eq!(
            world.read(*id).await.deliveries.len(),
            1,
            "what shares its time with something open may stay, no less"
        );
    }
    world.store().message_cancel(open[1], world.now).await.expect("cancels");
    let rest = world.claim(SMS, 9).await;
    world.finish(&rest, &accepted()).await;
    while world.store().prune(before, 7, world.now).await.expect("prunes") {}
    for id in open {
        assert!(world.store().message_read(id).await.expect("reads").is_none(), "what is done now goes");
    }
    assert_eq!((world.depth(SMS).await, world.read(young).await.deliveries.len()), (0, 1));
}

/// A node's ids lie above everything that its store holds, also what was made by a clock that ran ahead.
pub async fn ids_lie_above_all_that_is_stored(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["a", "b"])).await;
    let later = world.ids.block(1, 0, world.now).expect("ids");
    world.store().capture_add(capture(&world, later)).await.expect("kept");
    assert!(later > id);
    world.crash().await;
    let next = world.store().ids().block(1, 0, world.now).expect("ids");
    assert!(next > later, "{next} lies above {later}");
}

/// After a history of everything the counters say what is there, before and after a restart.
pub async fn depths_agree_with_the_truth(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    world.desk.open(MAIL, 3);
    let start = world.now;
    let mut ids = world.submit_all((0..50).map(|n| to(&["a", "b"]).app(1 + n % 3))).await;
    ids.extend(world.submit_all((0..10).map(|_| to(&["c"]).due_in(Duration::from_secs(50)))).await);
    let leases = world.claim(MAIL, 12).await;
    world.finish(&leases[..3], &accepted()).await;
    world.finish(&leases[3..6], &deferred(Duration::from_secs(5))).await;
    world.give_back(&leases[6..9]).await;
    world.store().message_cancel(ids[40], world.now).await.expect("cancels");
    for _ in 0..2 {
        let mut truth = 0;
        let mut oldest = None;
        for id in &ids {
            for delivery in world.read(*id).await.deliveries {
                if delivery.track.state == hongyan_core::delivery::State::Ready {
                    truth += 1;
                    oldest = oldest.into_iter().chain([delivery.track.due]).min();
                }
            }
        }
        world.claim(SMS, 1).await;
        let depths = world.store().depths().await.expect("counts");
        assert_eq!(depths.len(), 1);
        assert_eq!((depths[0].channel, depths[0].ready), (MAIL, truth));
        assert_eq!((depths[0].oldest_due, oldest), (Some(start), Some(start)));
        world.crash_and_recover().await;
        world.pass(Duration::from_secs(7));
    }
    let lonely = world.submit(&to(&["z"]).channel(SMS).due_in(Duration::from_secs(9))).await;
    let depths = world.store().depths().await.expect("counts");
    let sms = depths.iter().find(|depth| depth.channel == SMS).expect("something waits");
    assert_eq!((sms.ready, sms.oldest_due), (1, None), "{lonely} is not due");
}

/// The store says that it can write, having written.
pub async fn pings(bench: &impl Bench) {
    let world = World::begin(bench).await;
    assert_eq!(world.store().ping(world.now).await, Ok(()));
    world.submit(&to(&["a"])).await;
    let commits = world.store().commits();
    assert!(commits.commits >= 1 && commits.operations >= commits.commits);
}

/// A closed store finishes what waits, then refuses everything, certainly undone, and can be opened again.
pub async fn refuses_when_closed(bench: &impl Bench) {
    let mut world = World::begin(bench).await;
    let id = world.submit(&to(&["a"])).await;
    world.store().close().await;
    world.store().close().await;
    let refused = world.store().submit(world.batch(&to(&["b"])), world.now).await.expect_err("closed");
    assert!(matches!(refused, StoreError::Unavailable { certain: true, .. }), "{refused}");
    assert!(world.store().message_read(id).await.is_err());
    assert!(world.store().ping(world.now).await.is_err());
    world.crash().await;
    assert_eq!(world.read(id).await.deliveries.len(), 1);
    assert_eq!(world.store().submit(world.batch(&to(&["b"])), world.now).await, Ok(Submitted::Stored));
}
