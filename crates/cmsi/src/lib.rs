//! CMSI, the message components of BlueKing's ESB, as its unmodified clients speak it. The wire contract is followed to the
//! letter where callers rely on it; section and decision numbers in this crate are those of that contract.
//!
//! ```text
//! request ─route─▶ Component ─body─▶ bytes ─params─▶ Params ─auth─▶ Caller ─form─▶ Letter ─send─▶ reply (five keys)
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `route`, `body`, `room`, `params` | section 1 and 2: paths, sizes, how parameters are read |
//! | `json`, `python`, `fields` | what the reference's Python and Django make of a value |
//! | `auth`, `signature` | section 3: who calls |
//! | `mail`, `attachment`, `message`, `others`, `msg_type` | sections 5 to 8: one component each, in order of validation |
//! | `send` | decision 4: accept, wait, say what became of everyone |
//! | `error`, `reply` | sections 2 and 4: every error in one table, the envelope |

mod attachment;
mod auth;
mod body;
mod call;
mod error;
mod fields;
mod icon;
mod idempotency;
mod json;
mod language;
mod mail;
mod message;
mod mime;
mod msg_type;
mod others;
mod params;
mod python;
mod reply;
mod room;
mod route;
mod send;
mod signature;

use std::sync::Arc;

use axum::{
    body::HttpBody,
    http::{Method, Request, request::Parts},
    response::Response,
};
use bytes::Bytes;
use hongyan_core::setup::{App, Setup};
use hongyan_intake::Intake;

use crate::{
    auth::Identity,
    call::Call,
    error::{Failure, Problem},
    msg_type::TypeList,
    params::Params,
    reply::Success,
    room::{Held, Room},
    route::Component,
    send::Order,
};

/// The CMSI dialect of a node.
pub struct Cmsi {
    intake: Arc<Intake>,
    room: Room,
    types: TypeList,
}

/// A request that was read: who asks, and what for. What is wrong with the form is told only to those who may ask (section 3).
struct Asked {
    app: Arc<App>,
    identity: Identity,
    form: Result<Form, Problem>,
}

/// What a request asks for.
enum Form {
    Order(Box<Order>),
    Types,
}

impl Cmsi {
    /// The dialect on top of `intake`.
    pub fn new(intake: Arc<Intake>) -> Self {
        Self { intake, room: Room::new(), types: TypeList::new() }
    }

    /// Answers any request whose path begins with `/api/c/compapi`, unknown paths included (section 1: 404, never a redirect).
    pub async fn handle<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes>,
    {
        let (parts, body) = request.into_parts();
        let Some(component) = route::component(&parts.method, parts.uri.path()) else {
            return reply::not_found(&parts.method);
        };
        let mut app = None;
        match self.work(component, &parts, body, &mut app).await {
            Ok(success) => reply::success(success),
            Err(failure) => {
                let id = failure.message.map_or_else(|| reply::fresh_id(self.intake.fresh_id()), reply::id_of);
                log_refusal(component, app.as_deref(), &failure, &id);
                reply::failure(&failure, language::of(&parts.headers), &id)
            }
        }
    }

    /// Everything between the route and the reply; `app` is set once the app is known.
    async fn work<B>(
        &self,
        component: Component,
        parts: &Parts,
        body: B,
        app: &mut Option<Arc<App>>,
    ) -> Result<Success, Failure>
    where
        B: HttpBody<Data = Bytes>,
    {
        let setup = self.intake.setup().get();
        let asked = {
            // The body and its room in memory are given back before anything is waited for.
            let (bytes, _room) = match parts.method {
                Method::GET => (Bytes::new(), Held::default()),
                _ => body::read(&parts.headers, body, &self.room).await?,
            };
            let call = Call { component, parts, body: &bytes };
            let header = auth::header(&parts.headers)?;
            let params = params::read(&call).await?;
            self.ask(&setup, &call, header.as_ref(), &params, app)?
        };
        let user = auth::user(&asked.app, asked.identity)?;
        match asked.form? {
            Form::Types => {
                let list = self.types.of(&setup, &parts.headers);
                Ok(Success::list(list, reply::fresh_id(self.intake.fresh_id())))
            }
            Form::Order(order) => send::send(&self.intake, asked.app, user, *order, &setup.settings).await,
        }
    }

    /// Who asks, and what for. Nothing here waits for anything.
    fn ask(
        &self,
        setup: &Setup,
        call: &Call<'_>,
        header: Option<&Params<'_>>,
        params: &Params<'_>,
        app: &mut Option<Arc<App>>,
    ) -> Result<Asked, Problem> {
        let credentials = header.unwrap_or(params);
        let found = app.insert(auth::app(setup, call, credentials, self.intake.now())?);
        let identity = auth::identity(credentials, params)?;
        Ok(Asked { app: Arc::clone(found), identity, form: form(setup, found, call, params) })
    }
}

/// Sections 5 to 8: the form of a component.
fn form(setup: &Setup, app: &Arc<App>, call: &Call<'_>, params: &Params<'_>) -> Result<Form, Problem> {
    let letter = match call.component {
        Component::SendMail => mail::send_mail(setup, app, params)?,
        Component::SendMsg => message::send_msg(setup, app, params)?,
        Component::GetMsgType => return Ok(Form::Types),
        Component::SendWeixin => return Err(others::send_weixin(params)),
        Component::SendSms => return Err(others::send_sms(params)),
        Component::SendVoiceMsg => return Err(others::send_voice_msg(params)),
        Component::SendQyWeixin => return Err(others::send_qy_weixin(params)),
        Component::SendMpWeixin => return Err(others::send_mp_weixin(params)),
    };
    Ok(Form::Order(Box::new(Order { letter, component: call.component, key: idempotency::key(call)? })))
}

/// One line per refused request, without anything that the caller wrote: no addresses, texts or secrets (design 10). An app is
/// named by the code under which the deployment knows it.
fn log_refusal(component: Component, app: Option<&App>, failure: &Failure, request_id: &str) {
    let (code, error) = failure.problem.row();
    let app = match (app, &failure.problem) {
        (Some(app), _) => &app.code,
        (None, Problem::WrongSecret(known)) => known,
        (None, _) => "",
    };
    tracing::info!(component = component.name(), app, code, error, request_id, "refused");
}
