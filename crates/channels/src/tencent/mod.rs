//! Tencent Cloud: SMS and voice are two services behind one way of calling (`contracts/providers.md` 3.2). An answer is 200 with
//! either one error for the whole call or what the action answers; each service has its own codes beside the common ones.

use std::sync::Arc;

use hongyan_core::{
    outcome::{Outcome, Verdict},
    setup::Secret,
    time::{Clock, Timestamp},
};
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    cloud::{calendar::seconds, codes::Codes, endpoint::Endpoint, said},
    error::OpenError,
    http::{Http, Limits, Reply, Undelivered},
};

mod sms;
mod tc3;
mod voice;

pub use sms::TencentSms;
pub use voice::TencentVoice;

/// The codes that the services share.
const GATEWAY: &str = include_str!("gateway.tsv");
const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// One service of an account.
struct Service {
    /// Its name in signatures.
    name: &'static str,
    version: &'static str,
    id: String,
    key: Secret,
    region: String,
    endpoint: Endpoint,
    http: Http,
    clock: Arc<dyn Clock>,
}

/// The keys that all services have.
struct Account<'a> {
    id: &'a str,
    key: &'a Secret,
    region: &'a str,
    base_url: &'a str,
}

impl Service {
    fn new(
        name: &'static str,
        version: &'static str,
        account: &Account<'_>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            name,
            version,
            id: account.id.to_owned(),
            key: account.key.clone(),
            region: account.region.to_owned(),
            endpoint: Endpoint::parse(account.base_url)?,
            http: Http::new(limits)?,
            clock,
        })
    }

    /// Makes one call.
    async fn call(&self, action: &'static str, body: &Value) -> Result<Reply, Verdict> {
        let (now, body) = (self.now(), body.to_string());
        let (timestamp, lower) = (seconds(now).to_string(), action.to_ascii_lowercase());
        let signed = [("content-type", CONTENT_TYPE), ("host", self.endpoint.host()), ("x-tc-action", &lower)];
        let signed = tc3::Signed {
            service: self.name,
            path: self.endpoint.path(),
            headers: &signed,
            body: body.as_bytes(),
            at: now,
        };
        let authorization = tc3::authorization(&signed, &self.id, self.key.expose());
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", CONTENT_TYPE),
            ("host", self.endpoint.host()),
            ("x-tc-action", action),
            ("x-tc-timestamp", &timestamp),
            ("x-tc-version", self.version),
            ("x-tc-region", &self.region),
        ];
        let request = self.endpoint.post("", &headers, body)?;
        self.http.call(request).await.map_err(Undelivered::verdict)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What never stands in a reply.
    fn secrets(&self) -> [&str; 2] {
        [&self.id, self.key.expose()]
    }
}

/// An answer, read.
#[derive(Debug, PartialEq)]
enum Answer {
    /// What the action answers.
    Done(Value),
    /// The whole call was refused, and why.
    Refused(Refusal),
    /// It is not in the form of the API.
    Foreign,
}

/// A code and the words beside it.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    code: String,
    message: String,
}

impl Answer {
    fn read(reply: &Reply) -> Self {
        let mut body = reply.json().unwrap_or_default();
        let response = body["Response"].take();
        match response.get("Error") {
            Some(error) => Refusal::read(error).map_or(Self::Foreign, Self::Refused),
            None if response.is_object() && reply.status.is_success() => Self::Done(response),
            None => Self::Foreign,
        }
    }
}

impl Refusal {
    /// From the fields `Code` and `Message`.
    fn read(value: &Value) -> Option<Self> {
        let message = value["Message"].as_str().unwrap_or_default().to_owned();
        let code = value["Code"].as_str().filter(|code| !code.is_empty())?.to_owned();
        Some(Self { code, message })
    }

    /// The verdict by a service's codes, with `secrets` kept out of its words.
    fn verdict(&self, codes: &Codes, status: StatusCode, secrets: &[&str], now: Timestamp) -> Verdict {
        let outcome = match codes.class(&self.code) {
            // A server that failed in a way which nobody knows may have failed after it took it.
            None if status.is_server_error() => Outcome::Unknown,
            _ => codes.outcome(&self.code, &self.message, None, now),
        };
        Verdict::new(outcome, self.said(secrets))
    }

    /// Both, for the record.
    fn said(&self, secrets: &[&str]) -> String {
        said(&self.code, &self.message, secrets)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_read() {
        let refused = |code: &str| Answer::Refused(Refusal { code: code.into(), message: "m".into() });
        for (status, body, answer) in [
            (200, json!({ "Response": { "A": 1 } }).to_string(), Answer::Done(json!({ "A": 1 }))),
            (200, json!({ "Response": { "Error": { "Code": "C", "Message": "m" } } }).to_string(), refused("C")),
            (500, json!({ "Response": { "Error": { "Code": "C", "Message": "m" } } }).to_string(), refused("C")),
            (500, json!({ "Response": { "A": 1 } }).to_string(), Answer::Foreign),
            (200, json!({ "Response": { "Error": {} } }).to_string(), Answer::Foreign),
            (200, json!({ "Response": { "Error": { "Code": "" } } }).to_string(), Answer::Foreign),
            (200, json!({ "A": 1 }).to_string(), Answer::Foreign),
            (200, json!([1]).to_string(), Answer::Foreign),
            (200, "<html>".to_owned(), Answer::Foreign),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let reply = Reply { status, headers: HeaderMap::new(), body: Bytes::from(body.clone()) };
            assert_eq!(Answer::read(&reply), answer, "{status} {body}");
        }
    }
}
