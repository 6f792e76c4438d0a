//! What the tests stand on: a running server, a raw HTTP client, an SMTP sink that misbehaves on demand; many servers, many
//! clients, a judge that counts what arrives, a provider's HTTP API.

pub mod client;
pub mod fleet;
pub mod judge;
pub mod load;
pub mod place;
pub mod provider;
pub mod push;
pub mod server;
pub mod sink;

use std::{
    thread,
    time::{Duration, Instant},
};

/// Polls `check` until it answers something, for `patience` at most.
#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at another process; the look decides, not the pause"
)]
pub fn wait_for<T>(what: &str, patience: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Long enough for anything that is going to happen, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
