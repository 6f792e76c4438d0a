//! The native `/v1` API: in this version the look-up of a message with its life line, what capture providers kept, the nodes
//! of the store, and the accounts of the token API. All need the administrator's token. Replies are JSON; errors are problem details (RFC 9457).

mod accounts;
mod app_auth;
mod auth;
mod body;
mod captures;
mod directory;
mod inbox;
mod messages;
mod nodes;
mod problem;
mod templates;
mod wire;

use std::sync::Arc;

pub use auth::AdminToken;
use auth::Gate;
use axum::{Router, middleware, routing::get};
pub use directory::{group_faults, user_faults};
use hongyan_core::{setup::CurrentSetup, store::Store};
use hongyan_intake::AccountBook;
pub use inbox::{Inbox, InboxPace};
pub use messages::parse_message_id;
pub use problem::Problem;
pub use templates::{TemplateBook, TemplateChange, TemplateError};

/// What the API reads from.
#[derive(Clone)]
pub struct Api {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is declared: the codes of apps, channels and providers.
    pub setup: Arc<CurrentSetup>,
    /// The accounts of the token API.
    pub accounts: Arc<AccountBook>,
    /// What messages say.
    pub templates: Arc<dyn TemplateBook>,
}

/// The routes under `/v1` and `more` beside them, guarded by the administrator's token; those of messages are for apps too.
pub fn router(api: Api, more: Router, admin: AdminToken) -> Router {
    let gate = Gate { admin: admin.clone(), setup: Arc::clone(&api.setup) };
    let messages = messages::routes()
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(gate, auth::require_admin_or_app));
    Router::new()
        .route("/v1/captures", get(captures::list))
        .route("/v1/nodes", get(nodes::list))
        .merge(accounts::routes())
        .merge(directory::routes())
        .merge(templates::routes())
        .merge(more.with_state(()))
        .fallback(|| async { Problem::not_found("there is no such path under /v1") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(admin, auth::require_admin))
        .merge(messages)
        .with_state(api)
}
