//! WeCom (`contracts/providers.md` 2): texts of an app to members of its corporation, up to 1,000 in a call. WeCom answers which
//! of them it did not take and never says more; what is over a member's limits it drops in silence, so the dispatcher holds to
//! them ([`Channel::recipient_caps`]).
//!
//! | file | what it knows |
//! |---|---|
//! | `message` | what a content says, in parts that fit, and the request that carries one |
//! | `codes.tsv` | what each errcode means |

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::{
    cap::Cap,
    channel::{Channel, Parcel, RecipientCaps},
    content::{Agent, Content, secret_place},
    delivery::{Policy, Repeat},
    id::Id,
    outcome::{Fault, Outcome, Receipts, Rejection, Verdict},
    ports::Sealer,
    retry::RetrySchedule,
    setup::{Secret, WecomProvider},
    store::AccessTokens,
    time::Clock,
};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    cloud::codes::Class,
    error::OpenError,
    http::{Limits, deferred, words},
    weixin::{Answer, Grant, Weixin, not_mine},
};

mod message;

const TOKEN: &str = "/cgi-bin/gettoken";
const SEND: &str = "/cgi-bin/message/send";
const CODES: &str = include_str!("codes.tsv");
/// Users of one call.
const USERS_MAX: usize = 1_000;
/// The longest time for which WeCom drops what is the same.
const DUPLICATE_CHECK_MAX: Duration = Duration::from_secs(4 * 3_600);
/// A member gets so many messages of an app and no more.
const MEMBER: [Cap; 2] =
    [Cap { most: 30, span: Duration::from_secs(60) }, Cap { most: 1_000, span: Duration::from_secs(3_600) }];
/// Waits in seconds before a repeat of what was certainly not sent (`guides/reliability.md` A4.5).
const WAITS: [u64; 8] = [1, 4, 15, 60, 300, 900, 1_800, 3_600];
/// Waits before a part is tried again that follows one which was taken.
const PART_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Calls at most in search of the users for whose sake all of a call are refused.
const CALLS_MAX: u32 = 40;

/// A WeCom app.
pub struct Wecom {
    weixin: Weixin,
    sealer: Arc<dyn Sealer>,
    corp_id: String,
    grant: Arc<Grant>,
    agent_id: i64,
    duplicate_check: Option<Duration>,
}

/// The app that sends a message.
struct Speaker {
    agent_id: i64,
    grant: Arc<Grant>,
    /// The caller named it, so that what is wrong with it is the message's fault.
    is_callers: bool,
}

impl Wecom {
    /// The provider with these keys. Makes no connection.
    ///
    /// # Errors
    /// What is wrong with the keys.
    pub fn new(
        keys: &WecomProvider,
        limits: Limits,
        tokens: Arc<dyn AccessTokens>,
        sealer: Arc<dyn Sealer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let weixin = Weixin::new(&keys.base_url, CODES, limits, tokens, Arc::clone(&sealer), clock)?;
        let grant = Arc::new(grant(&weixin, &keys.corp_id, &keys.corp_secret));
        let duplicate_check = keys.duplicate_check.map(|interval| interval.min(DUPLICATE_CHECK_MAX));
        Ok(Self { weixin, sealer, corp_id: keys.corp_id.clone(), grant, agent_id: keys.agent_id, duplicate_check })
    }

    /// Who sends a message that names `agent`.
    ///
    /// # Errors
    /// The verdict where the secret that it carries cannot be read: for now, for a key may come back.
    fn speaker(&self, message: Id, agent: Option<&Agent>) -> Result<Speaker, Verdict> {
        let Some(agent) = agent else {
            return Ok(Speaker { agent_id: self.agent_id, grant: Arc::clone(&self.grant), is_callers: false });
        };
        let grant = match &agent.secret {
            None => Arc::clone(&self.grant),
            Some(sealed) => {
                let secret = self.sealer.open(&secret_place(message), sealed).map_err(|error| {
                    let outcome = Outcome::Deferred { after: None, fault: Fault::Recipient };
                    Verdict::new(outcome, words(&format!("the secret of the named app: {error}"), &[]))
                })?;
                Arc::new(grant(&self.weixin, &self.corp_id, &secret))
            }
        };
        Ok(Speaker { agent_id: agent.id.unwrap_or(self.agent_id), grant, is_callers: true })
    }

    /// Sends all parts, one after the other, each to those who got the one before it.
    async fn send_parts(&self, speaker: &Speaker, users: &[&str], parts: &[String]) -> Vec<Verdict> {
        let mut verdicts = vec![deferred("not tried"); users.len()];
        let mut open: Vec<usize> = (0..users.len()).collect();
        for (done, part) in parts.iter().enumerate() {
            let to: Vec<&str> = open.iter().map(|i| users[*i]).collect();
            let answers = self.send_part(speaker, &to, part, done > 0).await;
            let mut taken = Vec::with_capacity(open.len());
            for (i, verdict) in open.into_iter().zip(answers) {
                let is_taken = matches!(verdict.outcome, Outcome::Accepted { .. });
                match (is_taken, done) {
                    (_, 0) => verdicts[i] = verdict,
                    (true, _) => {}
                    (false, _) => verdicts[i] = torn(done, parts.len(), &verdict),
                }
                if is_taken {
                    taken.push(i);
                }
            }
            open = taken;
            if open.is_empty() {
                break;
            }
        }
        verdicts
    }

    /// Sends one part. One that follows another is tried again at once where that can help: what is half sent is worth more
    /// trouble than what is not.
    async fn send_part(&self, speaker: &Speaker, users: &[&str], part: &str, follows: bool) -> Vec<Verdict> {
        let mut waits = if follows { PART_WAITS.iter() } else { [].iter() };
        loop {
            let verdicts = self.divide(speaker, users, part).await;
            let is_put_off =
                |verdict: &Verdict| matches!(verdict.outcome, Outcome::Deferred { fault: Fault::Provider, .. });
            match waits.next() {
                Some(wait) if verdicts.iter().all(is_put_off) => sleep(*wait).await,
                _ => return verdicts,
            }
        }
    }

    /// Sends to all in one call, and where all are refused for the sake of some of them, to each half by itself.
    async fn divide(&self, speaker: &Speaker, users: &[&str], part: &str) -> Vec<Verdict> {
        let mut verdicts = vec![deferred("not tried"); users.len()];
        let (mut open, mut calls) = (vec![(0, users.len())], 0);
        while let Some((from, to)) = open.pop() {
            let range = from..to;
            calls += 1;
            let body = message::body(&users[range.clone()], speaker.agent_id, part, self.duplicate_check);
            let answer = match self.weixin.post(&speaker.grant, SEND, &body).await {
                Ok(answer) => answer,
                Err(verdict) => {
                    // The others would fare no better, and of them it is certain that nothing was sent.
                    let rest =
                        if verdict.outcome == Outcome::Unknown { deferred("not tried") } else { verdict.clone() };
                    verdicts[range].fill(verdict);
                    open.into_iter().for_each(|(from, to)| verdicts[from..to].fill(rest.clone()));
                    break;
                }
            };
            match answer.class {
                Some(Class::Taken) => taken(&answer, &users[range.clone()], &mut verdicts[range]),
                Some(Class::Split) if range.len() > 1 && calls < CALLS_MAX => {
                    let middle = from.midpoint(to);
                    open.extend([(middle, to), (from, middle)]);
                }
                Some(Class::Split) if range.len() > 1 => {
                    let outcome = Outcome::Deferred { after: None, fault: Fault::Recipient };
                    verdicts[range].fill(Verdict::new(outcome, answer.words));
                }
                _ => verdicts[range].fill(self.weixin.refusal(&answer)),
            }
        }
        verdicts
    }
}

#[async_trait]
impl Channel for Wecom {
    fn policy(&self) -> Policy {
        let repeat = self.duplicate_check.map_or(Repeat::AtMostOnce, Repeat::Deduplicated);
        Policy { repeat, retry: RetrySchedule::of(WAITS.map(Duration::from_secs)) }
    }

    fn recipient_caps(&self, content: &Content) -> Option<RecipientCaps> {
        let parts = message::parts(&message::text(content)?).len();
        let named = agent(content).and_then(|agent| agent.id).filter(|id| *id != self.agent_id);
        Some(RecipientCaps {
            caps: MEMBER.to_vec(),
            amount: u32::try_from(parts).unwrap_or(u32::MAX),
            scope: named.map(|id| id.to_string()).unwrap_or_default(),
        })
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let all = parcel.recipients.len();
        let Some(text) = message::text(&parcel.content) else { return vec![not_mine("WeCom"); all] };
        let speaker = match self.speaker(parcel.message, agent(&parcel.content)) {
            Ok(speaker) => speaker,
            Err(verdict) => return vec![verdict; all],
        };
        let parts = message::parts(&text);
        let users: Vec<&str> = parcel.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
        let mut verdicts = Vec::with_capacity(all);
        for users in users.chunks(USERS_MAX) {
            verdicts.extend(self.send_parts(&speaker, users, &parts).await);
        }
        for verdict in &mut verdicts {
            if speaker.is_callers && verdict.outcome == Outcome::Misconfigured {
                verdict.outcome = Outcome::Rejected(Rejection::Content);
            }
        }
        verdicts
    }

    async fn close(&self) {}
}

/// The app that a content names.
fn agent(content: &Content) -> Option<&Agent> {
    match content {
        Content::Notice(notice) => notice.agent.as_ref(),
        Content::Text(_) | Content::Mail(_) => None,
    }
}

fn grant(weixin: &Weixin, corp_id: &str, secret: &Secret) -> Grant {
    weixin.grant_by_get("wecom", TOKEN, ["corpid", "corpsecret"], corp_id, secret)
}

/// The verdicts for `users` of an answer that takes the message: with it come those who do not get it, in lower case.
fn taken(answer: &Answer, users: &[&str], verdicts: &mut [Verdict]) {
    let refused = |list: &str| -> HashSet<String> {
        let users = answer.json.get(list).and_then(Value::as_str).unwrap_or_default();
        users.split('|').map(str::to_lowercase).collect()
    };
    let lists = ["invaliduser", "unlicenseduser"].map(|list| (list, refused(list)));
    let provider_id = answer.json.get("msgid").and_then(Value::as_str).unwrap_or_default();
    let provider_id = words(provider_id, &[]);
    for (user, verdict) in users.iter().zip(verdicts) {
        let user = user.to_lowercase();
        *verdict = match lists.iter().find(|(_, refused)| refused.contains(&user)) {
            Some((list, _)) => {
                Verdict::new(Outcome::Rejected(Rejection::Recipient), format!("{}, named in {list}", answer.words))
            }
            None => {
                let outcome = Outcome::Accepted { provider_id: provider_id.clone(), receipt: Receipts::Never };
                Verdict::new(outcome, answer.words.as_str())
            }
        };
    }
}

/// The verdict of who got some parts and not the next: neither taken nor refused, and never to be sent from the start again.
fn torn(done: usize, all: usize, verdict: &Verdict) -> Verdict {
    Verdict::new(Outcome::Unknown, format!("{done} of {all} parts were taken: {}", verdict.reply))
}

#[cfg(test)]
mod tests;
