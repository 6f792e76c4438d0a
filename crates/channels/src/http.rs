//! The HTTP client of the senders. Its one act, [`Http::call`], ends in a reply or in an [`Undelivered`] that says whether the
//! provider can have seen the request: that decides between trying again and never again (`guides/reliability.md` A3).
//!
//! Nothing is sent until a connection stands, TLS included: what fails before is certainly not sent. From then on the head and
//! the body leave in one write, so whatever fails, or takes too long, leaves it open whether the provider acted. The client
//! repeats a request by itself only where a connection that was kept turned out to be closed before a byte was written.
//!
//! Redirects are not followed, proxies of the environment are not used, there are no cookies; answers are bounded. Addresses
//! carry tokens and secrets (`?access_token=`): they are in no error text here.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use hongyan_core::{
    outcome::{Fault, Outcome, Rejection, Scope, Verdict},
    time::Timestamp,
};
use reqwest::{
    Client, Request, Response, StatusCode, Url,
    header::{HeaderMap, RETRY_AFTER},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};
use serde_json::Value;

use crate::error::OpenError;

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a connection stands: name, TCP and TLS.
    pub connect: Duration,
    /// The whole call, connecting included; longer than `connect`, so that a connection which never stands is told as such.
    pub total: Duration,
}

impl Default for Limits {
    /// Shorter together than a turn to fetch a token ([`hongyan_core::token::TURN`]).
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15) }
    }
}

/// How long a connection is kept that nothing uses: less than servers keep theirs, for a request that meets the server's
/// closing is one of which nobody knows whether it was taken.
const IDLE_LIMIT: Duration = Duration::from_secs(5);
/// How much of an answer is read: those of providers have a few hundred bytes per recipient at most.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The longest hint that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// The wait where a server asks to slow down and does not say for how long.
const THROTTLE_WAIT: Duration = Duration::from_secs(60);
/// The longest text that is kept of what a provider says.
const WORDS_BYTES_MAX: usize = 500;

/// The client of one provider.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    limits: Limits,
}

impl Http {
    /// A client that opens no connection yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limits: Limits) -> Result<Self, OpenError> {
        let wrong = |why: &dyn Error| OpenError::key("base_url", why);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            .pool_idle_timeout(IDLE_LIMIT)
            .user_agent(concat!("hongyan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong(&error))?;
        Ok(Self { client, limits })
    }

    /// Makes one call, and reads its answer whatever its status.
    ///
    /// # Errors
    /// Where there is no whole answer.
    pub async fn call(&self, request: Request) -> Result<Reply, Undelivered> {
        let undelivered = |error: reqwest::Error| {
            let reached = match (error.is_builder(), error.is_connect()) {
                (true, _) => Reached::Nothing,
                (false, true) => Reached::NoConnection,
                (false, false) => Reached::Perhaps,
            };
            Undelivered { reached, why: self.reason(&error.without_url()) }
        };
        let mut response = self.client.execute(request).await.map_err(undelivered)?;
        let body = read(&mut response).await.map_err(|error| match error {
            Some(error) => undelivered(error),
            None => {
                Undelivered { reached: Reached::Perhaps, why: format!("its answer is over {ANSWER_BYTES_MAX} bytes") }
            }
        })?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Reply { status: response.status(), headers, body })
    }

    fn reason(&self, error: &reqwest::Error) -> String {
        if error.is_builder() {
            return format!("no request can be made of it: {}", innermost(error));
        }
        match (error.is_timeout(), error.is_connect()) {
            (true, true) => format!("no connection within {:?}", self.limits.connect),
            (true, false) => format!("no answer within {:?}", self.limits.total),
            (false, true) => format!("cannot connect: {}", innermost(error)),
            (false, false) => format!("no answer: {}", innermost(error)),
        }
    }
}

/// The body of an answer; the error is absent where it is too long.
async fn read(response: &mut Response) -> Result<Bytes, Option<reqwest::Error>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// The cause inside all others, which says what happened; those around it only where.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    words(&inner.to_string(), &[])
}

/// Where the API of a provider is, checked.
#[derive(Clone, Debug)]
pub struct Base(Url);

impl Base {
    /// Reads a `base_url`: `http` or `https`, a host, perhaps a port and a path before those of the API.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let wrong = |why: &dyn ToString| OpenError::key("base_url", why.to_string());
        let url = Url::parse(url).map_err(|error| wrong(&error))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong(&"must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(&"may hold no login, no ? and no #"));
        }
        Ok(Self(url))
    }

    /// The address of `path`, which begins with a slash.
    pub fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// What tells it apart from others.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// An answer, of whatever status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Reply {
    /// Its body, where that is a JSON object.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().filter(Value::is_object)
    }

    /// How long it asks to wait, in the form of seconds (RFC 9110 section 10.2.3), bounded.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
    }

    /// The verdict of an answer that is not the provider's own, by its status alone. To be asked only after [`Reply::json`]: some
    /// providers give their codes with statuses of errors.
    ///
    /// A 4xx says that the request was refused as it was, and a redirect that the API is elsewhere: nothing was taken. Who may not
    /// ask (401, 403, 407), or asks in the wrong place (404 and redirects), has wrong settings; 413, 414 and 431 speak of this
    /// message alone, which is too long; of any other 4xx nobody knows what it speaks of, so that it is the try's. 429 (RFC 6585
    /// section 4), and 503 with Retry-After, come from a server or a gateway that did not work on it. Every other 5xx, such as a
    /// gateway's 502 or 504, may come after the provider has taken it, and so may a 2xx that nobody can read: unknown.
    pub fn foreign(&self, now: Timestamp) -> Verdict {
        let asked = self.retry_after();
        let throttled = |wait| Outcome::Throttled { scope: Scope::Provider, until: now + wait };
        let outcome = match (self.status.as_u16(), asked) {
            (429, asked) => throttled(asked.unwrap_or(THROTTLE_WAIT)),
            (503, Some(asked)) => throttled(asked),
            (408, _) => Outcome::Deferred { after: None, fault: Fault::Provider },
            (413 | 414 | 431, _) => Outcome::Rejected(Rejection::Content),
            (300..=399 | 401 | 403 | 404 | 407, _) => Outcome::Misconfigured,
            (400..=499, _) => Outcome::Deferred { after: None, fault: Fault::Recipient },
            _ => Outcome::Unknown,
        };
        Verdict::new(outcome, format!("HTTP {} without an answer of the provider's form", self.status.as_u16()))
    }
}

/// How far a request came that has no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It cannot be written down, such as one with an address that is too long.
    Nothing,
    /// There was no connection: it was certainly not sent.
    NoConnection,
    /// The provider may have seen it.
    Perhaps,
}

/// No whole answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// How far the request came.
    pub reached: Reached,
    /// What happened, in one line that names no address.
    pub why: String,
}

impl Undelivered {
    /// The verdict where the call would have sent something.
    pub fn verdict(self) -> Verdict {
        match self.reached {
            Reached::Nothing => Verdict::new(Outcome::Rejected(Rejection::Content), self.why),
            Reached::NoConnection => deferred(self.why),
            Reached::Perhaps => Verdict::new(Outcome::Unknown, self.why),
        }
    }

    /// The verdict where the call changes nothing, so that it may be made again.
    pub fn harmless(self) -> Verdict {
        deferred(self.why)
    }
}

/// The provider cannot be reached or cannot work.
pub fn deferred(why: impl Into<String>) -> Verdict {
    Verdict::new(Outcome::Deferred { after: None, fault: Fault::Provider }, why)
}

/// What a provider says, for the record: one line, bounded, and none of `secrets` in it, should it repeat them.
pub fn words(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    text.truncate(text.floor_char_boundary(WORDS_BYTES_MAX));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    #[test]
    fn a_base_is_http_and_nothing_but_a_place() {
        for (base, whole) in [
            ("https://qyapi.weixin.qq.com", "https://qyapi.weixin.qq.com/cgi-bin/x"),
            ("http://127.0.0.1:8080/proxy/", "http://127.0.0.1:8080/proxy/cgi-bin/x"),
        ] {
            assert_eq!(Base::parse(base).expect("a base").at("/cgi-bin/x").as_str(), whole);
        }
        for bad in ["", "qyapi.weixin.qq.com", "ftp://x", "https://u:p@x", "https://x/?a=b", "https://x/#a", "data:x"] {
            assert!(Base::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_that_is_not_the_providers_is_judged_by_its_status() {
        let throttled = |s| Outcome::Throttled { scope: Scope::Provider, until: NOW + Duration::from_secs(s) };
        for (status, after, outcome) in [
            (200, None, Outcome::Unknown),
            (301, None, Outcome::Misconfigured),
            (400, None, Outcome::Deferred { after: None, fault: Fault::Recipient }),
            (401, None, Outcome::Misconfigured),
            (403, None, Outcome::Misconfigured),
            (404, None, Outcome::Misconfigured),
            (405, None, Outcome::Deferred { after: None, fault: Fault::Recipient }),
            (407, None, Outcome::Misconfigured),
            (413, None, Outcome::Rejected(Rejection::Content)),
            (414, None, Outcome::Rejected(Rejection::Content)),
            (431, None, Outcome::Rejected(Rejection::Content)),
            (499, Some("7"), Outcome::Deferred { after: None, fault: Fault::Recipient }),
            (408, None, Outcome::Deferred { after: None, fault: Fault::Provider }),
            (429, None, throttled(60)),
            (429, Some("7"), throttled(7)),
            (500, None, Outcome::Unknown),
            (502, Some("7"), Outcome::Unknown),
            (503, None, Outcome::Unknown),
            (503, Some("7"), throttled(7)),
            (503, Some("999999"), throttled(3600)),
            (503, Some("soon"), Outcome::Unknown),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(RETRY_AFTER, after.parse().expect("a value"));
            }
            let status = StatusCode::from_u16(status).expect("a status");
            let reply = Reply { status, headers, body: Bytes::from_static(b"<html>") };
            assert_eq!((reply.json(), reply.foreign(NOW).outcome), (None, outcome), "{status} {after:?}");
        }
    }

    #[tokio::test]
    async fn what_makes_no_request_is_wrong_content() {
        let mut url = Url::parse("http://127.0.0.1/").expect("an address");
        url.set_query(Some(&"s3cret".repeat(12_000)));
        let http = Http::new(Limits::default()).expect("a client");
        let undelivered = http.call(Request::new(reqwest::Method::POST, url)).await.expect_err("too long");
        assert_eq!(undelivered.reached, Reached::Nothing);
        assert!(undelivered.why.starts_with("no request can be made of it: ") && !undelivered.why.contains("s3cret"));
        assert_eq!(undelivered.verdict().outcome, Outcome::Rejected(Rejection::Content));
    }

    #[test]
    fn words_are_one_line_without_secrets() {
        assert_eq!(words("bad token s3cret\r\nx", &["s3cret", ""]), "bad token ***  x");
        assert!(words(&"鸿".repeat(400), &[]).len() <= WORDS_BYTES_MAX);
    }
}
