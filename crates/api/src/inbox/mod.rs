//! `/v1/inbox`: what people find in their inbox, for themselves (`Authorization: Bearer` and a token that an app made for them) and
//! for apps (HTTP Basic and `?user=`). An app sees and marks what it sent itself, and all of it only where it is `trusted`; a token
//! shows what the app may see that made it.
//!
//! | module | what it does |
//! |---|---|
//! | `reader` | who asks, for whose inbox, and what of it they may see |
//! | `items` | the list, one item, how many are unread |
//! | `marks` | read, unread, put away, taken out, deleted, one or many |
//! | `tokens` | tokens for people |
//! | `events` | what is new, as it comes (SSE) |
//! | `hub` | looks for what is new, once for all streams of this node |

mod events;
mod hub;
mod items;
mod marks;
mod reader;
mod tokens;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use hongyan_core::{setup::CurrentSetup, store::Store, time::Timestamp};
use tokio::sync::Notify;

use self::hub::Hub;
use crate::problem::Problem;

/// How often streams look for what they are not told.
#[derive(Clone, Copy, Debug)]
pub struct InboxPace {
    /// How often the store is asked what is new.
    pub poll: Duration,
    /// How long what this node was told of waits for more of it.
    pub gap: Duration,
    /// How often a stream makes sure that its token still counts, and counts what is unread.
    pub check: Duration,
    /// How often a stream without news shows that it is there.
    pub heartbeat: Duration,
}

impl Default for InboxPace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            gap: Duration::from_millis(20),
            check: Duration::from_secs(5),
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// The inboxes of a node's people, as they are read over HTTP.
pub struct Inbox {
    store: Arc<dyn Store>,
    setup: Arc<CurrentSetup>,
    hub: Hub,
    pace: InboxPace,
}

impl Inbox {
    /// The inboxes in `store`. `news` is told when this node has put something there.
    pub fn new(store: Arc<dyn Store>, setup: Arc<CurrentSetup>, news: Arc<Notify>, pace: InboxPace) -> Arc<Self> {
        let hub = Hub::new(Arc::clone(&store), news, pace);
        Arc::new(Self { store, setup, hub, pace })
    }

    /// The routes under `/v1/inbox`.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/inbox", get(items::list))
            .route("/v1/inbox/unread", get(items::unread))
            .route("/v1/inbox/read", post(marks::read_business))
            .route("/v1/inbox/read-all", post(marks::read_all))
            .route("/v1/inbox/tokens", post(tokens::create))
            .route("/v1/inbox/events", get(events::stream))
            .route("/v1/inbox/{id}", get(items::read).delete(marks::delete))
            .route("/v1/inbox/{id}/{mark}", post(marks::one))
            .fallback(|| async { Problem::not_found("there is no such path under /v1/inbox") })
            .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
            .with_state(Arc::clone(self))
    }

    /// Looks for what is new as long as anybody waits for it. Never ends.
    pub async fn run(self: Arc<Self>) {
        self.hub.run().await;
    }

    /// Ends every stream, and begins no other.
    pub fn close(&self) {
        self.hub.close();
    }

    fn now(&self) -> Timestamp {
        self.store.clock().now()
    }
}
