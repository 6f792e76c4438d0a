//! Tencent Cloud voice against a scripted provider.

use hongyan_channels::TencentVoice;
use hongyan_core::{
    channel::{Answer, Channel},
    limits::SMS_CHARS_MAX,
    outcome::{Outcome, Receipts},
};
use serde_json::json;

use crate::{
    fake::{Act, Fake, nowhere},
    parcels::{MESSAGE, id, parcel, shown},
    sms::{ABROAD, HOME, LIMITS, SOON_UNANSWERED, clock, outcomes, question, sent, text, voice_keys},
    tencent::{answered, refused},
};

fn voice(base_url: String) -> TencentVoice {
    TencentVoice::new(&voice_keys(base_url), LIMITS, clock()).expect("sound keys")
}

#[tokio::test]
async fn every_answer() {
    let cases = [
        (answered(json!({ "SendStatus": { "CallId": "c-1", "SessionContext": "" }, "RequestId": "R" })), "accepted"),
        (answered(json!({ "RequestId": "R" })), "unknown"),
        (refused("InvalidParameterValue.CalledNumberVerifyFail"), "rejected recipient"),
        (refused("FailedOperation.ContainSensitiveWord"), "rejected content"),
        (refused("FailedOperation.InsufficientBalanceInVoicePackage"), "misconfigured"),
        (refused("AuthFailure.SecretIdNotFound"), "misconfigured"),
        (refused("LimitExceeded.DeliveryFrequencyLimit"), "throttled recipient 60s"),
        (refused("InternalError.UpstreamError"), "deferred provider"),
        (refused("InternalError.AccessUpstreamTimeout"), "unknown"),
        (refused("Never.HeardOf"), "deferred recipient"),
        (Act::Answer("500 Internal Server Error", "", "<html>".into()), "unknown"),
        (Act::Raw("HTTP/1.1 200 O"), "unknown"),
        (Act::Cut, "unknown"),
        (Act::Reset, "unknown"),
    ];
    for (act, outcome) in cases {
        let fake = Fake::with("/", act).await;
        let verdicts = sent(&voice(fake.url()), &text("disk full", &[HOME])).await;
        assert_eq!(shown(&verdicts[0]), outcome, "{verdicts:?}");
        assert_eq!(fake.seen().len(), 1, "{verdicts:?}: never more than one call");
    }
}

#[tokio::test]
async fn only_what_was_not_written_is_tried_again() {
    assert_eq!(outcomes(&voice(nowhere().await), &text("hello", &[HOME])).await, ["deferred provider"]);
    let fake = Fake::with("/", Act::Hang).await;
    let patientless = TencentVoice::new(&voice_keys(fake.url()), SOON_UNANSWERED, clock()).expect("sound keys");
    assert_eq!(outcomes(&patientless, &text("hello", &[HOME])).await, ["unknown"]);
    assert!(patientless.policy().repeat.needs_intent() && !patientless.answers_questions());
    assert_eq!(patientless.query(&question(HOME)).await, Answer::NotKnown);
}

#[tokio::test]
async fn each_number_is_called_by_itself() {
    let fake = Fake::with(
        "/",
        Act::by(|request| {
            if request.json()["CalledNumber"] == ABROAD {
                return refused("InvalidParameterValue.CalledNumberVerifyFail");
            }
            answered(json!({ "SendStatus": { "CallId": "c-1", "SessionContext": "" } }))
        }),
    )
    .await;
    let voice = voice(fake.url());
    let verdicts = sent(&voice, &text("磁盘已满", &[HOME, ABROAD, "nobody", "+8613900001235"])).await;
    let seen: Vec<String> = verdicts.iter().map(shown).collect();
    assert_eq!(seen, ["accepted", "rejected recipient", "rejected recipient", "accepted"]);
    // Nothing can be asked later.
    let taken = Outcome::Accepted { provider_id: "c-1".into(), receipt: Receipts::Never };
    assert_eq!(verdicts[0].outcome, taken);
    assert_eq!(outcomes(&voice, &parcel(&[HOME])).await, ["rejected content"]);
    let over = "长".repeat(SMS_CHARS_MAX + 1);
    assert_eq!(outcomes(&voice, &text(&over, &[HOME, ABROAD])).await, ["rejected content"; 2]);
    let seen = fake.seen();
    let body = json!({ "TemplateId": "2220", "CalledNumber": HOME, "VoiceSdkAppid": "1400007777",
        "TemplateParamSet": ["磁盘已满"], "PlayTimes": 3, "SessionContext": id(MESSAGE).plus(1).to_string() });
    assert_eq!((seen.len(), seen[0].json()), (3, body));
    let header = |name| seen[0].header(name).unwrap_or_default();
    assert_eq!((header("x-tc-action"), header("x-tc-version")), ("SendTtsVoice", "2020-09-02"));
}
