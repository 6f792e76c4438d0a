//! When what is scheduled fires, and at what cost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hongyan_core::{
    message::MessageState,
    setup::Setup,
    store::{Messages, ScheduledFilter},
};

use crate::world::{HOUR, MAIL, SMS, World, departments, everyone, named, person};

const MS: Duration = Duration::from_millis(1);

/// Lets the expander work by itself until the end of the test.
fn run(world: &World) -> tokio::task::JoinHandle<()> {
    let expander = Arc::clone(&world.expander);
    tokio::spawn(async move { expander.run().await })
}

#[tokio::test]
async fn what_is_due_is_found_by_itself() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let running = run(&world);
    let mut post = world.post(&[SMS], everyone());
    post.due = Some(world.now() + HOUR);
    let message = world.submit(post).await;
    world.clock.advance(HOUR);
    while world.names(message).await.is_empty() {
        assert!(!running.is_finished());
        tokio::task::yield_now().await;
    }
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_due_now_waits_for_no_poll() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    // While something is always to be done, time stands still, and no poll is due.
    let busy = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let running = run(&world);
    for _ in 0..20 {
        let (before, began) = (world.commits(), Instant::now());
        world.submit(world.post(&[SMS], everyone())).await;
        while world.commits() < before + 2 {
            assert!(began.elapsed() < Duration::from_secs(10), "nothing woke it");
            tokio::task::yield_now().await;
        }
    }
    running.abort();
    busy.abort();
}

#[tokio::test]
async fn not_a_moment_before_its_time() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let mut post = world.post(&[SMS], named(&["ann"]));
    post.due = Some(world.now() + HOUR);
    let message = world.submit(post).await;
    world.clock.advance(HOUR - MS);
    assert_eq!(world.expander.round().await, Ok(0));
    world.clock.advance(MS);
    assert_eq!(world.expander.round().await, Ok(1));
    let rows = world.deliveries(message).await;
    assert_eq!((rows.len(), rows[0].track.due), (1, world.now()));
}

#[tokio::test]
async fn a_time_that_passed_while_the_node_was_down_is_not_forgotten() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let mut post = world.post(&[SMS], everyone());
    post.due = Some(world.now() + HOUR);
    let message = world.submit(post).await;
    world.clock.advance(2 * HOUR);
    let world = world.restart().await;
    assert_eq!(world.expand().await, 1);
    assert_eq!(world.names(message).await, ["ann"]);
}

#[tokio::test]
async fn what_is_cancelled_before_its_time_never_fires() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let mut post = world.post(&[SMS, MAIL], everyone());
    post.due = Some(world.now() + HOUR);
    let message = world.submit(post).await;
    assert!(world.store.message_cancel(message, world.now()).await.expect("cancels").unexpanded);
    world.clock.advance(HOUR);
    assert_eq!(world.expander.round().await, Ok(0));
    assert_eq!(world.deliveries(message).await.len(), 0);
}

#[tokio::test]
async fn what_is_hastened_fires_now_and_once() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let mut post = world.post(&[SMS], everyone());
    post.due = Some(world.now() + HOUR);
    let message = world.submit(post).await;
    world.clock.advance(HOUR / 2);
    assert_eq!(world.store.message_hasten(message, world.now()).await, Ok(true));
    world.intake.wake_expander();
    assert_eq!(world.expand().await, 1);
    world.clock.advance(HOUR);
    assert_eq!(world.expand().await, 0);
    assert_eq!(world.names(message).await, ["ann"]);
}

#[tokio::test]
async fn thousands_due_at_once_share_commits() {
    let world = World::new().await;
    world.groups(&["D"]).await;
    world.people([person("ann", &["D"])]).await;
    let due = world.now() + HOUR;
    let posts = (0..3_000).map(|n| {
        let people = if n % 2 == 0 { named(&["ann"]) } else { departments(&["D"]) };
        let mut post = world.post(&[SMS], people);
        post.due = Some(due);
        world.submit(post)
    });
    let messages = join_all(posts).await;
    world.clock.advance(HOUR);
    let before = world.commits();
    assert_eq!(world.expander.round().await, Ok(3_000), "all of them in one round");
    let commits = world.commits() - before;
    assert!(commits <= 1_500, "3000 pages in {commits} commits");
    let waiting = world.store.scheduled(ScheduledFilter::default(), None, 9, world.now()).await.expect("reads");
    assert_eq!(waiting, []);
    for message in [messages[0], messages[1], messages[2_999]] {
        let record = world.store.message_read(message).await.expect("reads").expect("there");
        assert_eq!((record.message.state, record.deliveries.len()), (MessageState::Expanded, 1));
    }
}

#[tokio::test]
async fn a_message_that_errs_holds_up_no_other_and_comes_again() {
    let world = World::new().await;
    world.people([person("ann", &[])]).await;
    let erring = world.submit(world.post(&[MAIL], everyone())).await;
    let other = world.submit(world.post(&[SMS], everyone())).await;
    // This node has not read yet of the channel by which the first one goes.
    let whole: Vec<_> = world.setup.get().channels().iter().map(|channel| (**channel).clone()).collect();
    let some = whole.iter().filter(|channel| channel.no != MAIL).cloned().collect();
    world.setup.set(Setup::new(2, Default::default(), vec![], some, vec![]));
    assert_eq!(world.expander.round().await, Ok(1));
    assert_eq!((world.names(erring).await.len(), world.names(other).await.len()), (0, 1));
    world.setup.set(Setup::new(3, Default::default(), vec![], whole, vec![]));
    assert_eq!(world.expander.round().await, Ok(0), "it is left alone for a moment");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.expander.round().await, Ok(1));
    assert_eq!(world.names(erring).await, ["ann"]);
}
