//! Doing again what the server ended because of another transaction: a deadlock, a lock that was waited for too long.

use std::time::Duration;

use crate::trouble::Outcome;

/// How often something is tried that collides with others.
const TRIES: u32 = 6;

/// Does something, again where it collided. Whatever it did in vain is rolled back by then, and its connection given back.
pub(crate) async fn again<T, F: Future<Output = Outcome<T>>>(once: impl Fn() -> F) -> Outcome<T> {
    for tried in 1..TRIES {
        match once().await {
            Err(trouble) if trouble.is_collision() => {
                tracing::debug!(?trouble, tried, "collided; trying again");
                tokio::time::sleep(Duration::from_millis(u64::from(5 * tried))).await;
            }
            other => return other,
        }
    }
    once().await
}
