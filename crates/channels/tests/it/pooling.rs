//! Connections: how few writes a message needs, when a connection is used again, and when it is closed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hongyan_channels::{Smtp, Timeouts};
use hongyan_core::{channel::Channel, setup::SmtpProvider, time::ManualClock};

use crate::{
    parcels::{NOW, PATIENT, parcel, provider, shown, smtp, timeouts},
    sink::{
        Act::{Close, Say, SayAndClose},
        Script, Seen, Sink,
    },
};

/// Waits until the sink has seen it.
async fn until(sink: &Sink, what: impl Fn(&Seen) -> bool) {
    let begun = Instant::now();
    while !what(&sink.seen()) {
        assert!(begun.elapsed() < PATIENT, "it never came: {:?}", sink.seen());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_pipelined_message_is_two_writes_on_one_connection() {
    let sink = Sink::start(Script::default()).await;
    let smtp = smtp(&provider(sink.port), PATIENT);
    for _ in 0..3 {
        let verdicts = smtp.send(&parcel(&["a@example.com", "b@example.com"])).await;
        assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>(), ["accepted"; 2]);
    }
    smtp.close().await;
    let seen = sink.seen();
    let message_lines = seen.messages[0].split(|b| *b == b'\n').count();
    let expected = [1, 4, message_lines, 4, message_lines, 4, message_lines, 1];
    assert_eq!(seen.reads[..8], expected, "EHLO, then MAIL RCPT RCPT DATA and the message, thrice, then QUIT");
    assert_eq!(seen.connections, 1);
}

#[tokio::test]
async fn more_recipients_than_a_group() {
    let sink = Sink::start(Script::acts(&[("RCPT TO:<r150@", Say("550 5.1.1 who?"))])).await;
    let recipients: Vec<String> = (0..250).map(|n| format!("r{n}@example.com")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let verdicts = smtp(&provider(sink.port), PATIENT).send(&parcel(&recipients)).await;
    let refused: Vec<usize> = (0..250).filter(|i| shown(&verdicts[*i]) != "accepted").collect();
    assert_eq!(refused, [150]);
    assert_eq!(sink.seen().messages.len(), 1);
}

#[tokio::test]
async fn an_unfinished_transaction_is_reset_before_the_next() {
    for script in
        [Script::acts(&[("RCPT TO:<bad", Say("550 5.1.1 who?"))]), Script::acts(&[("MAIL#1", Say("451 4.3.0 no"))])]
    {
        for script in [script.clone(), script.without("PIPELINING")] {
            let sink = Sink::start(script).await;
            let smtp = smtp(&provider(sink.port), PATIENT);
            smtp.send(&parcel(&["bad@example.com"])).await;
            assert_eq!(shown(&smtp.send(&parcel(&["good@example.com"])).await[0]), "accepted");
            smtp.close().await;
            let seen = sink.seen();
            assert_eq!((seen.connections, seen.early), (1, 0), "{:?}", seen.commands);
            let resets = seen.commands.iter().filter(|line| *line == "RSET").count();
            assert_eq!(resets, 1, "{:?}", seen.commands);
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_a_message_for_nobody_gets_an_empty_one() {
    let acts = [
        ("RCPT TO:<bad", Say("550 5.1.1 who?")),
        ("DATA#1", Say("354 anyway")),
        (".#1", Say("554 5.5.1 no valid recipients")),
    ];
    let sink = Sink::start(Script::acts(&acts)).await;
    let smtp = smtp(&provider(sink.port), PATIENT);
    assert_eq!(shown(&smtp.send(&parcel(&["bad@example.com"])).await[0]), "rejected recipient");
    assert_eq!(shown(&smtp.send(&parcel(&["good@example.com"])).await[0]), "accepted");
    let seen = sink.seen();
    assert_eq!(seen.messages[0], b"");
    assert!(!seen.messages[1].is_empty());
    assert_eq!(seen.connections, 1);
}

#[tokio::test]
async fn a_connection_that_died_while_idle_is_replaced() {
    for dying in [Close, SayAndClose("421 4.4.2 idle for too long")] {
        for script in [Script::acts(&[("MAIL#2", dying)]), Script::acts(&[("MAIL#2", dying)]).without("PIPELINING")] {
            let sink = Sink::start(script).await;
            let smtp = smtp(&provider(sink.port), PATIENT);
            for _ in 0..3 {
                assert_eq!(shown(&smtp.send(&parcel(&["a@example.com"])).await[0]), "accepted");
            }
            assert_eq!((sink.seen().connections, sink.seen().messages.len()), (3, 3));
        }
    }
}

#[tokio::test]
async fn a_connection_that_dies_later_is_not_repeated() {
    for (at, expected) in [("RCPT#2", "deferred provider"), ("DATA#2", "deferred provider"), (".#2", "unknown")] {
        let sink = Sink::start(Script::acts(&[(at, Close)])).await;
        let smtp = smtp(&provider(sink.port), PATIENT);
        smtp.send(&parcel(&["a@example.com"])).await;
        assert_eq!(shown(&smtp.send(&parcel(&["a@example.com"])).await[0]), expected, "{at}");
        assert_eq!(sink.seen().connections, 1, "{at}");
    }
}

#[tokio::test]
async fn a_new_connection_is_not_replaced() {
    let sink = Sink::start(Script::acts(&[("MAIL", Close)])).await;
    let verdicts = smtp(&provider(sink.port), PATIENT).send(&parcel(&["a@example.com"])).await;
    assert_eq!((shown(&verdicts[0]).as_str(), sink.seen().connections), ("deferred provider", 1));
}

#[tokio::test]
async fn connections_end_politely_when_their_messages_age_or_idleness_are_used_up() {
    let worn = |port, messages, age, idle| SmtpProvider {
        connection_messages: messages,
        connection_age: Duration::from_millis(age),
        connection_idle: Duration::from_millis(idle),
        ..provider(port)
    };
    for (messages, age, idle, connections) in [(2, 60_000, 60_000, 2), (100, 0, 60_000, 4), (100, 60_000, 0, 4)] {
        let sink = Sink::start(Script::default()).await;
        let smtp = smtp(&worn(sink.port, messages, age, idle), PATIENT);
        for _ in 0..4 {
            assert_eq!(shown(&smtp.send(&parcel(&["a@example.com"])).await[0]), "accepted");
        }
        until(&sink, |seen| seen.open_connections == 0).await;
        let seen = sink.seen();
        assert_eq!(seen.connections, connections);
        assert_eq!(seen.commands.iter().filter(|line| *line == "QUIT").count(), connections);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_being_asked() {
    let sink = Sink::start(Script::default()).await;
    let smtp = smtp(&SmtpProvider { connection_idle: Duration::from_millis(50), ..provider(sink.port) }, PATIENT);
    for _ in 0..2 {
        smtp.send(&parcel(&["a@example.com"])).await;
        assert_eq!(sink.seen().open_connections, 1);
        until(&sink, |seen| seen.open_connections == 0 && seen.commands.last().is_some_and(|line| line == "QUIT"))
            .await;
    }
}

#[tokio::test]
async fn closing_says_goodbye_and_does_not_wait_for_the_deaf() {
    let sink = Sink::start(Script::acts(&[("QUIT", crate::sink::Act::Silence)])).await;
    let smtp = smtp(&provider(sink.port), Duration::from_millis(300));
    smtp.send(&parcel(&["a@example.com"])).await;
    let begun = Instant::now();
    smtp.close().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(sink.seen().has("QUIT"));
}

#[tokio::test]
async fn closing_many_takes_no_longer_than_closing_one() {
    const LIMIT: Duration = Duration::from_secs(2);
    assert!(Timeouts::default().quit <= LIMIT);
    let sink = Sink::start(Script::acts(&[("QUIT", crate::sink::Act::Silence)])).await;
    let clock = Arc::new(ManualClock::at(NOW));
    let timeouts = Timeouts { quit: Timeouts::default().quit, ..timeouts(PATIENT) };
    let smtp = Arc::new(Smtp::new(&provider(sink.port), timeouts, clock).expect("a valid provider"));
    let sending: Vec<_> = (0..8)
        .map(|_| {
            let smtp = Arc::clone(&smtp);
            tokio::spawn(async move { smtp.send(&parcel(&["a@example.com"])).await })
        })
        .collect();
    for sent in sending {
        assert_eq!(shown(&sent.await.expect("no panic")[0]), "accepted");
    }
    assert!(sink.seen().open_connections > 1);
    let begun = Instant::now();
    smtp.close().await;
    assert!(begun.elapsed() < LIMIT + LIMIT / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn sixteen_at_a_time_use_sixteen_connections() {
    let sink = Sink::start(Script::default()).await;
    let smtp = Arc::new(smtp(&provider(sink.port), PATIENT));
    for _ in 0..5 {
        let sending: Vec<_> = (0..16)
            .map(|_| {
                let smtp = Arc::clone(&smtp);
                tokio::spawn(async move { smtp.send(&parcel(&["a@example.com"])).await })
            })
            .collect();
        for sent in sending {
            assert_eq!(shown(&sent.await.expect("no panic")[0]), "accepted");
        }
    }
    smtp.close().await;
    let seen = sink.seen();
    assert!(seen.connections <= 16, "{}", seen.connections);
    assert_eq!(seen.messages.len(), 80);
}
