//! Short texts and their providers, to test with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hongyan_channels::http::Limits;
use hongyan_core::{
    channel::{Channel, Parcel, Question},
    content::{Content, TemplateUse, Text},
    outcome::Verdict,
    setup::{AliyunProvider, Secret, SmsTemplate, TencentProvider, TencentVoiceProvider},
    time::{Clock, ManualClock},
};

use crate::parcels::{MESSAGE, NOW, PATIENT, id, parcel, shown};

/// The ids and keys of every provider, which may stand in no reply.
pub const KEY: &str = "AKIDexample";
pub const SECRET: &str = "k3yexample";
/// A number at home, and what no reply may hold of it.
pub const HOME: &str = "+8613900001234";
pub const HOME_DIGITS: &str = "13900001234";
pub const ABROAD: &str = "+85291234567";

fn template(id: &str, variables: &[&str]) -> SmsTemplate {
    SmsTemplate { id: id.into(), variables: variables.iter().map(|name| (*name).to_owned()).collect() }
}

fn templates(login: &str) -> BTreeMap<String, SmsTemplate> {
    [("login".to_owned(), template(login, &["code", "minutes"]))].into()
}

pub fn aliyun_keys(base_url: String) -> AliyunProvider {
    AliyunProvider {
        access_key: KEY.into(),
        access_secret: Secret::new(SECRET),
        sign: "鸿雁".into(),
        template: template("SMS_1", &["content"]),
        templates: templates("SMS_2"),
        base_url,
    }
}

pub fn tencent_keys(base_url: String) -> TencentProvider {
    TencentProvider {
        secret_id: KEY.into(),
        secret_key: Secret::new(SECRET),
        app_id: "1400006666".into(),
        region: "ap-guangzhou".into(),
        sign: "鸿雁".into(),
        template: template("1110", &["content"]),
        templates: templates("1111"),
        base_url,
    }
}

pub fn voice_keys(base_url: String) -> TencentVoiceProvider {
    TencentVoiceProvider {
        secret_id: KEY.into(),
        secret_key: Secret::new(SECRET),
        app_id: "1400007777".into(),
        region: "ap-guangzhou".into(),
        template: "2220".into(),
        play_times: 3,
        base_url,
    }
}

/// Waits that a busy machine can keep.
pub const LIMITS: Limits = Limits { connect: PATIENT, total: PATIENT };
/// Soon tired of waiting for a connection.
pub const SOON_UNCONNECTED: Limits = Limits { connect: Duration::from_millis(300), total: PATIENT };
/// Soon tired of waiting for an answer.
pub const SOON_UNANSWERED: Limits = Limits { connect: PATIENT, total: Duration::from_millis(300) };

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(NOW))
}

/// A parcel with a free text.
pub fn text(words: &str, recipients: &[&str]) -> Parcel {
    let content = Content::Text(Text { text: words.into(), ..Text::default() });
    Parcel { content: Arc::new(content), ..parcel(recipients) }
}

/// A parcel with a text made from a template of ours.
pub fn made_from(code: &str, values: &[(&str, &str)], recipients: &[&str]) -> Parcel {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let template = Some(TemplateUse { code: code.into(), foreign: false, order: vec![], values });
    let content = Content::Text(Text { text: "your code is 1234".into(), template, ..Text::default() });
    Parcel { content: Arc::new(content), ..parcel(recipients) }
}

/// A parcel with a text that names a signature, and a template that only the provider knows.
pub fn foreign(code: &str, order: &[&str], values: &[(&str, &str)], recipients: &[&str]) -> Parcel {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let order = order.iter().map(|name| (*name).to_owned()).collect();
    let template = Some(TemplateUse { code: code.into(), foreign: true, order, values });
    let content = Content::Text(Text { text: String::new(), sign: Some("东华医为".into()), template });
    Parcel { content: Arc::new(content), ..parcel(recipients) }
}

/// About the first delivery of a parcel.
pub fn question(address: &str) -> Question {
    Question { delivery: id(MESSAGE).plus(1), address: address.into(), at: NOW }
}

/// Sends it, and makes sure that there is one verdict for each and that none tells what is secret.
pub async fn sent(channel: &dyn Channel, parcel: &Parcel) -> Vec<Verdict> {
    let verdicts = channel.send(parcel).await;
    assert_eq!(verdicts.len(), parcel.recipients.len());
    for verdict in &verdicts {
        assert!([KEY, SECRET, HOME_DIGITS].iter().all(|secret| !verdict.reply.contains(secret)), "{verdict:?}");
        assert!(verdict.reply.len() <= 500 && !verdict.reply.contains(char::is_control), "{verdict:?}");
    }
    verdicts
}

/// Sends it; the outcomes as words.
pub async fn outcomes(channel: &dyn Channel, parcel: &Parcel) -> Vec<String> {
    sent(channel, parcel).await.iter().map(shown).collect()
}
