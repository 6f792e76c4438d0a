//! A server that misbehaves at every step, and the exact outcome of each recipient.

use std::time::{Duration, Instant};

use hongyan_core::{
    content::Mail,
    outcome::{Outcome, Receipts},
    setup::{Secret, SmtpProvider},
};

use crate::{
    parcels::{PATIENT, big, mail, parcel, parcel_of, provider, send, shown},
    sink::{
        Act::{self, Close, Drip, Flood, Say, SayAndClose, SayAndStall, Silence},
        Script, Sink,
    },
};

/// Enough for loopback, short enough to sit out.
const SHORT: Duration = Duration::from_millis(400);

type Case = (&'static str, &'static [(&'static str, Act)], &'static [&'static str]);

/// Sent to good@, bad@ and last@ each time.
#[rustfmt::skip]
const CASES: &[Case] = &[
    ("all is well",              &[],                                                        &["accepted", "accepted", "accepted"]),
    ("one is refused",           &[("RCPT TO:<bad", Say("550 5.1.1 who?"))],                 &["accepted", "rejected recipient", "accepted"]),
    ("one is put off",           &[("RCPT TO:<bad", Say("451 4.3.0 later"))],                &["accepted", "deferred recipient", "accepted"]),
    ("one is greylisted",        &[("RCPT TO:<bad", Say("450 4.7.1 greylisted"))],           &["accepted", "deferred recipient 300s", "accepted"]),
    ("one gets too much",        &[("RCPT TO:<bad", Say("450 4.2.1 too quickly"))],          &["accepted", "throttled recipient 60s", "accepted"]),
    ("one mailbox is full",      &[("RCPT TO:<bad", Say("552 5.2.2 full"))],                 &["accepted", "deferred recipient", "accepted"]),
    ("too many",                 &[("RCPT TO:<bad", Say("452 4.5.3 too many")), ("RCPT TO:<last", Say("452 4.5.3 too many"))],
                                                                                             &["accepted", "deferred recipient 1s", "deferred recipient 1s"]),
    ("too many, and nobody",     &[("RCPT", Say("452 4.5.3 too many"))],                     &["deferred recipient"; 3]),
    ("all are refused",          &[("RCPT", Say("550 5.1.1 who?"))],                         &["rejected recipient"; 3]),
    ("all are refused, 354",     &[("RCPT", Say("550 5.1.1 who?")), ("DATA", Say("354 anyway"))], &["rejected recipient"; 3]),
    ("forwarded is accepted",    &[("RCPT TO:<bad", Say("251 2.1.5 will forward"))],         &["accepted"; 3]),
    ("the sender is refused",    &[("MAIL", Say("550 5.1.8 no such domain"))],               &["rejected content"; 3]),
    ("the server has no room",   &[("MAIL", Say("452 4.3.1 no space"))],                     &["deferred provider"; 3]),
    ("login is wanted",          &[("MAIL", Say("530 5.7.0 authentication required"))],      &["misconfigured"; 3]),
    ("DATA is refused",          &[("DATA", Say("554 5.5.1 no"))],                           &["rejected content"; 3]),
    ("DATA is put off",          &[("DATA", Say("451 4.3.0 later"))],                        &["deferred recipient"; 3]),
    ("the content is refused",   &[(".", Say("554 5.7.1 spam"))],                            &["rejected content"; 3]),
    ("the message is put off",   &[(".", Say("451 4.7.1 greylisted"))],                      &["deferred recipient 300s"; 3]),
    ("the message is too large", &[(".", Say("552 5.3.4 too large"))],                       &["rejected content"; 3]),
    ("one refused, then all",    &[("RCPT TO:<bad", Say("550 5.1.1 who?")), (".", Say("451 4.3.0 later"))],
                                                                                             &["deferred recipient", "rejected recipient", "deferred recipient"]),
    ("frequency, in Chinese",    &[("MAIL", Say("550 Ip frequency limited"))],               &["throttled provider 60s"; 3]),
    ("421 at EHLO",              &[("EHLO", SayAndClose("421 4.3.2 going down"))],           &["throttled provider 60s"; 3]),
    ("421 at MAIL",              &[("MAIL", SayAndClose("421 4.7.0 slow down"))],            &["throttled provider 60s"; 3]),
    ("421 at the second RCPT",   &[("RCPT TO:<bad", SayAndClose("421 4.7.0 slow down"))],    &["throttled provider 60s"; 3]),
    ("421 after one refusal",    &[("RCPT TO:<good", Say("550 5.1.1 who?")), ("RCPT TO:<bad", SayAndClose("421 4.7.0 slow down"))],
                                                                                             &["rejected recipient", "throttled provider 60s", "throttled provider 60s"]),
    ("421 at DATA",              &[("DATA", SayAndClose("421 4.3.2 going down"))],           &["throttled provider 60s"; 3]),
    ("421 after the dot",        &[(".", SayAndClose("421 4.3.2 going down"))],              &["throttled provider 60s"; 3]),
    ("EHLO is unknown",          &[("EHLO", Say("502 5.5.1 what?"))],                        &["accepted"; 3]),
    ("EHLO and HELO are refused", &[("EHLO", Say("550 go away")), ("HELO", Say("550 go away"))], &["misconfigured"; 3]),
    ("closes at EHLO",           &[("EHLO", Close)],                                         &["deferred provider"; 3]),
    ("closes at MAIL",           &[("MAIL", Close)],                                         &["deferred provider"; 3]),
    ("closes at RCPT",           &[("RCPT", Close)],                                         &["deferred provider"; 3]),
    ("closes after one refusal", &[("RCPT TO:<good", Say("550 5.1.1 who?")), ("RCPT TO:<bad", Close)],
                                                                                             &["rejected recipient", "deferred provider", "deferred provider"]),
    ("closes at DATA",           &[("DATA", Close)],                                         &["deferred provider"; 3]),
    ("closes after the dot",     &[(".", Close)],                                            &["unknown"; 3]),
    ("closes after the dot, one was refused", &[("RCPT TO:<bad", Say("550 5.1.1 who?")), (".", Close)],
                                                                                             &["unknown", "rejected recipient", "unknown"]),
    ("no code after the dot",    &[(".", Say("whatever"))],                                  &["unknown"; 3]),
    ("354 after the dot",        &[(".", Say("354 more, please"))],                          &["unknown"; 3]),
    ("no code at MAIL",          &[("MAIL", Say("x50 ok"))],                                 &["deferred provider"; 3]),
    ("354 at MAIL",              &[("MAIL", Say("354 go ahead"))],                           &["deferred provider"; 3]),
    ("250 at DATA",              &[("DATA", Say("250 ok"))],                                 &["deferred provider"; 3]),
    ("different codes in a reply", &[("MAIL", Say("250-one\r\n251 two"))],                   &["deferred provider"; 3]),
    ("an endless reply",         &[("EHLO", Flood("250-more\r\n"))],                         &["deferred provider"; 3]),
    ("an endless line",          &[("EHLO", Flood("250-more "))],                            &["deferred provider"; 3]),
    ("a long line",              &[("MAIL", Flood("2"))],                                    &["deferred provider"; 3]),
    ("byte by byte",             &[("MAIL", Drip("250-2.1.0 one\r\n250 2.1.0 two")), (".", Drip("250-2.0.0 Ok:\r\n250 2.0.0 queued as 4F2B91C0A8"))],
                                                                                             &["accepted"; 3]),
];

#[tokio::test]
async fn every_case_with_and_without_pipelining() {
    for (name, acts, expected) in CASES {
        for script in [Script::acts(acts), Script::acts(acts).without("PIPELINING")] {
            let is_pipelined = script.keywords.contains(&"PIPELINING");
            let sink = Sink::start(script).await;
            let recipients = ["good@example.com", "bad@example.com", "last@example.com"];
            let verdicts = send(&provider(sink.port), PATIENT, &parcel(&recipients)).await;
            let outcomes: Vec<String> = verdicts.iter().map(shown).collect();
            assert_eq!(outcomes, *expected, "{name}, pipelined: {is_pipelined}: {verdicts:?}");
            assert_eq!(sink.seen().early, 0, "{name}");
            for verdict in verdicts {
                let reply = verdict.reply;
                assert!(
                    !reply.is_empty() && reply.len() <= 500 && !reply.contains(char::is_control),
                    "{name}: {reply:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn silence_ends_in_time_and_means_what_the_step_means() {
    for (at, expected) in [
        ("EHLO", "deferred provider"),
        ("MAIL", "deferred provider"),
        ("RCPT", "deferred provider"),
        ("DATA", "deferred provider"),
        (".", "unknown"),
    ] {
        for script in [Script::acts(&[(at, Silence)]), Script::acts(&[(at, Silence)]).without("PIPELINING")] {
            let sink = Sink::start(script).await;
            let begun = Instant::now();
            let verdicts = send(&provider(sink.port), SHORT, &parcel(&["a@example.com"])).await;
            assert_eq!(shown(&verdicts[0]), expected, "{at}: {verdicts:?}");
            assert!(verdicts[0].reply.contains("did not answer within 400ms"), "{}", verdicts[0].reply);
            assert!(begun.elapsed() < 10 * SHORT);
        }
    }
}

#[tokio::test]
async fn greetings() {
    for (greeting, expected) in [
        (Close, "deferred provider"),
        (Silence, "deferred provider"),
        (Say("554 5.7.1 no service for you"), "misconfigured"),
        (Say("450 4.3.0 not now"), "deferred provider"),
        (SayAndClose("421 4.7.0 too many connections"), "throttled provider 60s"),
        (Say("SSH-2.0-OpenSSH_9.2"), "deferred provider"),
        (Say("220-one\r\n220 two"), "accepted"),
    ] {
        let sink = Sink::start(Script { greeting, ..Script::default() }).await;
        let limit = if matches!(greeting, Silence) { SHORT } else { PATIENT };
        let verdicts = send(&provider(sink.port), limit, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), expected, "{greeting:?}: {verdicts:?}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let port = Sink::start(Script::default()).await.port;
    let unused =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
    assert_ne!(port, unused);
    let verdicts = send(&provider(unused), PATIENT, &parcel(&["a@example.com", "b@example.com"])).await;
    assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["deferred provider"; 2]);
    let why = format!("cannot connect to 127.0.0.1:{unused}: Connection refused");
    assert!(verdicts[0].reply.starts_with(&why), "{verdicts:?}");
}

#[tokio::test]
async fn a_large_message_that_is_cut_off_was_not_taken() {
    let sink = Sink::start(Script::acts(&[("data-block", Close)])).await;
    let verdicts = send(&provider(sink.port), PATIENT, &big()).await;
    assert_eq!(shown(&verdicts[0]), "deferred provider", "{verdicts:?}");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_message_is_heard() {
    for (act, expected, words) in [
        (SayAndClose("552 5.3.4 too large"), "rejected content", "552 5.3.4 too large"),
        (SayAndStall("552 5.3.4 too large"), "rejected content", "552 5.3.4 too large"),
        (SayAndClose("451 4.3.0 no space"), "deferred recipient", "451 4.3.0 no space"),
        (SayAndClose("421 4.3.2 going down"), "throttled provider 60s", "421 4.3.2 going down"),
        (SayAndClose("250 2.0.0 fine"), "deferred provider", "closed"),
    ] {
        let sink = Sink::start(Script::acts(&[("data-block", act)])).await;
        let limit = if matches!(act, SayAndStall(_)) { SHORT } else { PATIENT };
        let verdicts = send(&provider(sink.port), limit, &big()).await;
        assert_eq!(shown(&verdicts[0]), expected, "{act:?}: {verdicts:?}");
        assert!(verdicts[0].reply.contains(words), "{act:?}: {verdicts:?}");
    }
}

#[tokio::test]
async fn size_is_honoured_before_anything_is_sent() {
    let sink = Sink::start(Script::default().without("SIZE 10240000").with("SIZE 100")).await;
    let verdicts = send(&provider(sink.port), PATIENT, &parcel(&["a@example.com"])).await;
    assert_eq!(shown(&verdicts[0]), "rejected content");
    assert!(!sink.seen().has("MAIL"));
    let sink = Sink::start(Script::default()).await;
    send(&provider(sink.port), PATIENT, &parcel(&["a@example.com"])).await;
    let seen = sink.seen();
    let size: usize = seen.commands[1].rsplit_once("SIZE=").and_then(|(_, size)| size.parse().ok()).expect("SIZE");
    assert_eq!(size, seen.messages[0].len());
}

#[tokio::test]
async fn addresses_beyond_ascii_need_smtputf8() {
    let recipients = ["用户@例子.中国", "a@example.com"];
    let sink = Sink::start(Script::default()).await;
    let verdicts = send(&provider(sink.port), PATIENT, &parcel(&recipients)).await;
    assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["rejected recipient", "accepted"]);
    assert!(!sink.seen().has("RCPT TO:<用户"));

    let sink = Sink::start(Script::default().with("SMTPUTF8")).await;
    let verdicts = send(&provider(sink.port), PATIENT, &parcel(&recipients)).await;
    assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["accepted"; 2]);
    let seen = sink.seen();
    assert!(seen.commands[1].ends_with(" SMTPUTF8") && seen.has("RCPT TO:<用户@例子.中国>"));
}

#[tokio::test]
async fn own_senders_are_the_providers_fault() {
    let own = parcel_of(Mail { from: None, ..mail() }, vec![], &["a@example.com"]);
    for at in ["MAIL", "."] {
        let sink = Sink::start(Script::acts(&[(at, Say("550 5.7.60 not allowed to send as this sender"))])).await;
        let verdicts = send(&provider(sink.port), PATIENT, &own).await;
        assert_eq!(shown(&verdicts[0]), "misconfigured", "{at}");
        let verdicts = send(&provider(sink.port), PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), "rejected content", "{at}");
    }
}

#[tokio::test]
async fn logins() {
    let keys = |port| SmtpProvider { user: "me".into(), password: Secret::new("s3cret"), ..provider(port) };
    let plain = || Script::default().with("AUTH PLAIN LOGIN");
    let login = || Script::default().with("AUTH LOGIN");
    let with = |mut script: Script, acts: &[(&'static str, Act)]| {
        script.acts = acts.to_vec();
        script
    };
    let (prompt_user, prompt_password) = (("AUTH LOGIN", Say("334 VXNlcm5hbWU6")), ("bWU=", Say("334 UGFzc3dvcmQ6")));
    for (name, script, expected) in [
        ("plain", plain(), "accepted"),
        ("login", with(login(), &[prompt_user, prompt_password, ("czNjcmV0", Say("235 ok"))]), "accepted"),
        ("wrong password", with(plain(), &[("AUTH", Say("535 5.7.8 authentication failed"))]), "misconfigured"),
        (
            "wrong password by login",
            with(login(), &[prompt_user, prompt_password, ("czNjcmV0", Say("535 no"))]),
            "misconfigured",
        ),
        ("not now", with(plain(), &[("AUTH", Say("454 4.7.0 try again later"))]), "misconfigured"),
        ("too often", with(plain(), &[("AUTH", SayAndClose("421 4.7.0 too many failures"))]), "throttled provider 60s"),
        ("leak", with(plain(), &[("AUTH", Say("535 5.7.8 wrong password s3cret"))]), "misconfigured"),
        ("leak, encoded", with(plain(), &[("AUTH", Say("535 5.7.8 bad AG1lAHMzY3JldA=="))]), "misconfigured"),
        ("no mechanism", Script::default().with("AUTH CRAM-MD5"), "misconfigured"),
        ("no login", Script::default(), "misconfigured"),
        ("strange prompt", with(plain(), &[("AUTH", Say("250 ok"))]), "deferred provider"),
    ] {
        let sink = Sink::start(script).await;
        let verdicts = send(&keys(sink.port), PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), expected, "{name}: {verdicts:?}");
        assert!(!verdicts[0].reply.contains("s3cret") && !verdicts[0].reply.contains("AG1lAHMzY3JldA"), "{name}");
        assert_eq!(sink.seen().has("MAIL"), expected == "accepted", "{name}");
    }
}

#[tokio::test]
async fn no_reply_puts_the_password_on_record() {
    let plain = || Script::default().with("AUTH PLAIN");
    let login = || Script::default().with("AUTH LOGIN");
    let (prompt_user, prompt_password) = (("AUTH LOGIN", Say("334 VXNlcm5hbWU6")), ("bWU=", Say("334 UGFzc3dvcmQ6")));
    for (name, script, acts, expected) in [
        ("refused", plain(), &[("AUTH", Say("535 5.7.8 bad AUTH PLAIN AG1lAHMzY3JldA=="))][..], "misconfigured"),
        ("refused, in 421", plain(), &[("AUTH", SayAndClose("421 4.7.0 s3cret"))], "throttled provider 60s"),
        ("positive", plain(), &[("AUTH", Say("250 you said AUTH PLAIN AG1lAHMzY3JldA=="))], "deferred provider"),
        ("a prompt", plain(), &[("AUTH", Say("334 s3cret?"))], "deferred provider"),
        ("cut off", plain(), &[("AUTH", Say("500 what is AUTH PLAIN AG1lAHMzY3Jl"))], "misconfigured"),
        ("positive to AUTH LOGIN", login(), &[("AUTH LOGIN", Say("250 s3cret"))], "deferred provider"),
        (
            "positive to the password",
            login(),
            &[prompt_user, prompt_password, ("czNjcmV0", Say("250 you said czNjcmV0"))],
            "deferred provider",
        ),
        (
            "two replies to one command",
            plain(),
            &[("AUTH", Say("235 ok\r\n550 you said AUTH PLAIN AG1lAHMzY3JldA=="))],
            "rejected content",
        ),
        ("after the dot", plain(), &[(".", Say("250 queued as s3cret"))], "accepted"),
    ] {
        let sink = Sink::start(Script { acts: acts.to_vec(), ..script }).await;
        let keys = SmtpProvider { user: "me".into(), password: Secret::new("s3cret"), ..provider(sink.port) };
        let verdicts = send(&keys, PATIENT, &parcel(&["a@example.com"])).await;
        assert_eq!(shown(&verdicts[0]), expected, "{name}: {verdicts:?}");
        let record = format!("{verdicts:?}");
        assert!(!["s3cret", "AG1lAHMz", "czNjcmV0"].iter().any(|secret| record.contains(secret)), "{name}: {record}");
    }
}

#[tokio::test]
async fn the_servers_reference_is_kept() {
    let sink = Sink::start(Script::default()).await;
    let verdicts = send(&provider(sink.port), PATIENT, &parcel(&["a@example.com"])).await;
    let expected = Outcome::Accepted { provider_id: "4F2B91C0A8".into(), receipt: Receipts::Never };
    assert_eq!(verdicts[0].outcome, expected);
    assert_eq!(verdicts[0].reply, "250 2.0.0 Ok: queued as 4F2B91C0A8");
}
