//! What an official account calls with and is answered, with wechatpy on the platform's side: it signs, encrypts and decrypts, and
//! reads the messages for itself.

use hongyan_channels::wechat::callback::{Act, Callback, Event, Query, Refused, tag_words};
use hongyan_core::{
    setup::{Secret, WechatCallback},
    time::Timestamp,
};
use serde_json::{Value, json};

use crate::python;

const NOW: Timestamp = Timestamp::from_ms(1_700_000_100_000);
const APP_ID: &str = "wx49f0ab532d5d035a";
const TOKEN: &str = "123456";
const AES_KEY: &str = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR";
const RANDOM: [u8; 16] = *b"0123456789abcdef";

fn callback(aes_key: Option<&str>) -> Callback {
    let [secret, token] = ["s", TOKEN].map(Secret::new);
    Callback::new(APP_ID, &WechatCallback { secret, token, aes_key: aes_key.map(Secret::new) }).expect("a key")
}

fn platform(more: &Value) -> Vec<Value> {
    let mut asked =
        json!({"token": TOKEN, "key": AES_KEY, "app_id": APP_ID, "timestamp": "1700000000", "nonce": "437374425"});
    asked.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let said = python::run(include_str!("wechat_callback.py"), &asked);
    said.as_array().expect("a list").clone()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn query(call: &Value) -> Query {
    let (signature, msg_signature) = (text(call, "signature"), text(call, "msg_signature"));
    let openid = text(call, "openid");
    Query::parse(&format!(
        "signature={signature}&timestamp=1700000000&nonce=437374425&openid={openid}&encrypt_type=aes&msg_signature={msg_signature}"
    ))
}

fn read(callback: &Callback, call: &Value, mode: &str) -> Result<Event, Refused> {
    let query = query(call);
    callback.admit(&query, NOW)?;
    callback.read(&query, text(call, mode).as_bytes())
}

fn expected(call: &Value) -> Act {
    match (text(call, "kind"), text(call, "event"), text(call, "key")) {
        ("event", "click", "get_openid") => Act::AskedForTag,
        ("event", "subscribe", _) => Act::Subscribed,
        ("event", "unsubscribe", _) => Act::Unsubscribed,
        ("event", "templatesendjobfinish", _) => Act::Told,
        _ => Act::Other,
    }
}

#[test]
fn what_wechatpy_sends_is_read_as_it_reads_it() {
    let calls = platform(&json!({}));
    let mut seen = Vec::new();
    for call in &calls {
        for (aes_key, mode) in
            [(None, "plain"), (None, "compatible"), (Some(AES_KEY), "compatible"), (Some(AES_KEY), "safe")]
        {
            let event = read(&callback(aes_key), call, mode).expect(mode);
            assert_eq!((event.openid.as_str(), event.act), (text(call, "openid"), expected(call)), "{mode} {call}");
        }
        seen.push(expected(call));
        let other = Callback::new(
            "wx0",
            &WechatCallback {
                secret: Secret::new("s"),
                token: Secret::new(TOKEN),
                aes_key: Some(Secret::new(AES_KEY)),
            },
        );
        assert_eq!(read(&other.expect("a key"), call, "safe"), Err(Refused::Envelope), "for another account");
    }
    assert_eq!(
        seen,
        [Act::AskedForTag, Act::Other, Act::Subscribed, Act::Unsubscribed, Act::Told, Act::Other, Act::Other]
    );
}

#[test]
fn what_is_answered_reaches_wechatpy() {
    let (plain, safe) = (callback(None), callback(Some(AES_KEY)));
    let call = &platform(&json!({}))[0];
    let long = format!("]]> <a> & \"鸿雁\" {}", "x".repeat(1_000));
    let words = [tag_words(10_001, true), tag_words(10_001, false), long];
    let mut replies = Vec::new();
    for said in &words {
        for (callback, mode) in [(&plain, "plain"), (&safe, "safe"), (&safe, "compatible")] {
            let event = read(callback, call, mode).expect(mode);
            let reply = callback.reply(&event, said, NOW, RANDOM).expect("written");
            assert_eq!(reply.contains("<Encrypt>"), mode != "plain");
            replies.push(reply);
        }
    }
    let heard = platform(&json!({ "replies": replies }));
    assert_eq!(heard.len(), 9);
    for (message, said) in heard.iter().zip(words.iter().flat_map(|words| [words; 3])) {
        let expected = json!({
            "ToUserName": text(call, "openid"), "FromUserName": "gh_1", "CreateTime": "1700000100", "MsgType": "text",
            "Content": said,
        });
        assert_eq!(*message, expected);
    }
}
