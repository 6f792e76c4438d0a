//! SMS of Alibaba Cloud, API Dysmsapi of 2017-05-25 (`contracts/providers.md` 3.1). Each number is a call of its own, for a call
//! with many has one code for all of them. The service removes no duplicates: what may have been sent is asked about by our own
//! name for it (OutId), never sent again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hongyan_core::{
    address::Phone,
    channel::{Answer, Channel, Parcel, Question, Recipient},
    content::Text,
    delivery::Policy,
    id::Id,
    outcome::Verdict,
    setup::{AliyunProvider, Secret},
    time::{Clock, Timestamp},
};

use crate::{
    cloud::{
        calendar::{china_days, utc_second},
        endpoint::Endpoint,
        phone, policy,
        sign::sha256_hex,
        template::{KnownBy, Templates, sign_of, text_of},
    },
    error::OpenError,
    http::{Http, Limits, Reply, Undelivered},
};

mod acs3;
mod api;

/// The version of the API.
const VERSION: &str = "2017-05-25";
/// What is sent this long before midnight may count for the next day.
const MIDNIGHT_MARGIN: Duration = Duration::from_secs(300);
/// Pages of a day that are searched for one delivery: no number gets more than the provider's caps let through.
const PAGES_MAX: usize = 4;
/// Days that are searched for one delivery: as long as anybody asks about one.
const DAYS_MAX: usize = 4;
/// Digits of a nonce, as in the official client.
const NONCE_DIGITS: usize = 32;

/// An Alibaba Cloud SMS provider.
pub struct Aliyun {
    key: String,
    secret: Secret,
    sign: String,
    templates: Templates,
    endpoint: Endpoint,
    http: Http,
    clock: Arc<dyn Clock>,
    /// Grows with every call, so that no two have the same nonce.
    calls: AtomicU64,
}

impl Aliyun {
    /// The provider with these keys, whose calls take no longer than `limits`.
    ///
    /// # Errors
    /// What is wrong with the keys, naming the one.
    pub fn new(keys: &AliyunProvider, limits: Limits, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Ok(Self {
            key: keys.access_key.clone(),
            secret: keys.access_secret.clone(),
            sign: keys.sign.clone(),
            templates: Templates::new(KnownBy::Name, &keys.template, &keys.templates)?,
            endpoint: Endpoint::parse(&keys.base_url)?,
            http: Http::new(limits)?,
            clock,
            calls: AtomicU64::new(0),
        })
    }

    async fn send_one(&self, text: &Text, recipient: &Recipient) -> Result<Verdict, Verdict> {
        let phone = phone(recipient)?;
        let filled = self.templates.fill(text)?;
        let parameters = api::message(recipient.delivery, &phone, sign_of(text, &self.sign), &filled);
        let reply = self.call("SendSms", &parameters, recipient.delivery).await?;
        Ok(api::verdict(&reply, &[&self.key, self.secret.expose()], self.clock.now()))
    }

    async fn find(&self, delivery: Id, phone: &Phone, day: &str) -> Answer {
        for number in 1..=PAGES_MAX {
            let question = api::question(phone, day, number);
            let Ok(reply) = self.call("QuerySendDetails", &question, delivery).await else { return Answer::NoAnswer };
            match api::page(&reply, delivery) {
                api::Page::Found(receipt) => return Answer::Known(receipt),
                api::Page::Full => {}
                api::Page::Last => break,
                api::Page::Refused => return Answer::NoAnswer,
            }
        }
        Answer::NotKnown
    }

    /// The days of China on which a call may have been made that was made at `at` or later: after a crash nobody knows how much.
    fn days(&self, at: Timestamp) -> impl Iterator<Item = String> {
        china_days(at, self.clock.now().max(at) + MIDNIGHT_MARGIN).take(DAYS_MAX)
    }

    /// Makes one call about a delivery.
    async fn call(
        &self,
        action: &'static str,
        parameters: &[(&'static str, String)],
        about: Id,
    ) -> Result<Reply, Verdict> {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let query = acs3::query(&parameters);
        let (payload, nonce) = (sha256_hex(b""), self.nonce(about));
        let date = utc_second(self.clock.now());
        let mut headers = vec![
            ("accept", "application/json"),
            ("host", self.endpoint.host()),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &payload),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", VERSION),
        ];
        let signed = acs3::Signed {
            method: "POST",
            path: self.endpoint.path(),
            query: &query,
            headers: &headers,
            payload: &payload,
        };
        let authorization = acs3::authorization(&signed, &self.key, self.secret.expose());
        headers.push(("authorization", &authorization));
        let request = self.endpoint.post(&query, &headers, String::new())?;
        self.http.call(request).await.map_err(Undelivered::verdict)
    }

    /// A word that no other call has, of this node or another: a delivery is in the hands of one node at a time.
    fn nonce(&self, about: Id) -> String {
        let (now, call) = (self.clock.now(), self.calls.fetch_add(1, Ordering::Relaxed));
        let mut nonce = sha256_hex(format!("{about}-{now}-{call}").as_bytes());
        nonce.truncate(NONCE_DIGITS);
        nonce
    }
}

#[async_trait]
impl Channel for Aliyun {
    fn policy(&self) -> Policy {
        policy()
    }

    fn answers_questions(&self) -> bool {
        true
    }

    async fn query(&self, question: &Question) -> Answer {
        let Ok(phone) = Phone::parse(&question.address) else { return Answer::NotKnown };
        for day in self.days(question.at) {
            match self.find(question.delivery, &phone, &day).await {
                Answer::NotKnown => {}
                answer => return answer,
            }
        }
        Answer::NotKnown
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let text = match text_of(&parcel.content) {
            Ok(text) => text,
            Err(verdict) => return vec![verdict; parcel.recipients.len()],
        };
        let mut verdicts = Vec::with_capacity(parcel.recipients.len());
        for recipient in &parcel.recipients {
            verdicts.push(self.send_one(text, recipient).await.unwrap_or_else(|verdict| verdict));
        }
        verdicts
    }

    async fn close(&self) {}
}
