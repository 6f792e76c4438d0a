//! WeCom (`contracts/providers.md` 2): texts of an app to members of its corporation, up to 1,000 in a call. WeCom answers which
//! of them it did not take and never says more; what is over a member's limits it drops in silence, so the dispatcher holds to
//! them ([`Channel::recipient_caps`]).
//!
//! | file | what it knows |
//! |---|---|
//! | `message` | what a content says, in parts that fit, and the request that carries one |
//! | `speaker` | which app sends it, and who is to blame for what is wrong with that |
//! | `codes.tsv` | what each errcode means |

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::{
    cap::Cap,
    channel::{Channel, Parcel, Recipient, RecipientCaps},
    content::{Agent, Content, secret_place},
    delivery::{Policy, Repeat},
    id::Id,
    outcome::{Fault, Outcome, Receipts, Rejection, Scope, Verdict},
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
mod speaker;

use speaker::Speaker;

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
/// For so long at most, each time, where WeCom asks to slow down.
const PART_WAIT_MAX: Duration = Duration::from_secs(10);
/// Calls at most in search of the users for whose sake all of a call are refused.
const CALLS_MAX: u32 = 40;
/// After what wait a search goes on that took so many.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);
/// What is said of those for whom no call was made.
const NOT_TRIED: &str = "not tried";

/// A WeCom app.
pub struct Wecom {
    weixin: Weixin,
    sealer: Arc<dyn Sealer>,
    corp_id: String,
    grant: Arc<Grant>,
    agent_id: i64,
    duplicate_check: Option<Duration>,
}

/// Who makes one call together.
struct Group<'a> {
    users: Vec<&'a str>,
    /// They made it before, and nobody knows how it ended.
    is_repeat: bool,
}

impl<'a> Group<'a> {
    /// Some of them.
    fn of(&self, places: &[usize]) -> Self {
        Self { users: places.iter().map(|i| self.users[*i]).collect(), is_repeat: false }
    }

    /// The verdict of those of a call, the `calls`th, that has no answer. What was refused for all and then lost for some could only
    /// be repeated with others around it, as something new: of them it stays unknown.
    fn lost(&self, verdict: &Verdict, calls: u32) -> Verdict {
        match verdict.outcome {
            Outcome::Unknown if self.is_repeat && calls > 1 => {
                Verdict::new(Outcome::PartlySent, verdict.reply.as_str())
            }
            _ => verdict.clone(),
        }
    }
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
            let grant = Arc::clone(&self.grant);
            return Ok(Speaker { agent_id: self.agent_id, grant, names_id: false, names_secret: false });
        };
        let grant = match &agent.secret {
            None => Arc::clone(&self.grant),
            Some(sealed) => {
                let secret = self.sealer.open(&secret_place(message), sealed).map_err(|error| {
                    let outcome = Outcome::Deferred { after: None, fault: Fault::Recipient };
                    Verdict::new(outcome, words(&format!("the secret of the named app: {error}"), &[]))
                })?;
                Arc::new(grant(&self.weixin, &self.corp_id, &secret).of_caller())
            }
        };
        Ok(Speaker {
            agent_id: agent.id.unwrap_or(self.agent_id),
            grant,
            names_id: agent.id.is_some(),
            names_secret: agent.secret.is_some(),
        })
    }

    /// Sends to these all parts of a text, one after the other, each to those who got the one before it.
    async fn send_parts(&self, speaker: &Speaker, group: &Group<'_>, parts: &[String]) -> Vec<Verdict> {
        let Some((first, others)) = parts.split_first() else { return vec![] };
        let mut verdicts = self.divide(speaker, group, first).await;
        for (done, part) in (1..).zip(others) {
            let open = places(&verdicts, |verdict| matches!(verdict.outcome, Outcome::Accepted { .. }));
            if open.is_empty() {
                break;
            }
            let answers = self.send_next(speaker, &group.of(&open), part).await;
            for (i, verdict) in open.into_iter().zip(answers) {
                if !matches!(verdict.outcome, Outcome::Accepted { .. }) {
                    verdicts[i] = torn(done, parts.len(), &verdict);
                }
            }
        }
        verdicts
    }

    /// Sends a part that follows one which was taken. Who certainly did not get it is tried again at once where that can help: what
    /// is half sent is worth more trouble than what is not.
    async fn send_next(&self, speaker: &Speaker, group: &Group<'_>, part: &str) -> Vec<Verdict> {
        let mut verdicts = self.divide(speaker, group, part).await;
        for wait in PART_WAITS {
            let again = places(&verdicts, |verdict| self.part_wait(verdict).is_some());
            let Some(asked) = again.iter().filter_map(|i| self.part_wait(&verdicts[*i])).max() else { break };
            sleep(wait.max(asked)).await;
            let answers = self.divide(speaker, &group.of(&again), part).await;
            for (i, verdict) in again.into_iter().zip(answers) {
                verdicts[i] = verdict;
            }
        }
        verdicts
    }

    /// How long at least to wait with a part for whom it was put off; absent where it was not, or for too long.
    fn part_wait(&self, verdict: &Verdict) -> Option<Duration> {
        match verdict.outcome {
            Outcome::Deferred { after, .. } => Some(after.unwrap_or_default()),
            Outcome::Throttled { until, .. } => Some(until.since(self.weixin.now())),
            _ => None,
        }
        .filter(|wait| *wait <= PART_WAIT_MAX)
    }

    /// Sends to all in one call, and where all are refused for the sake of some of them, to each half by itself. It ends with the
    /// first call that nobody knows the end of, so that those of that call, and they alone, make it again.
    async fn divide(&self, speaker: &Speaker, group: &Group<'_>, part: &str) -> Vec<Verdict> {
        let users = &group.users;
        let mut verdicts = vec![deferred(NOT_TRIED); users.len()];
        let (mut open, mut calls) = (vec![(0, users.len())], 0);
        while let Some((from, to)) = open.pop() {
            let range = from..to;
            if calls == CALLS_MAX {
                // The search goes on: those who are good for it have not been tried.
                open.push((from, to));
                return fill(verdicts, &open, &self.soon());
            }
            calls += 1;
            let body = message::body(&users[range.clone()], speaker.agent_id, part, self.duplicate_check);
            let answer = match self.weixin.post(&speaker.grant, SEND, &body).await {
                Ok(answer) => answer,
                Err(verdict) => {
                    verdicts[range].fill(group.lost(&verdict, calls));
                    return fill(verdicts, &open, &rest(&verdict));
                }
            };
            match answer.class {
                Some(Class::Taken) => taken(&answer, &users[range.clone()], &mut verdicts[range]),
                Some(Class::Split) if range.len() > 1 => {
                    let middle = from.midpoint(to);
                    open.extend([(middle, to), (from, middle)]);
                }
                _ => {
                    let refusal = self.weixin.refusal(&answer);
                    let stands_in_the_way = refusal.outcome.is_provider_fault();
                    let outcome = speaker.outcome(&answer.code, refusal.outcome);
                    let verdict = Verdict::new(outcome, refusal.reply);
                    verdicts[range].fill(verdict.clone());
                    if stands_in_the_way {
                        return fill(verdicts, &open, &verdict);
                    }
                }
            }
        }
        verdicts
    }

    /// The verdict of those whose turn is next: no try of theirs.
    fn soon(&self) -> Verdict {
        let until = self.weixin.now() + SEARCH_PAUSE;
        Verdict::new(Outcome::Throttled { scope: Scope::Recipient, until }, NOT_TRIED)
    }

    /// The verdict of those who are sent to only after `found` is settled; absent where it is.
    fn after(&self, found: &[Verdict]) -> Option<Verdict> {
        let unknown = found.iter().find(|verdict| verdict.outcome == Outcome::Unknown);
        let put_off = || {
            found.iter().find(|verdict| {
                matches!(verdict.outcome, Outcome::Deferred { .. } | Outcome::Throttled { .. } | Outcome::Misconfigured)
            })
        };
        let open = unknown.or_else(put_off)?;
        match open.outcome {
            Outcome::Deferred { fault: Fault::Recipient, .. } => Some(self.soon()),
            _ => Some(rest(open)),
        }
    }
}

#[async_trait]
impl Channel for Wecom {
    fn policy(&self) -> Policy {
        let repeat = self.duplicate_check.map_or(Repeat::AtMostOnce, Repeat::Deduplicated);
        Policy { repeat, retry: RetrySchedule::of(WAITS.map(Duration::from_secs)) }
    }

    fn recipient_caps(&self, content: &Content) -> Option<RecipientCaps> {
        let parts = message::count(&message::text(content)?);
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
        let mut verdicts = vec![deferred(NOT_TRIED); all];
        let mut stopped: Option<Verdict> = None;
        for (places, is_repeat) in groups(&parcel.recipients) {
            let users = places.iter().map(|i| parcel.recipients[*i].address.as_str()).collect();
            let found = match &stopped {
                Some(verdict) => vec![verdict.clone(); places.len()],
                None => self.send_parts(&speaker, &Group { users, is_repeat }, &parts).await,
            };
            stopped = stopped.or_else(|| self.after(&found));
            for (i, verdict) in places.into_iter().zip(found) {
                verdicts[i] = verdict;
            }
        }
        verdicts
    }

    async fn close(&self) {}
}

/// Who is sent to in one call after the other, by their places among the recipients, and whether they made that call before. WeCom
/// knows a repeat by the whole request: those who may have got it, and they alone, make theirs again, before anybody else.
fn groups(recipients: &[Recipient]) -> Vec<(Vec<usize>, bool)> {
    let (again, fresh): (Vec<usize>, Vec<usize>) = (0..recipients.len()).partition(|i| recipients[*i].maybe_duplicate);
    let chunks = |places: &[usize], is_repeat| {
        places.chunks(USERS_MAX).map(|chunk| (chunk.to_vec(), is_repeat)).collect::<Vec<_>>()
    };
    [chunks(&again, true), chunks(&fresh, false)].concat()
}

/// At which places there is such a verdict.
fn places(verdicts: &[Verdict], is_such: impl Fn(&Verdict) -> bool) -> Vec<usize> {
    (0..verdicts.len()).filter(|i| is_such(&verdicts[*i])).collect()
}

/// The verdict of those behind a call that ended so: they would fare no better, and it is certain that nothing was sent to them.
fn rest(verdict: &Verdict) -> Verdict {
    if verdict.outcome == Outcome::Unknown { deferred(NOT_TRIED) } else { verdict.clone() }
}

/// The verdicts, with this one for the ranges that are open.
fn fill(mut verdicts: Vec<Verdict>, open: &[(usize, usize)], verdict: &Verdict) -> Vec<Verdict> {
    open.iter().for_each(|(from, to)| verdicts[*from..*to].fill(verdict.clone()));
    verdicts
}

/// The app that a content names.
fn agent(content: &Content) -> Option<&Agent> {
    match content {
        Content::Notice(notice) => notice.agent.as_ref(),
        _ => None,
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
    Verdict::new(Outcome::PartlySent, format!("{done} of {all} parts were taken: {}", verdict.reply))
}

#[cfg(test)]
mod tests;
