//! What WeCom and official accounts have in common: an API of JSON that answers HTTP 200 with `errcode` and `errmsg` whatever
//! happened, and an access token in the address of every call (`contracts/providers.md` 1 and 2).
//!
//! A token that is refused is replaced and the call made again, once and never twice: a refused call has sent nothing. `errmsg`
//! changes from day to day and carries request numbers; only `errcode` decides.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hongyan_core::{
    outcome::{Fault, Outcome, Rejection, Scope, Verdict},
    ports::Sealer,
    setup::Secret,
    store::AccessTokens,
    time::{Clock, Timestamp},
};
use reqwest::{
    Method, Request, Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;

use crate::{
    cloud::codes::{Class, Codes},
    error::OpenError,
    http::{Base, Http, Limits, Reply, Undelivered, deferred, words},
    token::{self, Fetched, Owner, Token, Tokens},
};

/// How long a token is good for that comes without saying so.
const TOKEN_LIFE: u64 = 7_200;
/// What WeCom's token endpoint says of a secret, and of nothing else.
const WRONG_SECRET: [&str; 3] = ["40001", "40091", "41004"];

/// The API of one provider.
pub(crate) struct Weixin {
    http: Http,
    base: Base,
    tokens: Tokens,
    codes: Codes,
    clock: Arc<dyn Clock>,
}

/// How an app gets its access token.
pub(crate) struct Grant {
    /// The token's key in the store.
    account: String,
    url: Url,
    /// What is posted; absent for a GET.
    body: Option<String>,
    secret: Secret,
    owner: Owner,
}

impl Grant {
    /// The same, of an app whose secret came from a caller: what goes wrong with it is no fault of the provider.
    pub(crate) fn of_caller(self) -> Self {
        Self { owner: Owner::Caller, ..self }
    }
}

/// What the API answered, whatever it says.
pub(crate) struct Answer {
    /// The whole answer.
    pub(crate) json: Value,
    /// What its errcode says; absent where no table has it.
    pub(crate) class: Option<Class>,
    /// The errcode and the errmsg, for the record.
    pub(crate) words: String,
    pub(crate) code: String,
}

impl Weixin {
    /// The API at `base_url`, whose errcodes mean what `table` says. Makes no connection.
    ///
    /// # Errors
    /// When `base_url` is none.
    pub(crate) fn new(
        base_url: &str,
        table: &'static str,
        limits: Limits,
        tokens: Arc<dyn AccessTokens>,
        sealer: Arc<dyn Sealer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let tokens = Tokens::new(tokens, sealer, Arc::clone(&clock));
        Ok(Self {
            http: Http::new(limits)?,
            base: Base::parse(base_url)?,
            tokens,
            codes: Codes::parse(&[table]),
            clock,
        })
    }

    /// A token by GET, for the app `id` of `kind`, with these parameters.
    pub(crate) fn grant_by_get(
        &self,
        kind: &str,
        path: &str,
        [id, secret]: [&'static str; 2],
        app: &str,
        key: &Secret,
    ) -> Grant {
        let mut url = self.base.at(path);
        url.query_pairs_mut().append_pair(id, app).append_pair(secret, key.expose());
        Grant { account: self.account(kind, app, key), url, body: None, secret: key.clone(), owner: Owner::Provider }
    }

    /// A token by POST of `body`, for the app `id` of `kind`.
    pub(crate) fn grant_by_post(&self, kind: &str, path: &str, body: &Value, app: &str, key: &Secret) -> Grant {
        let (account, url) = (self.account(kind, app, key), self.base.at(path));
        Grant { account, url, body: Some(body.to_string()), secret: key.clone(), owner: Owner::Provider }
    }

    fn account(&self, kind: &str, app: &str, key: &Secret) -> String {
        token::key(kind, self.base.as_str(), app, key)
    }

    /// Posts `body` to `path` with the token of `grant`.
    ///
    /// # Errors
    /// The verdict where there is no answer of the API's form, or no token.
    pub(crate) async fn post(&self, grant: &Grant, path: &str, body: &Value) -> Result<Answer, Verdict> {
        let body = Bytes::from(body.to_string());
        let mut refused = None;
        loop {
            let token = self.tokens.get(&grant.account, grant.owner, refused, self.fetch(grant)).await?;
            let answer = self.call(grant, &token, path, body.clone()).await?;
            if answer.class != Some(Class::Refresh) || refused.is_some() {
                return Ok(answer);
            }
            refused = Some(token.version);
        }
    }

    /// The verdict of an answer that refuses.
    pub(crate) fn refusal(&self, answer: &Answer) -> Verdict {
        let outcome = self.codes.outcome(&answer.code, &answer.words, None, self.clock.now());
        Verdict::new(outcome, answer.words.as_str())
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn call(&self, grant: &Grant, token: &Token, path: &str, body: Bytes) -> Result<Answer, Verdict> {
        let mut url = self.base.at(path);
        url.query_pairs_mut().append_pair("access_token", token.secret.expose());
        let reply = self.http.call(posted(url, body)).await.map_err(Undelivered::verdict)?;
        let secrets = [token.secret.expose(), grant.secret.expose()];
        self.read(&reply, &secrets).ok_or_else(|| reply.foreign(self.clock.now()))
    }

    /// Asks for a token. That changes nothing, so a doubtful end of it is no reason not to ask again.
    async fn fetch(&self, grant: &Grant) -> Result<Fetched, Verdict> {
        let request = match &grant.body {
            Some(body) => posted(grant.url.clone(), body.clone().into()),
            None => Request::new(Method::GET, grant.url.clone()),
        };
        let no_token = |verdict: Verdict| Verdict::new(verdict.outcome, format!("no access token: {}", verdict.reply));
        let reply = self.http.call(request).await.map_err(|error| no_token(error.harmless()))?;
        if let Some(fetched) = reply.json().and_then(|json| fetched(&json)) {
            return Ok(fetched);
        }
        let verdict = match self.read(&reply, &[grant.secret.expose()]) {
            Some(answer) => self.refused_token(grant, answer),
            None => self.foreign_token(grant, reply.foreign(self.clock.now())),
        };
        Err(no_token(verdict))
    }

    /// The verdict of an answer that is not of the API's form. Whatever stands before the API may dislike the very text that a
    /// caller named.
    fn foreign_token(&self, grant: &Grant, verdict: Verdict) -> Verdict {
        let verdict = match verdict {
            verdict @ Verdict { outcome: Outcome::Misconfigured | Outcome::Throttled { .. }, .. } => verdict,
            verdict => deferred(verdict.reply),
        };
        match grant.owner {
            Owner::Provider => verdict,
            Owner::Caller => Verdict::new(of_the_message(verdict.outcome), verdict.reply),
        }
    }

    /// The verdict of an answer that gives no token.
    fn refused_token(&self, grant: &Grant, answer: Answer) -> Verdict {
        let verdict = match answer.class {
            Some(Class::Transient | Class::Throttled(_) | Class::Configuration) => self.refusal(&answer),
            // What speaks of a token elsewhere speaks of the secret here.
            Some(Class::Refresh) => Verdict::new(Outcome::Misconfigured, answer.words),
            _ => deferred(answer.words),
        };
        match grant.owner {
            Owner::Provider => verdict,
            Owner::Caller if WRONG_SECRET.contains(&answer.code.as_str()) => {
                Verdict::new(Outcome::Rejected(Rejection::Content), verdict.reply)
            }
            Owner::Caller => Verdict::new(of_the_message(verdict.outcome), verdict.reply),
        }
    }

    /// Reads an answer of the API's form.
    fn read(&self, reply: &Reply, secrets: &[&str]) -> Option<Answer> {
        let json = reply.json()?;
        let code = match json.get("errcode")? {
            Value::Number(code) => code.to_string(),
            Value::String(code) => code.clone(),
            _ => return None,
        };
        let said = json.get("errmsg").and_then(Value::as_str).unwrap_or_default();
        let words = words(&format!("{code} {said}"), secrets);
        Some(Answer { class: self.codes.class(&code), words, code, json })
    }
}

fn posted(url: Url, body: Bytes) -> Request {
    let mut request = Request::new(Method::POST, url);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    *request.body_mut() = Some(body.into());
    request
}

fn fetched(json: &Value) -> Option<Fetched> {
    let token = json.get("access_token")?.as_str().filter(|token| !token.is_empty())?;
    let expires_in = json.get("expires_in").and_then(Value::as_u64).unwrap_or(TOKEN_LIFE);
    Some(Fetched { token: Secret::new(token), expires_in: Duration::from_secs(expires_in) })
}

/// The outcome where what stands in the way may be the message's own app: for this message the same, for the provider none.
pub(crate) fn of_the_message(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Deferred { after, fault: Fault::Provider } => Outcome::Deferred { after, fault: Fault::Recipient },
        Outcome::Throttled { scope: Scope::Provider, until } => Outcome::Throttled { scope: Scope::Recipient, until },
        Outcome::Misconfigured => Outcome::Deferred { after: None, fault: Fault::Recipient },
        outcome => outcome,
    }
}

/// The verdict where the content is not of a kind that the sender has.
pub(crate) fn not_mine(sender: &str) -> Verdict {
    Verdict::new(Outcome::Rejected(Rejection::Content), format!("{sender} takes texts and notices only"))
}
