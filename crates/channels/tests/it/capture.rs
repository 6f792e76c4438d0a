//! The capture provider keeps exactly what SMTP would send, and of everything else what it says.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hongyan_channels::{Deps, open};
use hongyan_core::{
    channel::Channel,
    content::{Agent, Content, Form, InApp, Notice, Text},
    id::{Id, IdSource},
    outcome::Verdict,
    setup::{CaptureProvider, Provider, ProviderKind, ProviderNo},
    store::{Capture, Captures, StoreError, StoreResult},
    time::ManualClock,
};

use crate::{
    inbox,
    parcels::{MESSAGE, NOW, PATIENT, id, parcel, parcel_with, provider, send, shown},
    sink::{Script, Sink},
    token::{Seal, Vault},
    wechat, wecom,
};

#[derive(Default)]
pub struct Shelf {
    kept: Mutex<Vec<Capture>>,
    is_broken: bool,
}

#[async_trait]
impl Captures for Shelf {
    async fn capture_add(&self, capture: Capture) -> StoreResult<()> {
        if self.is_broken {
            return Err(StoreError::Unavailable { why: "disk full".into(), certain: true });
        }
        self.kept.lock().expect("no panic").push(capture);
        Ok(())
    }

    async fn captures(&self, _: Option<Id>, _: usize) -> StoreResult<Vec<Capture>> {
        Ok(self.kept.lock().expect("no panic").clone())
    }
}

pub fn deps(shelf: Arc<Shelf>) -> Deps {
    Deps {
        captures: shelf,
        inboxes: Arc::new(inbox::Shelf::default()),
        news: Arc::default(),
        ids: Arc::new(IdSource::new(1, None)),
        clock: Arc::new(ManualClock::at(NOW)),
        tokens: Arc::new(Vault::default()),
        sealer: Arc::new(Seal),
    }
}

fn capture(shelf: &Arc<Shelf>) -> Arc<dyn Channel> {
    let kind = ProviderKind::Capture(CaptureProvider { sender: "notice@example.com".into() });
    open(&declared(kind), &deps(Arc::clone(shelf))).expect("valid")
}

fn declared(kind: ProviderKind) -> Provider {
    Provider { no: ProviderNo(1), code: "kept".into(), enabled: true, rate: None, max_in_flight: 4, kind }
}

#[tokio::test]
async fn what_is_kept_is_what_smtp_sends() {
    let shelf = Arc::new(Shelf::default());
    let channel = capture(&shelf);
    let parcel = parcel(&["a@example.com", "b@example.com"]);
    let verdicts: Vec<Verdict> = channel.send(&parcel).await;
    assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["accepted"; 2]);

    let sink = Sink::start(Script::default()).await;
    send(&provider(sink.port), PATIENT, &parcel).await;
    let kept = shelf.kept.lock().expect("no panic").clone();
    let expected = Capture {
        id: kept[0].id,
        message: id(MESSAGE),
        provider: "kept".into(),
        at: NOW,
        sender: "boss@example.com".into(),
        recipients: vec!["a@example.com".into(), "b@example.com".into()],
        body: sink.seen().messages[0].clone(),
    };
    assert_eq!(kept, [expected]);
}

#[tokio::test]
async fn what_is_no_mail_is_kept_as_json_without_its_secret() {
    let agent = Agent { id: Some(7), secret: Some("sealed-s3cret".into()) };
    let notice = Notice { heading: "标题".into(), message: "消息".into(), agent: Some(agent), ..Notice::default() };
    let text = Text { text: "您的验证码是 1234".into(), ..Text::default() };
    for (content, kept_as) in [
        (
            Content::Notice(notice),
            "{\n  \"notice\": {\n    \"heading\": \"标题\",\n    \"message\": \"消息\",\n    \"agent\": {\n      \"id\": 7\n    }\n  }\n}",
        ),
        (
            Content::Form(Form { fields: [("thing1".to_owned(), "x".to_owned())].into(), url: String::new() }),
            "{\n  \"form\": {\n    \"fields\": {\n      \"thing1\": \"x\"\n    }\n  }\n}",
        ),
        (
            Content::InApp(InApp { title: "t".into(), html: "<b>x</b>".into(), ..InApp::default() }),
            "{\n  \"in_app\": {\n    \"title\": \"t\",\n    \"html\": \"<b>x</b>\",\n    \"label\": {}\n  }\n}",
        ),
        (
            Content::Object([("any".to_owned(), 1.into())].into_iter().collect()),
            "{\n  \"object\": {\n    \"any\": 1\n  }\n}",
        ),
        (Content::Text(text), "{\n  \"text\": {\n    \"text\": \"您的验证码是 1234\"\n  }\n}"),
    ] {
        let shelf = Arc::new(Shelf::default());
        let verdicts = capture(&shelf).send(&parcel_with(content, &["zhangsan", "+8613800000001"])).await;
        assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["accepted"; 2]);
        let kept = shelf.kept.lock().expect("no panic").clone();
        assert_eq!((kept[0].sender.as_str(), String::from_utf8_lossy(&kept[0].body).as_ref()), ("", kept_as));
        assert_eq!(kept[0].recipients, ["zhangsan", "+8613800000001"]);
    }
}

#[tokio::test]
async fn smtp_sends_mails_only() {
    let sink = Sink::start(Script::default()).await;
    let text = Content::Text(Text { text: "x".into(), ..Text::default() });
    let verdicts = send(&provider(sink.port), PATIENT, &parcel_with(text, &["a@example.com"])).await;
    assert_eq!(
        (shown(&verdicts[0]).as_str(), verdicts[0].reply.as_str()),
        ("rejected content", "the message is no mail")
    );
    assert!(sink.seen().messages.is_empty());
}

#[tokio::test]
async fn a_store_that_cannot_keep_it_puts_it_off() {
    let shelf = Arc::new(Shelf { is_broken: true, ..Shelf::default() });
    let verdicts = capture(&shelf).send(&parcel(&["a@example.com"])).await;
    assert_eq!(shown(&verdicts[0]), "deferred provider");
}

#[test]
fn declarations_that_cannot_be_opened_name_the_key() {
    use hongyan_core::setup::{NoticeFields, Secret, SmtpProvider, Tls, WechatProvider, WecomProvider};
    let deps = deps(Arc::default());
    let good = || provider(2525);
    for (key, keys) in [
        ("host", SmtpProvider { host: "".into(), ..good() }),
        ("host", SmtpProvider { host: "a b".into(), ..good() }),
        ("host", SmtpProvider { host: "a..b".into(), tls: Tls::Implicit, ..good() }),
        ("port", SmtpProvider { port: 0, ..good() }),
        ("helo", SmtpProvider { helo: "a\r\nMAIL".into(), ..good() }),
        ("sender", SmtpProvider { sender: "nobody".into(), ..good() }),
        ("bounce", SmtpProvider { bounce: "a@b\r\n".into(), ..good() }),
        ("user", SmtpProvider { user: "a\0b".into(), password: Secret::new("x"), ..good() }),
        ("password", SmtpProvider { user: "me".into(), ..good() }),
        ("ca_file", SmtpProvider { ca_file: "/does/not/exist".into(), tls: Tls::Required, ..good() }),
        ("ca_file", SmtpProvider { ca_file: "/dev/null".into(), tls: Tls::Required, ..good() }),
    ] {
        let error = open(&declared(ProviderKind::Smtp(Box::new(keys))), &deps).err().expect("refused").to_string();
        assert!(error.starts_with(&format!("{key}: ")), "{error}");
    }
    let (wecom, wechat) = (wecom::keys("http://127.0.0.1:1"), wechat::keys("http://127.0.0.1:1"));
    let fields = NoticeFields { remark: "first".into(), ..NoticeFields::default() };
    for (key, kind) in [
        ("base_url", ProviderKind::Wecom(WecomProvider { base_url: "qyapi.weixin.qq.com".into(), ..wecom.clone() })),
        ("base_url", ProviderKind::Wechat(WechatProvider { base_url: "https://x/?a".into(), ..wechat.clone() })),
        ("fields", ProviderKind::Wechat(WechatProvider { fields, ..wechat.clone() })),
    ] {
        let error = open(&declared(kind), &deps).err().expect("refused").to_string();
        assert!(error.starts_with(&format!("{key}: ")), "{error}");
    }
    for kind in [ProviderKind::Wecom(wecom), ProviderKind::Wechat(wechat)] {
        assert!(open(&declared(kind), &deps).is_ok());
    }
    for good in [
        good(),
        SmtpProvider { helo: String::new(), ..good() },
        SmtpProvider { helo: "[IPv6:::1]".into(), host: "[::1]".into(), ..good() },
        SmtpProvider { host: "127.0.0.1".into(), tls: Tls::Required, ..good() },
    ] {
        assert!(open(&declared(ProviderKind::Smtp(Box::new(good))), &deps).is_ok());
    }
}
