//! WeChat official accounts (`contracts/providers.md` 1): a template message to one follower a call. What is repeated carries
//! the delivery's id, by which WeChat drops for ten minutes what it has taken before.
//!
//! | file | what it knows |
//! |---|---|
//! | `message` | what a notice or a form says in the fields of a template, and the request that carries it |
//! | [`callback`] | what an account calls us with |
//! | `codes.tsv` | what each errcode means |

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hongyan_core::{
    channel::{Channel, Parcel},
    delivery::{Policy, Repeat},
    outcome::{Outcome, Receipts, Rejection, Verdict},
    ports::Sealer,
    retry::RetrySchedule,
    setup::{NoticeFields, WechatProvider},
    store::AccessTokens,
    time::Clock,
};
use serde_json::{Value, json};

use crate::{
    cloud::codes::Class,
    error::OpenError,
    http::Limits,
    weixin::{Answer, Grant, Weixin, not_mine},
};

pub mod callback;
mod message;

use message::{Data, To};

const TOKEN: &str = "/cgi-bin/stable_token";
const SEND: &str = "/cgi-bin/message/template/send";
const MENU: &str = "/cgi-bin/menu/create";
/// What the menu is called, in which the entry lies: an entry of the menu itself has room for four Chinese characters.
const MENU_NAME: &str = "iMSG";
/// The entry by which a follower asks for their tag (`contracts/imsg.md` decision 12).
const MENU_ENTRY: &str = "获取我的openID";
const CODES: &str = include_str!("codes.tsv");
/// How long WeChat drops what has the same id and the same recipient.
const DEDUPLICATED: Duration = Duration::from_secs(600);
/// Waits in seconds before a repeat (`guides/reliability.md` A4.5).
const WAITS: [u64; 8] = [1, 4, 15, 60, 300, 900, 1_800, 3_600];

/// An official account.
pub struct Wechat {
    weixin: Weixin,
    grant: Grant,
    template: String,
    fields: NoticeFields,
}

impl Wechat {
    /// The provider with these keys. Makes no connection.
    ///
    /// # Errors
    /// What is wrong with the keys.
    pub fn new(
        keys: &WechatProvider,
        limits: Limits,
        tokens: Arc<dyn AccessTokens>,
        sealer: Arc<dyn Sealer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        if message::names_twice(&keys.fields) {
            return Err(OpenError::key("fields", "one field of the template can hold one part of a notice only"));
        }
        let weixin = Weixin::new(&keys.base_url, CODES, limits, tokens, sealer, clock)?;
        // A token that is fetched by force breaks every other user of the account; this one leaves theirs alone.
        let asked = json!({
            "grant_type": "client_credential",
            "appid": keys.app_id,
            "secret": keys.app_secret.expose(),
            "force_refresh": false,
        });
        let grant = weixin.grant_by_post("wechat", TOKEN, &asked, &keys.app_id, &keys.app_secret);
        Ok(Self { weixin, grant, template: keys.template.clone(), fields: keys.fields.clone() })
    }

    /// Gives the account a menu with the entry by which a follower asks for their tag, in place of any menu that it has.
    ///
    /// # Errors
    /// What stands in the way, in the reply of the verdict.
    pub async fn create_menu(&self) -> Result<(), Verdict> {
        let entry = json!({"type": "click", "name": MENU_ENTRY, "key": callback::MENU_KEY});
        let menu = json!({"button": [{"name": MENU_NAME, "sub_button": [entry]}]});
        let answer = self.weixin.post(&self.grant, MENU, &menu).await?;
        if answer.class == Some(Class::Taken) { Ok(()) } else { Err(self.weixin.refusal(&answer)) }
    }

    async fn send_one(&self, to: &To<'_>, data: &Data<'_>) -> Verdict {
        let body = message::body(to, &self.template, data);
        match self.weixin.post(&self.grant, SEND, &body).await {
            Ok(answer) if answer.class == Some(Class::Taken) => taken(answer),
            Ok(answer) => self.weixin.refusal(&answer),
            Err(verdict) => verdict,
        }
    }
}

#[async_trait]
impl Channel for Wechat {
    fn policy(&self) -> Policy {
        let retry = RetrySchedule::of(WAITS.map(Duration::from_secs));
        Policy { repeat: Repeat::Deduplicated(DEDUPLICATED), retry }
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        let all = parcel.recipients.len();
        let data = match message::data(&parcel.content, &self.fields) {
            Some(Ok(data)) => data,
            Some(Err(too_long)) => {
                return vec![Verdict::new(Outcome::Rejected(Rejection::Content), too_long.to_string()); all];
            }
            None => return vec![not_mine("an official account"); all],
        };
        let mut verdicts = Vec::with_capacity(all);
        for recipient in &parcel.recipients {
            let verdict = self.send_one(&To { openid: &recipient.address, delivery: recipient.delivery }, &data).await;
            let stands_in_the_way = verdict.outcome.is_provider_fault();
            verdicts.push(verdict);
            if stands_in_the_way {
                break;
            }
        }
        // The others would fare no better.
        let last = verdicts.last().cloned();
        verdicts.extend(last.into_iter().cycle().take(all - verdicts.len()));
        verdicts
    }

    async fn close(&self) {}
}

/// The verdict of an answer that takes the message. `msgid` is a number beyond what a double holds.
fn taken(answer: Answer) -> Verdict {
    let provider_id = match answer.json.get("msgid") {
        Some(Value::Number(id)) => id.as_u64().map(|id| id.to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    Verdict::new(Outcome::Accepted { provider_id, receipt: Receipts::Never }, answer.words)
}

#[cfg(test)]
mod tests;
