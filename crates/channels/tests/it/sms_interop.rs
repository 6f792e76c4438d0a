//! The clouds' senders against fakes that judge signatures with the official clients' own code, which those clients have been
//! accepted by first; and the tables of codes against the official lists.

use std::{process::Stdio, sync::Arc};

use hongyan_channels::{Aliyun, TencentSms, TencentVoice};
use hongyan_core::{
    channel::{Answer, Channel, Question},
    delivery::Receipt,
    outcome::Verdict,
    setup::Secret,
    time::{Clock, SystemClock},
};
use jiff::tz::{Offset, TimeZone};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{
    parcels::shown,
    python,
    sms::{
        ABROAD, HOME, HOME_DIGITS, KEY, LIMITS, SECRET, aliyun_keys, made_from, question, sent, tencent_keys, text,
        voice_keys,
    },
};

const CLOUDS: &str = include_str!("sms_clouds.py");

/// The fake clouds, at one port.
struct Clouds {
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Clouds {
    async fn start() -> Self {
        let mut child = Command::new(python::interpreter())
            .args(["-c", CLOUDS, "serve"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this test needs Python 3: set HONGYAN_TEST_PYTHON or install python3");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port =
            lines.next_line().await.expect("readable").expect("this test needs the clouds' clients: see `make test`");
        Self { port: port.parse().expect("a port"), lines, _child: child }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the official client of a cloud is answered.
    async fn asked(&self, cloud: &str, calls: &[(&str, &Value)]) -> Vec<Value> {
        let question = |(secret, call): &(&str, &Value)| json!({ "cloud": cloud, "port": self.port, "key": KEY, "secret": secret, "call": call });
        let questions: Value = calls.iter().map(question).collect();
        let asked = tokio::task::spawn_blocking(move || python::run(CLOUDS, &questions));
        serde_json::from_value(asked.await.expect("no panic")).expect("a list")
    }

    /// The next message that was taken, without its time.
    async fn taken(&mut self) -> Value {
        let line = self.lines.next_line().await.expect("readable").expect("a message");
        let mut taken: Value = serde_json::from_str(&line).expect("JSON");
        taken.as_object_mut().expect("an object").remove("at");
        taken
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The day in China.
fn today() -> String {
    let now = jiff::Timestamp::from_millisecond(clock().now().ms()).expect("a moment");
    now.to_zoned(TimeZone::fixed(Offset::constant(8))).strftime("%Y%m%d").to_string()
}

/// About the first delivery of a parcel that was sent just now.
fn asked_now(address: &str) -> Question {
    Question { at: clock().now(), ..question(address) }
}

fn words(verdicts: &[Verdict]) -> Vec<String> {
    verdicts.iter().map(shown).collect()
}

fn delivery(place: usize) -> String {
    crate::parcels::id(crate::parcels::MESSAGE).plus(place).to_string()
}

#[tokio::test]
async fn alibaba_cloud() {
    let mut clouds = Clouds::start().await;
    let message = json!({ "send": { "PhoneNumbers": HOME_DIGITS, "SignName": "鸿雁", "TemplateCode": "SMS_1",
        "TemplateParam": r#"{"content":"你好 &+~'*"}"#, "OutId": "theirs" } });
    let mut wrong = message.clone();
    wrong["send"]["PhoneNumbers"] = "12".into();
    let day = today();
    let query = json!({ "query": { "PhoneNumber": HOME_DIGITS, "SendDate": day, "PageSize": 50, "CurrentPage": 1 } });
    let calls = [(SECRET, &message), ("wrong", &message), (SECRET, &wrong), (SECRET, &query)];
    let answers = clouds.asked("aliyun", &calls).await;
    assert_eq!((&answers[0]["Code"], &answers[0]["BizId"]), (&"OK".into(), &"1^0".into()), "{answers:?}");
    assert_eq!(answers[1]["refused"], "SignatureDoesNotMatch", "{answers:?}");
    assert_eq!(answers[2]["Code"], "isv.MOBILE_NUMBER_ILLEGAL", "{answers:?}");
    assert_eq!(answers[3]["SmsSendDetailDTOs"]["SmsSendDetailDTO"][0]["OutId"], "theirs", "{answers:?}");
    assert_eq!(clouds.taken().await["values"], json!({ "content": "你好 &+~'*" }));

    let ours = Aliyun::new(&aliyun_keys(clouds.url()), LIMITS, clock()).expect("sound keys");
    let parcel = text("你好 &+~'* \u{1f98a}", &[HOME, "+8612345", ABROAD]);
    let verdicts = sent(&ours, &parcel).await;
    assert_eq!(words(&verdicts), ["accepted", "rejected recipient", "accepted"], "{verdicts:?}");
    for (place, number) in [(1, HOME_DIGITS), (3, "85291234567")] {
        let values = json!({ "content": "你好 &+~'* \u{1f98a}" });
        assert_eq!(
            clouds.taken().await,
            json!({ "cloud": "aliyun", "number": number, "template": "SMS_1", "values": values, "context": delivery(place) })
        );
    }
    let verdicts = sent(&ours, &made_from("login", &[("code", "1"), ("minutes", "5")], &[HOME])).await;
    assert_eq!(words(&verdicts), ["accepted"], "{verdicts:?}");
    assert_eq!(clouds.taken().await["template"], "SMS_2");
    assert_eq!(ours.query(&asked_now(HOME)).await, Answer::Known(Receipt::Delivered));
    assert_eq!(ours.query(&asked_now("+8613900009999")).await, Answer::NotKnown);

    let mut keys = aliyun_keys(clouds.url());
    keys.access_secret = Secret::new("wrong");
    let wrong = Aliyun::new(&keys, LIMITS, clock()).expect("sound keys");
    let verdicts = sent(&wrong, &parcel).await;
    assert!(verdicts[0].reply.starts_with("SignatureDoesNotMatch"), "{verdicts:?}");
    assert_eq!(words(&verdicts), ["misconfigured"; 3]);
    assert_eq!(wrong.query(&asked_now(HOME)).await, Answer::NoAnswer);
    keys.access_key = "nobody".into();
    let unknown = Aliyun::new(&keys, LIMITS, clock()).expect("sound keys");
    assert_eq!(words(&sent(&unknown, &text("hello", &[HOME])).await), ["misconfigured"]);
}

#[tokio::test]
async fn tencent_cloud() {
    let mut clouds = Clouds::start().await;
    let message = json!({ "send": { "PhoneNumberSet": [HOME, "+8612"], "SmsSdkAppId": "1400006666", "TemplateId": "1110",
        "SignName": "鸿雁", "TemplateParamSet": ["你好"], "SessionContext": "theirs" } });
    let mut mixed = message.clone();
    mixed["send"]["PhoneNumberSet"] = json!([HOME, ABROAD]);
    let query = json!({ "query": { "BeginTime": 0, "Offset": 0, "Limit": 100, "PhoneNumber": HOME, "SmsSdkAppId": "1400006666" } });
    let calls = [(SECRET, &message), ("wrong", &message), (SECRET, &mixed), (SECRET, &query)];
    let answers = clouds.asked("tencent", &calls).await;
    let codes: Vec<&Value> = [1, 0].iter().map(|n| &answers[0]["SendStatusSet"][n]["Code"]).collect();
    assert_eq!(codes, ["Ok", "InvalidParameterValue.IncorrectPhoneNumber"], "{answers:?}");
    assert_eq!(answers[1]["refused"], "AuthFailure.SignatureFailure", "{answers:?}");
    assert_eq!(answers[2]["refused"], "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber", "{answers:?}");
    assert_eq!(answers[3]["PullSmsSendStatusSet"][0]["SessionContext"], "theirs", "{answers:?}");
    assert_eq!(clouds.taken().await["values"], json!(["你好"]));

    let ours = TencentSms::new(&tencent_keys(clouds.url()), LIMITS, clock()).expect("sound keys");
    let parcel = text("你好 \u{1f98a}", &[HOME, "+8612345", ABROAD]);
    let verdicts = sent(&ours, &parcel).await;
    assert_eq!(words(&verdicts), ["accepted", "rejected recipient", "accepted"], "{verdicts:?}");
    let mut numbers = vec![];
    for _ in 0..2 {
        let taken = clouds.taken().await;
        assert_eq!((&taken["template"], &taken["values"]), (&"1110".into(), &json!(["你好 \u{1f98a}"])));
        assert_eq!(taken["context"], format!("{}-{}", delivery(1), delivery(3)));
        numbers.push(taken["number"].as_str().expect("a number").to_owned());
    }
    numbers.sort();
    assert_eq!(numbers, [ABROAD, HOME]);
    assert_eq!(ours.query(&asked_now(HOME)).await, Answer::Known(Receipt::Delivered));
    assert_eq!(ours.query(&asked_now("+8613900009999")).await, Answer::NotKnown);

    let mut keys = tencent_keys(clouds.url());
    keys.secret_key = Secret::new("wrong");
    let wrong = TencentSms::new(&keys, LIMITS, clock()).expect("sound keys");
    let verdicts = sent(&wrong, &parcel).await;
    assert!(verdicts[0].reply.starts_with("AuthFailure.SignatureFailure"), "{verdicts:?}");
    assert_eq!(words(&verdicts), ["misconfigured"; 3]);
    assert_eq!(wrong.query(&asked_now(HOME)).await, Answer::NoAnswer);
}

#[tokio::test]
async fn tencent_cloud_voice() {
    let mut clouds = Clouds::start().await;
    let message = json!({ "voice": { "TemplateId": "2220", "CalledNumber": HOME, "VoiceSdkAppid": "1400007777",
        "TemplateParamSet": ["磁盘已满"], "PlayTimes": 2, "SessionContext": "theirs" } });
    let answers = clouds.asked("tencent", &[(SECRET, &message), ("wrong", &message)]).await;
    assert_eq!(answers[0]["SendStatus"]["CallId"], "call-1", "{answers:?}");
    assert_eq!(answers[1]["refused"], "AuthFailure.SignatureFailure", "{answers:?}");
    assert_eq!(clouds.taken().await["context"], "theirs");

    let ours = TencentVoice::new(&voice_keys(clouds.url()), LIMITS, clock()).expect("sound keys");
    let parcel = text("磁盘已满", &[HOME, "+123"]);
    let verdicts = sent(&ours, &parcel).await;
    assert_eq!(words(&verdicts), ["accepted", "rejected recipient"], "{verdicts:?}");
    let taken =
        json!({ "cloud": "voice", "number": HOME, "template": "2220", "values": ["磁盘已满"], "context": delivery(1) });
    assert_eq!(clouds.taken().await, taken);

    let mut keys = voice_keys(clouds.url());
    keys.secret_key = Secret::new("wrong");
    let wrong = TencentVoice::new(&keys, LIMITS, clock()).expect("sound keys");
    assert_eq!(words(&sent(&wrong, &parcel).await), ["misconfigured"; 2]);
}

/// Every code of the official clients has a row, or a family that it belongs to.
#[test]
fn every_official_code_has_a_class() {
    const GATEWAY: &str = include_str!("../../src/tencent/gateway.tsv");
    let official = python::run(CLOUDS, &"codes".into());
    for (service, table, at_least) in [
        ("sms", include_str!("../../src/tencent/sms.tsv"), 90),
        ("voice", include_str!("../../src/tencent/voice.tsv"), 24),
    ] {
        let rows: Vec<&str> = GATEWAY.lines().chain(table.lines()).filter_map(|line| line.split('\t').next()).collect();
        let has_row = |code: &str| {
            rows.iter().any(|row| row.strip_suffix('*').map_or(*row == code, |prefix| code.starts_with(prefix)))
        };
        let codes: Vec<&str> = official[service].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert!(codes.len() >= at_least, "{service}: {codes:?}");
        let without: Vec<&&str> = codes.iter().filter(|code| !has_row(code)).collect();
        assert!(without.is_empty(), "{service}: {without:?}");
        assert!(!has_row("FailedOperation.Invented"));
    }
}
