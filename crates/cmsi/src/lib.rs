//! CMSI, the message components of BlueKing's ESB, as its unmodified clients speak it. The wire contract is followed to the
//! letter where callers rely on it; section and decision numbers in this crate are those of that contract.
//!
//! ```text
//! request ─route─▶ Component ─body─▶ bytes ─params─▶ Params ─auth─▶ App, Identity ─form─▶ Letter, not told yet
//!         ─auth─▶ user ─admission─▶ (now told) ─send─▶ reply (five keys)
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `route`, `params` | section 1 and 2: paths, how parameters are read |
//! | `python`, `fields` | what the reference's Python and Django make of a value |
//! | `auth`, `signature`, `jwt`, `login` | section 3: which app calls, for which user |
//! | `admission` | section 3: from where, what, how often an app may call |
//! | `hook` | decision 13: what a reference ESB posts |
//! | `directory` | section 12: people whom the directory lacks |
//! | `http`, `cache` | asking other services, and remembering what they said |
//! | `mail`, `attachment`, `message`, `weixin`, `sms`, `voice`, `msg_type` | sections 5 to 8: the components, in order of validation |
//! | `content`, `audience`, `letter` | what they have in common: what is said, to whom, by which channel |
//! | `send`, `calls`, `errmsg` | decision 4: accept, wait, say what became of everyone |
//! | `error`, `reply` | sections 2 and 4: every error in one table, the envelope |

mod admission;
mod attachment;
mod audience;
mod auth;
mod cache;
mod call;
mod calls;
mod content;
mod directory;
mod errmsg;
mod error;
mod fields;
mod hook;
mod http;
mod icon;
mod idempotency;
mod jwt;
mod language;
mod letter;
mod login;
mod mail;
mod message;
mod msg_type;
mod params;
mod python;
mod reply;
mod route;
mod send;
mod signature;
mod sms;
mod voice;
mod weixin;

use std::sync::Arc;

use axum::{
    body::HttpBody,
    http::{Method, Request, request::Parts},
    response::Response,
};
use bytes::Bytes;
use hongyan_core::{
    setup::{App, Setup},
    time::Timestamp,
};
use hongyan_intake::{
    Intake,
    wire::{self, Held},
};

use crate::{
    auth::Identity,
    call::Call,
    directory::Directory,
    error::{Failure, Problem},
    jwt::Gateway,
    login::Login,
    msg_type::TypeList,
    params::Params,
    reply::Success,
    route::{Component, Route},
    send::Order,
};
pub use hongyan_intake::wire::ClientAddress;

/// Whether `name` is a component of CMSI, such as `send_mail`.
pub fn is_component(name: &str) -> bool {
    Component::ALL.into_iter().any(|component| component.name() == name)
}

/// The CMSI dialect of a node.
pub struct Cmsi {
    intake: Arc<Intake>,
    types: TypeList,
    gateway: Gateway,
    login: Login,
    directory: Directory,
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
        Self {
            intake,
            types: TypeList::new(),
            gateway: Gateway::new(),
            login: Login::new(),
            directory: Directory::new(),
        }
    }

    /// Answers any request whose path begins with `/api/c/compapi`, unknown paths included (section 1: 404, never a redirect).
    /// An extension [`ClientAddress`] says where it comes from.
    pub async fn handle<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes>,
    {
        let (parts, body) = request.into_parts();
        let Some(route) = route::route(&parts.method, parts.uri.path()) else {
            return reply::not_found(&parts.method);
        };
        let mut app = None;
        match self.work(route, &parts, body, &mut app).await {
            Ok(success) => reply::success(success),
            Err(failure) => {
                let id = failure.message.map_or_else(|| reply::fresh_id(self.intake.fresh_id()), reply::id_of);
                log_refusal(route.component, app.as_deref(), &failure, &id);
                reply::failure(&failure, language::of(&parts.headers), &id)
            }
        }
    }

    /// Everything between the route and the reply; `app` is set once the app is known.
    async fn work<B>(
        &self,
        route: Route<'_>,
        parts: &Parts,
        body: B,
        app: &mut Option<Arc<App>>,
    ) -> Result<Success, Failure>
    where
        B: HttpBody<Data = Bytes>,
    {
        let setup = self.intake.setup().get();
        let (bytes, room) = match parts.method {
            Method::GET => (Bytes::new(), Held::default()),
            _ => wire::read_body(&parts.headers, body, self.intake.room()).await.map_err(Problem::from)?,
        };
        let call = Call { component: route.component, parts, body: &bytes };
        let Asked { app, identity, form } = self.ask(&setup, &call, route, app).await?;
        // What was made of the body takes its room in memory until the store has it, whoever has to be asked before.
        drop(bytes);
        let user = auth::user(&self.login, &setup.settings.cmsi_login_url, &self.intake, &app, identity).await?;
        admission::admit(&self.intake, &app, route.component, &parts.extensions).await?;
        match form? {
            Form::Types => {
                let list = self.types.of(&setup, &parts.headers);
                Ok(Success::list(list, reply::fresh_id(self.intake.fresh_id())))
            }
            Form::Order(order) => {
                send::send(&self.intake, &self.directory, app, user, *order, room, &setup.settings).await
            }
        }
    }

    /// Who asks, and what for; `app` is set once the app is known. Nothing here waits for anything.
    async fn ask(
        &self,
        setup: &Setup,
        call: &Call<'_>,
        route: Route<'_>,
        app: &mut Option<Arc<App>>,
    ) -> Result<Asked, Problem> {
        let now = self.intake.now();
        let header = if route.hook.is_none() { auth::header(&call.parts.headers)? } else { None };
        let mut params = params::read(call).await?;
        let (app, identity) = match route.hook {
            Some(hook) => {
                let app = app.insert(auth::app_of_hook(setup, hook)?);
                hook::adapt(&mut params);
                (app, auth::relayed(&params))
            }
            None => match self.gateway.claims(setup, &call.parts.headers, now)? {
                Some(claims) => {
                    let (code, user) = claims.verified()?;
                    (app.insert(auth::app_by_code(setup, code)?), Identity::Vouched(user))
                }
                None => {
                    let credentials = header.as_ref().unwrap_or(&params);
                    let app = app.insert(auth::app(setup, call, credentials, now)?);
                    (app, auth::identity(credentials, &params)?)
                }
            },
        };
        Ok(Asked { app: Arc::clone(app), identity, form: form(setup, app, call, &params, now) })
    }
}

/// Sections 5 to 8: the form of a component.
fn form(setup: &Setup, app: &Arc<App>, call: &Call<'_>, params: &Params<'_>, now: Timestamp) -> Result<Form, Problem> {
    let letter = match call.component {
        Component::SendMail => mail::send_mail(setup, app, params)?,
        Component::SendMsg => message::send_msg(setup, app, params, now)?,
        Component::GetMsgType => return Ok(Form::Types),
        Component::SendWeixin => weixin::send_weixin(setup, app, params, now)?,
        Component::SendSms => sms::send_sms(setup, app, params)?,
        Component::SendVoiceMsg => voice::send_voice_msg(setup, app, params)?,
        Component::SendQyWeixin => weixin::send_qy_weixin(setup, app, params)?,
        Component::SendMpWeixin => weixin::send_mp_weixin(setup, app, params, now)?,
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
