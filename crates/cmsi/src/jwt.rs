//! Section 3, requests that come through the API gateway: its signed header `X-Bkapi-JWT` stands for app and user. It counts
//! only where the gateway's public key is configured, and only in the one algorithm that the gateway signs with, so that the
//! public key can never be taken for a shared one.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use hongyan_core::{setup::Setup, time::Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::error::{JwtFault, Problem};

const HEADER: &str = "x-bkapi-jwt";
/// How far the gateway's clock and ours may be apart, in seconds.
const LEEWAY_S: i64 = 60;

/// The key of a version of the setup, parsed; absent where it is none.
type Parsed = Option<Arc<DecodingKey>>;

/// The API gateway that a deployment trusts.
pub(crate) struct Gateway {
    validation: Validation,
    /// The newest version of the setup whose key was parsed.
    key: Mutex<Option<(i64, Parsed)>>,
}

/// What the gateway says of a request.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Claims {
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(default)]
    app: Option<AppClaim>,
    #[serde(default)]
    user: Option<UserClaim>,
}

/// What it says of the app.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AppClaim {
    #[serde(default)]
    pub(crate) app_code: Option<String>,
    #[serde(default)]
    verified: Option<bool>,
    #[serde(default)]
    valid_error_message: Option<String>,
}

/// What it says of the user.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct UserClaim {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    verified: Option<bool>,
    #[serde(default)]
    valid_error_message: Option<String>,
}

/// A user as the gateway names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vouched {
    /// Empty where it knows none.
    pub(crate) name: String,
    /// Whether it verified that they are who they say.
    pub(crate) is_verified: bool,
    /// What it says is wrong with them; may be empty.
    pub(crate) fault: String,
}

impl Claims {
    /// The code of the app, and the user.
    ///
    /// # Errors
    /// Where the gateway did not verify the app: with its own words, if it has any.
    pub(crate) fn verified(self) -> Result<(String, Vouched), Problem> {
        let (app, user) = (self.app.unwrap_or_default(), self.user.unwrap_or_default());
        if app.verified != Some(true) {
            return Err(Problem::AppNotVerified(app.valid_error_message.unwrap_or_default()));
        }
        let user = Vouched {
            name: user.username.unwrap_or_default(),
            is_verified: user.verified == Some(true),
            fault: user.valid_error_message.unwrap_or_default(),
        };
        Ok((app.app_code.unwrap_or_default(), user))
    }
}

impl Gateway {
    /// No key is parsed yet.
    pub(crate) fn new() -> Self {
        let mut validation = Validation::new(Algorithm::RS512);
        // Times are checked by the node's clock, below. Nothing in the contract says for whom the gateway signs.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { validation, key: Mutex::new(None) }
    }

    /// What the gateway says of the request; `None` where no gateway is trusted, or the header is not there or empty.
    ///
    /// # Errors
    /// A header that is not the gateway's word, or not at this time.
    pub(crate) fn claims(&self, setup: &Setup, headers: &HeaderMap, now: Timestamp) -> Result<Option<Claims>, Problem> {
        let mut values = headers.get_all(HEADER).iter().filter(|value| !value.is_empty());
        let Some(value) = values.next().filter(|_| !setup.settings.cmsi_jwt_key.is_empty()) else { return Ok(None) };
        if values.next().is_some() {
            return Err(Problem::Jwt(JwtFault::Broken));
        }
        let key = self.key(setup).ok_or(Problem::Jwt(JwtFault::Key))?;
        let text = value.to_str().map_err(|_| Problem::Jwt(JwtFault::Broken))?;
        let token = jsonwebtoken::decode::<Claims>(text, &key, &self.validation);
        let claims = token.map_err(|_| Problem::Jwt(JwtFault::Broken))?.claims;
        check_time(&claims, now.ms().div_euclid(1_000)).map_err(Problem::Jwt)?;
        Ok(Some(claims))
    }

    fn key(&self, setup: &Setup) -> Parsed {
        let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((version, key)) if *version == setup.version => key.clone(),
            _ => {
                let key = DecodingKey::from_rsa_pem(setup.settings.cmsi_jwt_key.as_bytes()).ok().map(Arc::new);
                if key.is_none() {
                    tracing::warn!(
                        "cmsi.jwt_public_key is no RSA key in PEM form; no request by the gateway is let in"
                    );
                }
                *known = Some((setup.version, key.clone()));
                key
            }
        }
    }
}

/// RFC 7519 sections 4.1.4 and 4.1.5. Every token of the gateway ends; one that does not is not its.
fn check_time(claims: &Claims, now_s: i64) -> Result<(), JwtFault> {
    let (now, leeway) = (now_s as f64, LEEWAY_S as f64);
    match claims.exp {
        None => Err(JwtFault::Broken),
        Some(exp) if now >= exp + leeway => Err(JwtFault::Expired),
        Some(_) if claims.nbf.is_some_and(|nbf| nbf > now + leeway) => Err(JwtFault::Early),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let at = |exp, nbf| check_time(&Claims { exp, nbf, ..Claims::default() }, 1_000);
        for (exp, nbf, expected) in [
            (Some(1_001.0), None, Ok(())),
            (Some(941.0), None, Ok(())),
            (Some(940.0), None, Err(JwtFault::Expired)),
            (Some(-1e300), None, Err(JwtFault::Expired)),
            (Some(2_000.0), Some(1_060.0), Ok(())),
            (Some(2_000.0), Some(1_061.0), Err(JwtFault::Early)),
            (None, None, Err(JwtFault::Broken)),
        ] {
            assert_eq!(at(exp, nbf), expected, "{exp:?} {nbf:?}");
        }
    }
}
