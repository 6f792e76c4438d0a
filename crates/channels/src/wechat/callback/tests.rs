//! Signatures, ages, envelopes, documents, what they say and what is answered.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use proptest::prelude::*;

use super::{envelope::FILLED, *};

const NOW: Timestamp = Timestamp::from_ms(1_700_000_000_000);
const APP_ID: &str = "wx49f0ab532d5d035a";
/// The platform's published example (`contracts/providers.md` 8.1).
const TOKEN: &str = "123456";
const AES_KEY: &str = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR";
const RANDOM: [u8; 16] = *b"0123456789abcdef";

fn callback(aes_key: Option<&str>) -> Callback {
    let keys =
        WechatCallback { secret: Secret::new("s"), token: Secret::new(TOKEN), aes_key: aes_key.map(Secret::new) };
    Callback::new(APP_ID, &keys).expect("a key")
}

fn envelope(app_id: &str) -> Envelope {
    Envelope::new(AES_KEY, app_id).expect("a key")
}

/// The address of a call made at `timestamp`, over whose message is signed, too.
fn query(timestamp: &str, sealed: &str) -> Query {
    Query {
        signature: signature(&[TOKEN, timestamp, "n"]),
        msg_signature: signature(&[TOKEN, timestamp, "n", sealed]),
        timestamp: timestamp.to_owned(),
        nonce: "n".to_owned(),
        echostr: String::new(),
    }
}

fn message(fields: &[(&str, &str)]) -> String {
    let head = [("ToUserName", "gh_1"), ("FromUserName", "oABC"), ("CreateTime", "1700000000")];
    xml::written(&[&head[..], fields].concat()).expect("written")
}

fn click() -> String {
    message(&[("MsgType", "event"), ("Event", "CLICK"), ("EventKey", MENU_KEY)])
}

fn sealed(envelope: &Envelope, text: &str) -> (Query, String) {
    let sealed = envelope.seal(text, RANDOM);
    let body = xml::written(&[("ToUserName", "gh_1"), ("Encrypt", &sealed)]).expect("written");
    (query("1700000000", &sealed), body)
}

#[test]
fn signatures_and_the_envelope_are_those_of_the_platform() {
    assert_eq!(signature(&["tok", "1700000000", "nonce123"]), "9248ec9f6410495fa2ef4008cc3f9b3a25342d17");
    let echostr = "4ByGGj+sVCYcvGeQYhaKIk1o0pQRNbRjxybjTGblXrBaXlTXeOo1+bXFXDQQb1o6co6Yh9Bv41n7hOchLF6p+Q==";
    assert_eq!(signature(&[TOKEN, "1411443780", "437374425", echostr]), "dd6b9c95b495b3f7e2901bfbc76c664930ffdb96");
    assert_eq!(envelope(APP_ID).open(echostr).expect("opens"), b"5927782489442352469");
}

#[test]
fn a_key_is_43_characters() {
    assert!(is_key(AES_KEY) && is_key(&"a".repeat(43)));
    for none in ["", &"a".repeat(42), &"a".repeat(44), &"鸿".repeat(43), &format!("{}*", "a".repeat(42))] {
        assert!(!is_key(none), "{none}");
    }
}

#[test]
fn a_call_is_signed_and_of_now() {
    let right = query("1700000000", "");
    let stamped = |timestamp: &str| query(timestamp, "");
    for (name, query, answer) in [
        ("right", right.clone(), Ok(())),
        ("five minutes old", stamped("1699999700"), Ok(())),
        ("five minutes ahead", stamped("1700000300"), Ok(())),
        ("older", stamped("1699999699"), Err(Refused::Time)),
        ("further ahead", stamped("1700000301"), Err(Refused::Time)),
        ("of no time", stamped("now"), Err(Refused::Time)),
        ("of an impossible time", stamped("99999999999999999999"), Err(Refused::Time)),
        ("before all time", stamped("-1"), Err(Refused::Time)),
        ("another time", Query { timestamp: "1700000001".into(), ..right.clone() }, Err(Refused::Signature)),
        ("another nonce", Query { nonce: "m".into(), ..right.clone() }, Err(Refused::Signature)),
        ("tampered with", Query { signature: "0".repeat(40), ..right.clone() }, Err(Refused::Signature)),
        ("cut", Query { signature: right.signature[..39].into(), ..right.clone() }, Err(Refused::Signature)),
        ("unsigned", Query { signature: String::new(), ..right }, Err(Refused::Signature)),
        ("empty", Query::default(), Err(Refused::Signature)),
    ] {
        assert_eq!(callback(None).admit(&query, NOW), answer, "{name}");
    }
}

#[test]
fn an_address_is_read_decoded() {
    let query =
        Query::parse("signature=s&echostr=a%2Bb%3D&nonce=1+2&timestamp=3&openid=o&msg_signature=m&encrypt_type=aes");
    let [signature, timestamp, nonce, echostr, msg_signature] = ["s", "3", "1 2", "a+b=", "m"].map(str::to_owned);
    assert_eq!(query, Query { signature, timestamp, nonce, echostr, msg_signature });
}

#[test]
fn what_is_sealed_opens_again_and_only_for_its_account() {
    for length in 0..80 {
        let text = "x".repeat(length);
        let sealed = envelope(APP_ID).seal(&text, RANDOM);
        assert_eq!(envelope(APP_ID).open(&sealed).expect("opens"), text.as_bytes());
        assert_eq!(envelope("wx0").open(&sealed), None, "another account");
        let other = Envelope::new(&"a".repeat(43), APP_ID).expect("a key");
        assert_eq!(other.open(&sealed), None, "another key");
    }
}

#[test]
fn a_damaged_envelope_does_not_open() {
    let envelope = envelope(APP_ID);
    let whole = |length: u32, app_id: &str, filling: u8| {
        let mut bytes = [&RANDOM[..], &length.to_be_bytes(), b"hello", app_id.as_bytes()].concat();
        bytes.resize(64, filling);
        envelope.encrypted(bytes)
    };
    // 16 + 4 + 5 + 18 = 43, so 21 are filled.
    assert_eq!(envelope.open(&whole(5, APP_ID, 21)).expect("opens"), b"hello");
    let good = whole(5, APP_ID, 21);
    for (name, sealed) in [
        ("of nothing", String::new()),
        ("no base64", "***".to_owned()),
        ("cut within a block", good[..84].to_owned()),
        ("cut after a block", BASE64.encode(&BASE64.decode(&good).expect("ours")[..32])),
        ("without an end", BASE64.encode(&BASE64.decode(&good).expect("ours")[..48])),
        ("a length of more than there is", whole(6, APP_ID, 21)),
        ("a length beyond all", whole(u32::MAX, APP_ID, 21)),
        ("a length of less", whole(4, APP_ID, 21)),
        ("filled with nothing", whole(5, APP_ID, 0)),
        ("filled with more than a block", whole(5, APP_ID, 33)),
        ("filled with more than there is", whole(5, APP_ID, 200)),
        ("filled unevenly", whole(5, APP_ID, 1)),
        ("another account", whole(5, "wx49f0ab532d5d035b", 21)),
        ("only filling", envelope.encrypted(vec![32; 32])),
        ("less than a head", envelope.encrypted([&[0; 14][..], &[18; 18]].concat())),
    ] {
        assert_eq!(envelope.open(&sealed), None, "{name}");
    }
}

#[test]
fn documents_are_flat_and_declare_nothing() {
    let laughs = "<!DOCTYPE xml [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><xml><A>&b;</A></xml>";
    let deep = format!("<xml>{}{}</xml>", "<A>".repeat(10_000), "</A>".repeat(10_000));
    for refused in [
        "",
        "text",
        "<xml><A>1</A>",
        "<xml><A>1</B></xml>",
        "<html><A>1</A></html>",
        "<xml/><xml/>",
        "<xml></xml>tail",
        "head<xml></xml>",
        "</xml>",
        "<xml><A>1</A><A>2</A></xml>",
        "<!DOCTYPE xml><xml><A>1</A></xml>",
        "<!DOCTYPE xml [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><xml><A>&a;</A></xml>",
        "<xml><!DOCTYPE x><A>1</A></xml>",
        "<xml><A>&a;</A></xml>",
        "<xml><A>&#0;</A></xml>",
        "<xml><A>&#xFFFFFFFF;</A></xml>",
        laughs,
        &deep,
    ] {
        assert_eq!(xml::read(refused), None, "{refused:.60}");
    }
    for (text, field) in [
        ("<xml><A>1</A></xml>", "1"),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml>\n<A><![CDATA[<1> & ]]></A>\n</xml>\n", "<1> & "),
        ("<xml><A>&lt;&amp;&#x9e3f;&#38;&quot;</A></xml>", "<&鸿&\""),
        ("<xml><A>a<!-- b --><![CDATA[c]]></A><B><C>x</C></B></xml>", "ac"),
        ("<xml><A/></xml>", ""),
        ("<xml><A>a<B>x</B>b</A></xml>", "ab"),
    ] {
        assert_eq!(xml::read(text).expect(text)["A"], field, "{text}");
    }
    let awkward = "]]> <a> & ]]>]]> 鸿雁";
    assert_eq!(xml::read(&xml::written(&[("A", awkward)]).expect("written")).expect("its own")["A"], awkward);
}

#[test]
fn each_event_is_known_for_what_it_is() {
    for (fields, act) in [
        (&[("MsgType", "event"), ("Event", "CLICK"), ("EventKey", "get_openid")][..], Act::AskedForTag),
        (&[("MsgType", "event"), ("Event", "CLICK"), ("EventKey", "other")], Act::Other),
        (&[("MsgType", "event"), ("Event", "subscribe"), ("EventKey", "qrscene_1")], Act::Subscribed),
        (&[("MsgType", "event"), ("Event", "unsubscribe"), ("EventKey", "")], Act::Unsubscribed),
        (&[("MsgType", "event"), ("Event", "TEMPLATESENDJOBFINISH"), ("MsgID", "1"), ("Status", "success")], Act::Told),
        (&[("MsgType", "event"), ("Event", "LOCATION"), ("Latitude", "1")], Act::Told),
        (&[("MsgType", "event"), ("Event", "subscribe_msg_sent_event")], Act::Told),
        (&[("MsgType", "event"), ("Event", "SCAN"), ("EventKey", "1")], Act::Other),
        (&[("MsgType", "text"), ("Content", "get_openid"), ("MsgId", "1")], Act::Other),
        (&[("MsgType", "text"), ("Content", "x"), ("Event", "subscribe")], Act::Other),
        (&[("MsgType", "voice"), ("MediaId", "1")], Act::Other),
    ] {
        let body = message(fields);
        let event = callback(None).read(&query("1700000000", ""), body.as_bytes()).expect("a message");
        assert_eq!((event.act, event.openid.as_str()), (act, "oABC"), "{fields:?}");
    }
    for (name, body) in [
        ("nobody", "<xml><MsgType>text</MsgType></xml>".to_owned()),
        ("nobody known", click().replace("oABC", "o|all")),
        ("nothing", "<xml><FromUserName>oABC</FromUserName></xml>".to_owned()),
    ] {
        let refused = callback(None).read(&query("1700000000", ""), body.as_bytes());
        assert_eq!(refused, Err(Refused::Message), "{name}");
    }
    assert_eq!(callback(None).read(&query("1", ""), b"\xff<xml/>"), Err(Refused::Message), "not UTF-8");
}

#[test]
fn only_what_the_mode_allows_is_read() {
    let (safe, plain) = (callback(Some(AES_KEY)), callback(None));
    let (signed, body) = sealed(&envelope(APP_ID), &click());
    assert_eq!(safe.read(&signed, body.as_bytes()).expect("opens").act, Act::AskedForTag);
    // The mode *compatible* has both; what is not signed with the message does not count.
    let both = body.replace("</xml>", "<FromUserName>oEVIL</FromUserName><MsgType>text</MsgType></xml>");
    let read = safe.read(&signed, both.as_bytes()).expect("opens");
    assert_eq!((read.openid.as_str(), read.act), ("oABC", Act::AskedForTag));
    assert_eq!(plain.read(&signed, both.as_bytes()).expect("plain beside it").openid, "oEVIL");

    assert_eq!(safe.read(&signed, click().as_bytes()), Err(Refused::Plain));
    assert_eq!(plain.read(&signed, body.as_bytes()), Err(Refused::NoKey));
    let tampered = Query { msg_signature: signed.signature.clone(), ..signed.clone() };
    assert_eq!(safe.read(&tampered, body.as_bytes()), Err(Refused::Signature));
    let (signed, body) = sealed(&envelope("wx0"), &click());
    assert_eq!(safe.read(&signed, body.as_bytes()), Err(Refused::Envelope), "another account's");
    let (signed, body) = sealed(&envelope(APP_ID), "<!DOCTYPE xml><xml/>");
    assert_eq!(safe.read(&signed, body.as_bytes()), Err(Refused::Message), "inside, too");
}

#[test]
fn a_reply_goes_the_way_the_call_came() {
    let plain = callback(None).read(&query("1700000000", ""), click().as_bytes()).expect("a message");
    let reply = callback(None).reply(&plain, &tag_words(10_001, true), NOW, RANDOM).expect("written");
    assert_eq!(
        reply,
        "<xml><ToUserName><![CDATA[oABC]]></ToUserName><FromUserName><![CDATA[gh_1]]></FromUserName>\
         <CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType>\
         <Content><![CDATA[您iMSG的账号是iMSG-10001]]></Content></xml>"
    );
    assert_eq!(tag_words(10_002, false), "您已经有iMSG账号了：iMSG-10002");

    let safe = callback(Some(AES_KEY));
    let (signed, body) = sealed(&envelope(APP_ID), &click());
    let event = safe.read(&signed, body.as_bytes()).expect("opens");
    let outer = xml::read(&safe.reply(&event, &tag_words(10_001, true), NOW, RANDOM).expect("written")).expect("xml");
    let inner = envelope(APP_ID).open(&outer["Encrypt"]).expect("opens");
    assert_eq!(String::from_utf8(inner).expect("UTF-8"), reply);
    let over = [TOKEN, &outer["TimeStamp"], &outer["Nonce"], &outer["Encrypt"]];
    assert_eq!((outer["MsgSignature"].as_str(), outer["TimeStamp"].as_str()), (&*signature(&over), "1700000000"));
}

proptest! {
    #[test]
    fn texts_survive_a_document(text in "\\PC*") {
        let written = xml::written(&[("A", &text)]).expect("written");
        prop_assert_eq!(xml::read(&written).expect("its own").remove("A"), Some(text));
    }

    #[test]
    fn nothing_that_comes_is_the_end_of_us(text in "(<(/|!|\\?)?(xml|A|--|\\[CDATA\\[|DOCTYPE)?|>|/>|\\]\\]>|&|;|#|\\PC){0,40}", bytes: Vec<u8>) {
        let _ = xml::read(&text);
        let _ = xml::read(&format!("<xml>{text}</xml>"));
        let envelope = envelope(APP_ID);
        prop_assert_eq!(envelope.open(&text), None);
        let mut blocks = bytes;
        blocks.resize(blocks.len().next_multiple_of(FILLED), 7);
        prop_assert_eq!(envelope.open(&envelope.encrypted(blocks)), None);
        prop_assert_eq!(envelope.open(&BASE64.encode(&text)), None);
    }
}
