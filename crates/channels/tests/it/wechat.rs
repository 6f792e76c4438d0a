//! Official accounts against a scripted API.

use std::{sync::Arc, time::Duration};

use hongyan_channels::Wechat;
use hongyan_core::{
    channel::{Channel, Parcel},
    content::{Content, Notice},
    delivery::Repeat,
    outcome::{Outcome, Receipts},
    setup::{NoticeFields, Secret, WechatProvider},
    time::ManualClock,
};
use serde_json::json;

use crate::{
    fake::{Act, Fake},
    parcels::{MESSAGE, NOW, PATIENT, id, parcel, parcel_with, shown},
    token::{Seal, Vault},
    wecom::{issued, limits, refused},
};

pub const TOKEN: &str = "/cgi-bin/stable_token";
pub const SEND: &str = "/cgi-bin/message/template/send";

pub fn keys(base_url: &str) -> WechatProvider {
    WechatProvider {
        app_id: "wx1".into(),
        app_secret: Secret::new("app-s3cret"),
        template: "TPL".into(),
        fields: NoticeFields::default(),
        base_url: base_url.to_owned(),
        callback: None,
    }
}

pub fn wechat(keys: &WechatProvider, limit: Duration) -> Wechat {
    let clock = Arc::new(ManualClock::at(NOW));
    Wechat::new(keys, limits(limit), Arc::new(Vault::default()), Arc::new(Seal), clock).expect("a valid provider")
}

fn notice(openids: &[&str]) -> Parcel {
    let notice = Notice { heading: "标题".into(), message: "消息".into(), ..Notice::default() };
    parcel_with(Content::Notice(notice), openids)
}

fn ok() -> Act {
    // Beyond what a double holds, as a number.
    Act::Answer("200 OK", "", r#"{"errcode":0,"errmsg":"ok","msgid":3557254367693750277}"#.into())
}

async fn fake(sends: impl IntoIterator<Item = Act>) -> Fake {
    let fake = Fake::start().await;
    fake.on(TOKEN, [issued("t1"), issued("t2")]);
    fake.on(SEND, sends);
    fake
}

async fn outcomes(fake: &Fake, parcel: &Parcel, limit: Duration) -> Vec<String> {
    let verdicts = wechat(&keys(&fake.url()), limit).send(parcel).await;
    assert_eq!(verdicts.len(), parcel.recipients.len());
    assert!(verdicts.iter().all(|verdict| !verdict.reply.contains("s3cret")), "{verdicts:?}");
    verdicts.iter().map(shown).collect()
}

#[tokio::test]
async fn a_notice_goes_to_one_follower_by_a_stable_token() {
    let fake = fake([ok()]).await;
    let wechat = wechat(&keys(&fake.url()), PATIENT);
    assert_eq!(wechat.policy().repeat, Repeat::Deduplicated(Duration::from_secs(600)));
    let verdicts = wechat.send(&notice(&["oABC"])).await;
    let outcome = Outcome::Accepted { provider_id: "3557254367693750277".into(), receipt: Receipts::Never };
    assert_eq!(verdicts[0].outcome, outcome);

    let token = &fake.seen_at(TOKEN)[0];
    assert_eq!((token.method.as_str(), token.target.as_str()), ("POST", TOKEN));
    let asked =
        json!({"grant_type": "client_credential", "appid": "wx1", "secret": "app-s3cret", "force_refresh": false});
    assert_eq!(token.json(), asked);
    let send = &fake.seen_at(SEND)[0];
    assert_eq!(send.target, format!("{SEND}?access_token=t1"));
    let delivery = id(MESSAGE).plus(1);
    let body = format!(
        "{{\"touser\":\"oABC\",\"template_id\":\"TPL\",\"client_msg_id\":\"{delivery}\",\"data\":{{\"first\":{{\"value\":\"标题\"}},\
         \"keyword1\":{{\"value\":\"消息\"}},\"keyword2\":{{\"value\":\"\"}},\"remark\":{{\"value\":\"\"}}}}}}"
    );
    assert_eq!(String::from_utf8_lossy(&send.body), body);
}

#[tokio::test]
async fn every_answer_leads_to_its_outcome() {
    for (act, outcome) in [
        (refused(-1), "deferred provider"),
        (refused(45011), "throttled provider 60s"),
        // The clock stands at 16:00 in China.
        (refused(45009), "throttled provider 3600s"),
        (refused(45066), "throttled recipient 60s"),
        (Act::Json(json!({"errcode": 45065, "errmsg": "same clientmsgid", "msgid": 7})), "accepted"),
        (refused(40003), "rejected nosuchrecipient"),
        (refused(47003), "rejected content"),
        (refused(48001), "misconfigured"),
        (refused(99_999), "deferred recipient"),
        (Act::Answer("502 Bad Gateway", "", "<html>".into()), "unknown"),
        (Act::Json(json!({"msgid": 7})), "unknown"),
        (Act::Cut, "unknown"),
    ] {
        let fake = fake([act]).await;
        assert_eq!(outcomes(&fake, &notice(&["oABC"]), PATIENT).await, [outcome]);
        assert_eq!(fake.seen_at(SEND).len(), 1);
    }
    let fake = fake([Act::Hang]).await;
    assert_eq!(outcomes(&fake, &notice(&["oABC"]), Duration::from_millis(400)).await, ["unknown"]);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_never_twice() {
    for code in [40001, 40014, 42001] {
        let fake = fake([refused(code), ok()]).await;
        assert_eq!(outcomes(&fake, &notice(&["oABC"]), PATIENT).await, ["accepted"]);
        let sent = fake.seen_at(SEND);
        let tokens: Vec<_> = sent.iter().map(|request| request.query("access_token").expect("one")).collect();
        assert_eq!((tokens, &sent[0].body), (vec!["t1".to_owned(), "t2".to_owned()], &sent[1].body));
        // A new one is not asked for by force: that would break whoever else uses the account.
        assert!(fake.seen_at(TOKEN).iter().all(|request| request.json()["force_refresh"] == json!(false)));

        let fake = self::fake([refused(code)]).await;
        assert_eq!(outcomes(&fake, &notice(&["oABC"]), PATIENT).await, ["deferred provider"]);
        assert_eq!(fake.seen_at(SEND).len(), 2);
    }
    let fake = fake([ok()]).await;
    fake.on(TOKEN, [refused(40001)]);
    assert_eq!(outcomes(&fake, &notice(&["oABC"]), PATIENT).await, ["misconfigured"], "a wrong secret");
}

#[tokio::test]
async fn each_of_many_has_a_verdict_of_its_own_until_something_stands_in_the_way() {
    let fake = fake([ok(), refused(43004), Act::Cut, ok(), refused(45011)]).await;
    let found = outcomes(&fake, &notice(&["a", "b", "c", "d", "e", "f"]), PATIENT).await;
    let throttled = "throttled provider 60s";
    assert_eq!(found, ["accepted", "rejected notfollowing", "unknown", "accepted", throttled, throttled]);
    assert_eq!(fake.seen_at(SEND).len(), 5, "the last was not tried");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_before_anything_is_asked() {
    let fake = Fake::start().await;
    let fields = NoticeFields { message: "thing2".into(), ..NoticeFields::default() };
    let wechat = wechat(&WechatProvider { fields, ..keys(&fake.url()) }, PATIENT);
    let long = Notice { message: "鸿".repeat(21), ..Notice::default() };
    let verdicts = wechat.send(&parcel_with(Content::Notice(long), &["a", "b"])).await;
    assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["rejected content"; 2]);
    assert_eq!(verdicts[0].reply, "the field thing2 holds at most 20 characters, and the text has 21");
    assert_eq!(shown(&wechat.send(&parcel(&["a@example.com"])).await[0]), "rejected content");
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn the_menu_has_the_entry_by_which_tags_are_asked_for() {
    const MENU: &str = "/cgi-bin/menu/create";
    let fake = fake([]).await;
    let done = || Act::Json(json!({"errcode": 0, "errmsg": "ok"}));
    fake.on(MENU, [refused(42001), done(), refused(48001)]);
    let wechat = wechat(&keys(&fake.url()), PATIENT);
    assert_eq!(wechat.create_menu().await, Ok(()));
    let sent = fake.seen_at(MENU);
    assert_eq!(sent.len(), 2, "once more with a new token");
    assert_eq!(sent[1].target, format!("{MENU}?access_token=t2"));
    let menu = "{\"button\":[{\"name\":\"iMSG\",\"sub_button\":[{\"type\":\"click\",\"name\":\"获取我的openID\",\"key\":\"get_openid\"}]}]}";
    assert_eq!(String::from_utf8_lossy(&sent[1].body), menu);
    let refused = wechat.create_menu().await.expect_err("refused");
    assert!(refused.reply.starts_with("48001 "), "{refused:?}");
}
