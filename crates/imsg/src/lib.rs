//! iMSG, the token API, as its existing clients speak it: accounts log in for a token and send by it. Decision, row and section
//! numbers in this crate are those of `contracts/imsg.md`, which resolves what the document leaves open.
//!
//! ```text
//! request ─route─▶ Route ─body─▶ Call ─token─▶ Account ─┬─ Order ─recipients─▶ Submission ─▶ what became of everyone
//!                                                       ├─ modify
//!                                                       └─ query
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `route`, `call` | paths and methods; the members of a body and of a query |
//! | `code`, `reply` | every code in one table; the form of an answer |
//! | `login`, `register`, `token`, `throttle` | decisions 3, 5 and 10: who speaks, and how often somebody may guess |
//! | `send` | decisions 2, 4 and 9: the order of checks, the submission, the answer |
//! | `method`, `recipients`, `content`, `attachment`, `fingerprint` | rows 11 to 18: what a call may say |
//! | `modify`, `query`, `turn`, `zone` | decisions 6, 7 and 10: limits and history, in the deployment's zone |

mod attachment;
mod call;
mod code;
mod content;
mod deps;
mod fingerprint;
mod login;
mod method;
mod modify;
mod query;
mod recipients;
mod register;
mod reply;
mod route;
mod send;
mod throttle;
mod token;
mod turn;
mod zone;

use axum::{
    body::HttpBody,
    http::{HeaderValue, Request, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use hongyan_intake::wire;

pub use crate::deps::ImsgDeps;
use crate::{
    call::Call,
    reply::{Answer, Reply},
    route::Route,
    send::Order,
    throttle::Throttle,
    turn::Turns,
};

/// The iMSG dialect of a node.
pub struct Imsg {
    deps: ImsgDeps,
    throttle: Throttle,
    queries: Turns,
}

impl Imsg {
    /// The dialect on top of these.
    pub fn new(deps: ImsgDeps) -> Self {
        Self { deps, throttle: Throttle::default(), queries: Turns::default() }
    }

    /// Answers any request under `/api/` that is no other dialect's, unknown paths included (decision 10). An extension
    /// [`wire::ClientAddress`] says where it comes from.
    pub async fn handle<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes>,
    {
        let (parts, body) = request.into_parts();
        let Some(route) = Route::of(parts.uri.path()) else {
            return Reply::nowhere(StatusCode::NOT_FOUND).into_response();
        };
        if parts.method != route.method() {
            let mut response = Reply::nowhere(StatusCode::METHOD_NOT_ALLOWED).into_response();
            let allowed = if route == Route::Query { "GET" } else { "POST" };
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return response;
        }
        let answer = self.work(&route, &parts, body).await;
        if let Err(refusal) = &answer {
            // Nothing that the caller wrote: no names, addresses, texts or tokens (design 10).
            tracing::info!(call = route.name(), code = refusal.code.number(), "refused");
        }
        answer.unwrap_or_else(|refusal| refusal).into_response()
    }

    /// Everything between the route and the reply.
    async fn work<B>(&self, route: &Route<'_>, parts: &Parts, body: B) -> Answer
    where
        B: HttpBody<Data = Bytes>,
    {
        let (bytes, room) = wire::read_body(&parts.headers, body, self.deps.intake.room()).await?;
        let call = match route {
            Route::Query => Call::without_body(parts, &bytes),
            _ => Call::of(parts, &bytes)?,
        };
        match route {
            Route::Register => register::register(&self.deps, &self.throttle, &call).await,
            Route::Login => login::login(&self.deps, &self.throttle, &call).await,
            Route::Modify(name) => modify::modify(&self.deps, &call, name.as_deref()).await,
            Route::Query => query::query(&self.deps, &self.queries, &call).await,
            Route::Send => {
                let account = token::account(&self.deps, &call).await?;
                let order = Order::read(&self.deps, account, &call)?;
                // What was made of the body takes its room in memory until the store has it.
                drop(call);
                drop(bytes);
                order.carry_out(&self.deps, room).await
            }
        }
    }
}
