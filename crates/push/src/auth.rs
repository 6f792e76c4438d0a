//! Which app calls (row 8, decision 6): known by its code, from an address it may call from, signed where it has to be, each nonce
//! once across all nodes, and no more often than it may.

use std::{sync::Arc, time::Duration};

use hongyan_core::{
    cap::{Cap, Drawn},
    setup::App,
};
use hongyan_intake::{Intake, wire::Json};

use crate::{
    call::Call,
    fields,
    place::Place,
    problem::{Problem, Stranger},
    signature::Signed,
};

/// Characters of an app's code.
const CODE_CHARS_MAX: usize = 128;
/// A nonce counts once in this time, which is longer than any time stamp is good for: one of 300 s ahead is to the end of the 600th
/// second.
const ONCE: Cap = Cap { most: 1, span: Duration::from_secs(601) };

/// The app that calls, if it may; that counts against its rate.
pub(crate) async fn admit(intake: &Intake, call: &Call<'_>) -> Result<Arc<App>, Problem> {
    let place = Place::top("appId");
    let code = match call.get("appId") {
        Json::Text(code) if code.trim().is_empty() => return Err(Problem::empty(&place)),
        given => fields::required(given, &place, CODE_CHARS_MAX)?,
    };
    let setup = intake.setup().get();
    let app = setup.app(&code).ok_or(Problem::Stranger(Stranger::App))?;
    if !app.may_call_from(call.client()) {
        return Err(Problem::Stranger(Stranger::Address));
    }
    match Signed::of(&call.parts.headers) {
        Some(signed) => {
            let nonce = signed.verify(app, call, intake.now()).map_err(Problem::Stranger)?;
            if intake.draw(ONCE, format!("push/nonce/{}/{nonce}", app.no.0)).await? != Drawn::Yes {
                return Err(Problem::Stranger(Stranger::NonceUsed));
            }
        }
        None if app.require_signature => return Err(Problem::Stranger(Stranger::Unsigned)),
        None => {}
    }
    if let Some(rate) = app.rate
        && intake.draw(rate, format!("app/{}/push", app.no.0)).await? != Drawn::Yes
    {
        return Err(Problem::TooOften);
    }
    Ok(Arc::clone(app))
}
