//! The push platform: `/api/openApi/message/push/channel` and `/push/template`, as its document's callers speak them. Decision
//! and row numbers in this crate are those of `contracts/push.md`, which resolves what the document leaves open.
//!
//! ```text
//! request ─route─▶ Route ─body─▶ Call ─auth─▶ App ─┬─ parts (what is said on which channel) ─┐
//!                                                  ├─ receivers (who is meant)               ├─▶ Order ─send─▶ Post ─▶ reply
//!                                                  └─ envelope (label, priority, time)       ┘
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `route`, `call`, `fields`, `place` | paths, the members of a body, their forms and bounds, how a place in a body is named |
//! | `problem`, `reply` | everything that can be wrong in one table; the form of an answer |
//! | `auth`, `signature` | decision 6 and rows 8, 20: which app calls, from where, how often, signed how |
//! | `channels` | decision 3, rows 16 and 20: which channel a key means, and whether the app may use it |
//! | `content`, `sms`, `params`, `website` | decision 3, rows 21 to 28: what may be said on a channel of each kind |
//! | `receivers`, `accounts` | decision 2, rows 9 to 19: who gets it |
//! | `envelope`, `send_time` | decisions 4, 5 and 8: priority, time, label |
//! | `template` | rows 36 to 41: a message from a template |
//! | `send`, `answer` | one request as one post; a repeat is answered as the first was |

mod accounts;
mod answer;
mod auth;
mod call;
mod channels;
mod content;
mod envelope;
mod fields;
mod params;
mod place;
mod problem;
mod receivers;
mod reply;
mod route;
mod send;
mod send_time;
mod signature;
mod sms;
mod template;
mod website;

use std::sync::Arc;

use axum::{
    body::HttpBody,
    http::{HeaderValue, Method, Request, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use hongyan_core::store::Messages;
use hongyan_intake::{Intake, wire};

pub use crate::envelope::{KIND_CHARS_MAX, is_kind};
use crate::{
    answer::Answers,
    call::Call,
    problem::Problem,
    reply::{Accepted, Reply},
    route::Route,
    send::Order,
};

/// The push dialect of a node.
pub struct Push {
    intake: Arc<Intake>,
    answers: Answers,
}

impl Push {
    /// The dialect on top of `intake`; the store behind `messages` keeps what requests with an idempotency key were answered.
    pub fn new(intake: Arc<Intake>, messages: Arc<dyn Messages>) -> Self {
        Self { intake, answers: Answers::new(messages) }
    }

    /// Answers any request under `/api/openApi`, unknown paths included. An extension [`wire::ClientAddress`] says where it comes
    /// from.
    pub async fn handle<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes>,
    {
        let (parts, body) = request.into_parts();
        let Some(route) = Route::of(parts.uri.path()) else {
            return Reply::at(StatusCode::NOT_FOUND, &Problem::Nowhere).into_response();
        };
        if parts.method != Method::POST {
            let mut response = Reply::at(StatusCode::METHOD_NOT_ALLOWED, &Problem::Method).into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let reply = match wire::read_body(&parts.headers, body, self.intake.room()).await {
            Err(error) => Reply::unread(error),
            Ok((bytes, room)) => match self.work(route, &parts, bytes, room).await {
                Ok(accepted) => Reply::accepted(accepted),
                Err(problem) => {
                    // Nothing that the caller wrote: no codes, addresses or texts (design 10).
                    tracing::info!(call = route.name(), code = problem.code(), "refused");
                    Reply::refused(&problem)
                }
            },
        };
        reply.into_response()
    }

    /// Everything between the body and the reply. What was made of the body takes up `room` until the store has it.
    async fn work(&self, route: Route, parts: &Parts, bytes: Bytes, room: wire::Held) -> Result<Accepted, Problem> {
        let call = Call::of(route, parts, &bytes)?;
        let app = auth::admit(&self.intake, &call).await?;
        let key = call.key()?;
        if let Some(key) = &key
            && let Some(first) = self.answers.read(app.no, key, self.intake.now()).await?
        {
            return Ok(first);
        }
        let order = Order::read(&self.intake, app, &call, key)?;
        drop(call);
        drop(bytes);
        order.carry_out(&self.intake, &self.answers, room).await
    }
}
