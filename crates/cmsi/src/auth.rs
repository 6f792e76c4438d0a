//! Section 3: which app calls, and for which user it speaks. Credentials come from the header `X-Bkapi-Authorization` or from
//! the parameters, never from both; an empty one counts as missing.

use std::{borrow::Cow, sync::Arc};

use axum::http::HeaderMap;
use hongyan_core::{
    setup::{App, Secret, Setup},
    time::Timestamp,
};
use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

use crate::{
    call::Call,
    error::Problem,
    mail,
    params::{Name, Params},
    python, signature,
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
            let is_valid = is_secret_of(found.map(|app| &**app), &secret.unwrap_or_default());
            match found {
                None => Err(Problem::UnknownApp(code.into_owned())),
                Some(_) if !is_valid => Err(Problem::WrongSecret(code.into_owned())),
                Some(app) => Ok(Arc::clone(app)),
            }
        }
    }
}

/// Whether `given` is one of the app's secrets. Digests of equal length are compared, each of them whole, so that the time
/// tells neither length nor place; for an unknown app as much is done.
fn is_secret_of(app: Option<&App>, given: &str) -> bool {
    let given = digest(&SHA256, given.as_bytes());
    let compare = |secret: &str| digest(&SHA256, secret.as_bytes()).as_ref().ct_eq(given.as_ref());
    match app {
        Some(app) if !app.secrets.is_empty() => {
            app.secrets.iter().fold(Choice::from(0), |any, secret| any | compare(secret.expose())).into()
        }
        _ => {
            let _same_work = compare("");
            false
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

/// The user in whose name the app speaks.
pub(crate) fn user(app: &App, identity: Identity) -> Result<String, Problem> {
    match identity {
        // No login service is asked yet, so that no token is known to be good.
        Identity::Token(_) => Err(Problem::BadToken),
        Identity::Name(user) if app.trusted && mail::is_username(&user) => Ok(user),
        Identity::Name(_) | Identity::None => Err(Problem::NoUser),
    }
}

/// The first of two names under which something is given.
fn first<'p>(credentials: &'p Params<'_>, names: [Name; 2]) -> Option<Cow<'p, str>> {
    names.into_iter().map(|name| credentials.get(name)).find(|value| !python::is_empty(value)).map(python::text)
}
