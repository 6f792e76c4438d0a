//! Voice messages of Tencent Cloud, API vms of 2020-09-02: a number is called and hears the text, read out from a template. One
//! number a call. Nothing removes duplicates, and nothing can be asked later: what may have been called is never called again.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use hongyan_core::{
    channel::{Channel, Parcel, Recipient},
    content::Text,
    delivery::Policy,
    id::Id,
    outcome::{Outcome, Receipts, Verdict},
    setup::TencentVoiceProvider,
    time::{Clock, Timestamp},
};
use serde_json::{Value, json};

use super::{Account, Answer, GATEWAY, Service};
use crate::{
    cloud::{codes::Codes, phone, policy, taken, template::text_of},
    error::OpenError,
    http::{Limits, Reply},
};

const TABLE: &str = include_str!("voice.tsv");
static CODES: LazyLock<Codes> = LazyLock::new(|| Codes::parse(&[GATEWAY, TABLE]));

/// A Tencent Cloud voice provider.
pub struct TencentVoice {
    app: String,
    template: String,
    play_times: u8,
    service: Service,
}

impl TencentVoice {
    /// The provider with these keys, whose calls take no longer than `limits`.
    ///
    /// # Errors
    /// What is wrong with the keys, naming the one.
    pub fn new(keys: &TencentVoiceProvider, limits: Limits, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        if keys.template.is_empty() {
            return Err(OpenError::key("template", "must be there"));
        }
        let account =
            Account { id: &keys.secret_id, key: &keys.secret_key, region: &keys.region, base_url: &keys.base_url };
        Ok(Self {
            app: keys.app_id.clone(),
            template: keys.template.clone(),
            play_times: keys.play_times,
            service: Service::new("vms", "2020-09-02", &account, limits, clock)?,
        })
    }

    async fn call_one(&self, text: &Text, recipient: &Recipient) -> Result<Verdict, Verdict> {
        let phone = phone(recipient)?;
        let body = self.body(recipient.delivery, phone.as_str(), text);
        let reply = self.service.call("SendTtsVoice", &body).await?;
        Ok(verdict(&reply, &self.service.secrets(), self.service.now()))
    }

    fn body(&self, delivery: Id, number: &str, text: &Text) -> Value {
        json!({
            "TemplateId": self.template,
            "CalledNumber": number,
            "VoiceSdkAppid": self.app,
            "TemplateParamSet": [text.text],
            "PlayTimes": self.play_times,
            "SessionContext": delivery.to_string(),
        })
    }
}

/// The verdict that an answer to `SendTtsVoice` is.
fn verdict(reply: &Reply, secrets: &[&str], now: Timestamp) -> Verdict {
    match Answer::read(reply) {
        Answer::Done(response) => match response["SendStatus"]["CallId"].as_str() {
            Some(call) => taken(call, Receipts::Never, "Ok".to_owned()),
            None => Verdict::new(Outcome::Unknown, "an answer without a call"),
        },
        Answer::Refused(refusal) => refusal.verdict(&CODES, reply.status, secrets, now),
        Answer::Foreign => reply.foreign(now),
    }
}

#[async_trait]
impl Channel for TencentVoice {
    fn policy(&self) -> Policy {
        policy()
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let text = match text_of(&parcel.content) {
            Ok(text) => text,
            Err(verdict) => return vec![verdict; parcel.recipients.len()],
        };
        let mut verdicts = Vec::with_capacity(parcel.recipients.len());
        for recipient in &parcel.recipients {
            verdicts.push(self.call_one(text, recipient).await.unwrap_or_else(|verdict| verdict));
        }
        verdicts
    }

    async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::codes;

    #[test]
    fn the_table_is_sound() {
        codes::tests::assert_sound(&[GATEWAY, TABLE]);
    }
}
