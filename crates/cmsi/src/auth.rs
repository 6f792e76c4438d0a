//! Section 3: which app calls, and for which user it speaks. Credentials come from the header `X-Bkapi-Authorization` or from
//! the parameters, never from both; an empty one counts as missing. What the API gateway vouches for (`X-Bkapi-JWT`) stands
//! over both, and a hook's address for all of them (decision 13).

use std::{borrow::Cow, sync::Arc};

use axum::http::HeaderMap;
use hongyan_core::{
    setup::{App, Secret, Setup},
    time::Timestamp,
};
use hongyan_intake::{Intake, wire::is_one_of};

use crate::{
    audience,
    call::Call,
    error::Problem,
    jwt::Vouched,
    login::Login,
    params::{Name, Params},
    python,
    route::Hook,
    signature,
};

/// The header that carries credentials as a JSON object.
const HEADER: &str = "x-bkapi-authorization";

/// The credentials of the header. Where it is there the parameters do not count, even if it says nothing (`{}`).
pub(crate) fn header(headers: &HeaderMap) -> Result<Option<Params<'_>>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        // Two would be joined by a comma on the way through a proxy, and that is no JSON.
        return Err(Problem::BrokenAuthorization);
    }
    Params::from_json(value.as_bytes()).map(Some).map_err(|_| Problem::BrokenAuthorization)
}

/// The app that calls, by its secret or its signature.
pub(crate) fn app(
    setup: &Setup,
    call: &Call<'_>,
    credentials: &Params<'_>,
    now: Timestamp,
) -> Result<Arc<App>, Problem> {
    if python::is_true(credentials.get(Name::AccessToken)) {
        // A token of a service that no deployment of ours has; it would stand for app and user together.
        return Err(Problem::AccessToken);
    }
    let signed = signature::Signed::of(call);
    let secret = first(credentials, [Name::BkAppSecret, Name::AppSecret]);
    if signed.is_none() && secret.is_none() {
        return Err(Problem::NoSecret);
    }
    let code = first(credentials, [Name::BkAppCode, Name::AppCode]).ok_or(Problem::NoAppCode)?;
    let found = setup.app(&code);
    match (signed, secret) {
        (Some(signed), _) => {
            let found = found.ok_or_else(|| Problem::UnknownApp(code.into_owned()))?;
            signed.verify(found, call, now)?;
            Ok(Arc::clone(found))
        }
        (None, secret) => {
            let secrets = found.map_or(&[][..], |app| &app.secrets);
            let is_valid = is_one_of(secrets, &secret.unwrap_or_default());
            match found {
                None => Err(Problem::UnknownApp(code.into_owned())),
                Some(_) if !is_valid => Err(Problem::WrongSecret(code.into_owned())),
                Some(app) => Ok(Arc::clone(app)),
            }
        }
    }
}

/// The app that the API gateway vouches for.
pub(crate) fn app_by_code(setup: &Setup, code: String) -> Result<Arc<App>, Problem> {
    setup.app(&code).map(Arc::clone).ok_or(Problem::UnknownApp(code))
}

/// Decision 13: the app whose hook is called. Whoever guesses is not told what was wrong, nor by how long it took.
pub(crate) fn app_of_hook(setup: &Setup, hook: Hook<'_>) -> Result<Arc<App>, Problem> {
    let app = setup.app(hook.app);
    let tokens = app.and_then(|app| app.hook.as_ref()).filter(|token| !token.is_empty());
    match app {
        Some(app) if is_one_of(tokens.map_or(&[], std::slice::from_ref), hook.token) => Ok(Arc::clone(app)),
        Some(_) => Err(Problem::BadHook),
        None => {
            let _same_work = is_one_of(&[], hook.token);
            Err(Problem::BadHook)
        }
    }
}

/// By what a request says in whose name the app speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A token of the login service, which knows whose it is.
    Token(Secret),
    /// A name, which an app may say that is trusted.
    Name(String),
    /// The API gateway's word.
    Vouched(Vouched),
    /// Whoever the ESB that calls a hook says; may be empty.
    Relayed(String),
    /// Nothing.
    None,
}

/// By what a request names its user. A token is tried before a name, and one that fails is not passed over.
pub(crate) fn identity(credentials: &Params<'_>, params: &Params<'_>) -> Result<Identity, Problem> {
    if python::is_true(params.get(Name::BkAccessToken)) {
        return Err(Problem::UnknownUserToken);
    }
    let token = credentials.get(Name::BkToken);
    if python::is_true(token) {
        return Ok(Identity::Token(Secret::new(python::text(token))));
    }
    Ok(first(credentials, [Name::BkUsername, Name::Username])
        .map_or(Identity::None, |name| Identity::Name(name.into_owned())))
}

/// The user whom an ESB names to a hook; it verified them itself. Nothing but the name is looked at.
pub(crate) fn relayed(params: &Params<'_>) -> Identity {
    let name = first(params, [Name::BkUsername, Name::Username]).unwrap_or_default();
    Identity::Relayed(if audience::is_username(&name) { name.into_owned() } else { String::new() })
}

/// The user in whose name the app speaks.
pub(crate) async fn user(
    login: &Login,
    login_url: &str,
    intake: &Intake,
    app: &App,
    identity: Identity,
) -> Result<String, Problem> {
    match identity {
        Identity::Token(token) => login.user(login_url, &token, intake).await,
        Identity::Name(user) if app.trusted && audience::is_username(&user) => Ok(user),
        // A name that the gateway only passes on counts as one that the app itself gives.
        Identity::Vouched(Vouched { name, is_verified, .. })
            if (is_verified || app.trusted) && !name.is_empty() && audience::is_username(&name) =>
        {
            Ok(name)
        }
        Identity::Vouched(Vouched { fault, .. }) => Err(Problem::UserNotVerified(fault)),
        Identity::Relayed(name) => Ok(name),
        Identity::Name(_) | Identity::None => Err(Problem::NoUser),
    }
}

/// The first of two names under which something is given.
fn first<'p>(credentials: &'p Params<'_>, names: [Name; 2]) -> Option<Cow<'p, str>> {
    names.into_iter().map(|name| credentials.get(name)).find(|value| !python::is_empty(value)).map(python::text)
}
