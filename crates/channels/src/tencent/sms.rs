//! SMS of Tencent Cloud, API of 2021-01-11 (`contracts/providers.md` 3.2). A call carries up to 200 numbers, all of mainland China
//! or none, and has a result for each of them. The service removes no duplicates: what may have been sent is asked about by
//! number, never sent again. A record of the provider counts only where it has our own name for the call, its SessionContext, which
//! Tencent Cloud puts into its records for accounts that have asked for it; without it what is unknown stays so.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::{
    address::Phone,
    channel::{Answer, Channel, Parcel, Question},
    delivery::Policy,
    outcome::{Outcome, Rejection, Scope, Verdict},
    setup::TencentProvider,
    time::Clock,
};
use serde_json::{Value, json};

use self::answer::Results;
use super::{Account, Service};
use crate::{
    cloud::{
        calendar::seconds,
        phone, policy,
        template::{Filled, KnownBy, Templates, sign_of, text_of},
    },
    error::OpenError,
    http::Limits,
};

mod answer;

/// Calls at most in search of the numbers for whose sake a call is refused.
const CALLS_MAX: u32 = 40;
/// When the search goes on that this bound ended.
const SEARCH_WAIT: Duration = Duration::from_secs(1);
/// Numbers in one call.
const CALL_NUMBERS_MAX: usize = 200;
/// Records that a question is answered with, the most there can be.
const RECORDS_MAX: u32 = 100;
/// How far the provider's clock may be from ours.
const CLOCKS_DIFFER_S: i64 = 60;

/// A Tencent Cloud SMS provider.
pub struct TencentSms {
    app: String,
    sign: String,
    templates: Templates,
    service: Service,
}

/// What every call of a parcel says.
struct Said<'a> {
    sign: &'a str,
    filled: Filled<'a>,
    context: String,
}

/// One recipient of a call.
struct Called {
    /// Its place in the parcel.
    place: usize,
    phone: Phone,
}

impl TencentSms {
    /// The provider with these keys, whose calls take no longer than `limits`.
    ///
    /// # Errors
    /// What is wrong with the keys, naming the one.
    pub fn new(keys: &TencentProvider, limits: Limits, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let account =
            Account { id: &keys.secret_id, key: &keys.secret_key, region: &keys.region, base_url: &keys.base_url };
        Ok(Self {
            app: keys.app_id.clone(),
            sign: keys.sign.clone(),
            templates: Templates::new(KnownBy::Place, &keys.template, &keys.templates)?,
            service: Service::new("sms", "2021-01-11", &account, limits, clock)?,
        })
    }

    fn said<'a>(&'a self, parcel: &'a Parcel) -> Result<Said<'a>, Verdict> {
        let text = text_of(&parcel.content)?;
        let (sign, filled) = (sign_of(text, &self.sign), self.templates.fill(text)?);
        Ok(Said { sign, filled, context: answer::context(parcel) })
    }

    /// One call for these, and the result of each.
    async fn call(&self, called: &[Called], said: &Said<'_>) -> Results {
        let body = self.body(called, said);
        let reply = match self.service.call("SendSms", &body).await {
            Ok(reply) => reply,
            Err(verdict) => return Results::Same(verdict),
        };
        let phones: Vec<&Phone> = called.iter().map(|called| &called.phone).collect();
        answer::results(&reply, &phones, &self.service.secrets(), self.service.now())
    }

    /// The verdict of those among whom there is one for whose sake all were refused, and who shall be searched later.
    fn later(&self, verdict: &Verdict) -> Verdict {
        let until = self.service.now() + SEARCH_WAIT;
        Verdict::new(Outcome::Throttled { scope: Scope::Recipient, until }, verdict.reply.as_str())
    }

    fn body(&self, called: &[Called], said: &Said<'_>) -> Value {
        let Said { sign, filled, context } = said;
        let numbers: Vec<&str> = called.iter().map(|called| called.phone.as_str()).collect();
        let values: Vec<&str> = filled.values.iter().map(|(_, value)| *value).collect();
        let mut body = json!({
            "PhoneNumberSet": numbers,
            "SmsSdkAppId": self.app,
            "TemplateId": filled.id,
            "TemplateParamSet": values,
            "SessionContext": context,
        });
        // A signature belongs to mainland China; abroad it is none, or makes the number one that does not fit it.
        if called.first().is_some_and(|called| called.phone.mainland().is_some()) {
            body["SignName"] = (*sign).into();
        }
        body
    }
}

/// The calls that carry `numbers`: none with both numbers of mainland China and others, none with too many.
fn calls(numbers: Vec<Called>) -> Vec<Vec<Called>> {
    let (mut home, mut abroad): (Vec<_>, Vec<_>) =
        numbers.into_iter().partition(|called| called.phone.mainland().is_some());
    let mut calls = Vec::new();
    for numbers in [&mut home, &mut abroad] {
        while !numbers.is_empty() {
            calls.push(numbers.drain(..numbers.len().min(CALL_NUMBERS_MAX)).collect());
        }
    }
    calls
}

#[async_trait]
impl Channel for TencentSms {
    fn policy(&self) -> Policy {
        policy()
    }

    fn answers_questions(&self) -> bool {
        true
    }

    async fn query(&self, question: &Question) -> Answer {
        let Ok(phone) = Phone::parse(&question.address) else { return Answer::NotKnown };
        // After a crash the call may have been made long after `at`.
        let now = self.service.now().max(question.at);
        let body = json!({
            "BeginTime": seconds(question.at) - CLOCKS_DIFFER_S,
            "EndTime": seconds(now) + CLOCKS_DIFFER_S,
            "Offset": 0,
            "Limit": RECORDS_MAX,
            "PhoneNumber": phone.as_str(),
            "SmsSdkAppId": self.app,
        });
        match self.service.call("PullSmsSendStatusByPhoneNumber", &body).await {
            Ok(reply) => answer::found(&reply, &phone, question.delivery),
            Err(_) => Answer::NoAnswer,
        }
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let all = parcel.recipients.len();
        let said = match self.said(parcel) {
            Ok(said) => said,
            Err(verdict) => return vec![verdict; all],
        };
        let mut verdicts: Vec<Option<Verdict>> = vec![None; all];
        let mut numbers = Vec::with_capacity(all);
        for (place, recipient) in parcel.recipients.iter().enumerate() {
            match phone(recipient) {
                Ok(phone) => numbers.push(Called { place, phone }),
                Err(verdict) => verdicts[place] = Some(verdict),
            }
        }
        let (mut calls, mut made) = (calls(numbers), 0);
        while let Some(mut called) = calls.pop() {
            made += 1;
            match self.call(&called, &said).await {
                // A call that is refused as a whole for a number sent nothing: halves find which it is, and the others go.
                Results::Same(verdict) if is_for_a_number(&verdict) && called.len() > 1 => {
                    if made < CALLS_MAX {
                        calls.push(called.split_off(called.len() / 2));
                        calls.push(called);
                    } else {
                        let later = self.later(&verdict);
                        called.iter().for_each(|one| verdicts[one.place] = Some(later.clone()));
                    }
                }
                Results::Same(verdict) => called.iter().for_each(|one| verdicts[one.place] = Some(verdict.clone())),
                Results::Each(each) => {
                    called.iter().zip(each).for_each(|(one, verdict)| verdicts[one.place] = Some(verdict));
                }
            }
        }
        verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(answer::missing)).collect()
    }

    async fn close(&self) {}
}

fn is_for_a_number(verdict: &Verdict) -> bool {
    verdict.outcome == Outcome::Rejected(Rejection::Recipient)
}
