//! CMSI mail through the whole product to an SMTP server: the true outcome of every recipient, in the reply and on record.

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::{self, SEND_MAIL, mail},
    server::{A_WHILE, Home, Server, plan, smtp},
    sink::{Manners, Sink},
    wait_for,
};

fn with(manners: Manners) -> (Sink, Home, String) {
    let sink = Sink::start(manners);
    let plan = plan("cmsi.wait = \"8s\"", &smtp(sink.address));
    (sink, Home::new(), plan)
}

fn invalid(reply: &Value) -> &Value {
    &reply["data"]["username_check"]["invalid"]
}

#[test]
fn a_mail_arrives_and_its_life_line_says_so() {
    let (sink, home, plan) = with(Manners::default());
    let server = home.start(&plan);
    let reply = server.send_mail(json!({
        "receiver__username": "admin,yunchao", "cc": "boss@bk.com", "title": "周报\r\nBcc: x@evil.cn", "content": "<b>你好</b>",
    }));
    assert_eq!((reply["result"].as_bool(), reply["code"].as_i64()), (Some(true), Some(0)), "{reply}");
    assert_eq!(reply["message"], "OK");

    let taken = sink.taken();
    assert_eq!(taken.len(), 1, "one mail to all");
    assert_eq!(taken[0].recipients, ["admin@bk.com", "yunchao@bk.com", "boss@bk.com"]);
    assert_eq!(taken[0].sender, "blueking@bking.com");
    assert_eq!(taken[0].header("To").as_deref(), Some("admin@bk.com, yunchao@bk.com"));
    assert!(taken[0].header("Bcc").is_none());
    assert!(taken[0].header("Message-ID").is_some() && taken[0].header("Date").is_some());

    let message = server.message(&reply);
    assert_eq!(message["tally"], json!({ "accepted": 3 }));
    assert_eq!(
        (&message["app"], &message["operation"], &message["channel"]),
        (&json!("app1"), &json!("send_mail"), &json!("1003"))
    );
    let attempt = &message["deliveries"][0]["attempts"][0];
    assert_eq!((&attempt["provider"], &attempt["outcome"]), (&json!("main"), &json!("accepted")));
    assert!(attempt["reply"].as_str().expect("words").contains("queued"), "{attempt}");
    let decimal = message["id"].as_str().expect("a decimal string");
    assert_eq!(server.get(&format!("/v1/messages/{decimal}")).json(), message);
}

#[test]
fn one_refused_recipient_never_stops_the_others() {
    let refuse = vec![("yunchao", "550 5.1.1 No such user")];
    let (sink, home, plan) = with(Manners { refuse, ..Manners::default() });
    let server = home.start(&plan);
    let reply = server.send_mail(json!({ "receiver__username": "admin,yunchao,nobody,nomail" }));
    assert_eq!(reply["result"], false);
    assert_eq!(
        reply["message"],
        "Some users failed to send email. The following users are not blueking users: nobody;\
         The following users contact format are incorrect: nomail;The following users were refused: yunchao"
    );
    assert_eq!(invalid(&reply), &json!(["yunchao", "nobody", "nomail"]));
    assert_eq!(sink.taken()[0].recipients, ["admin@bk.com"]);
    let states: Vec<_> = server.message(&reply)["deliveries"]
        .as_array()
        .expect("all")
        .iter()
        .map(|d| (d["state"].clone(), d["reason"].clone()))
        .collect();
    assert_eq!(
        states,
        [
            (json!("accepted"), json!(null)),
            (json!("failed"), json!("recipient_refused")),
            (json!("skipped"), json!("unknown_user")),
            (json!("skipped"), json!("no_address"))
        ]
    );
}

#[test]
fn all_refused_is_a_failure_that_lists_all() {
    let refuse = vec![("@", "550 5.1.1 No such user")];
    let (_sink, home, plan) = with(Manners { refuse, ..Manners::default() });
    let server = home.start(&plan);
    let reply = server.send_mail(json!({ "receiver": "a@b.com,c@d.com" }));
    assert_eq!((&reply["result"], &reply["message"]), (&json!(false), &json!("Failed to send mail")));
    assert_eq!(invalid(&reply), &json!(["a@b.com", "c@d.com"]));
}

#[test]
fn what_is_put_off_counts_as_sent_and_is_tried_again() {
    let refuse = vec![("slow", "450 4.2.0 Mailbox busy")];
    let (sink, home, plan) = with(Manners { refuse, ..Manners::default() });
    let server = home.start(&plan);
    let reply = server.send_mail(json!({ "receiver": "a@b.com,slow@b.com" }));
    assert_eq!(reply["result"], true, "a later retry ends the waiting: {reply}");
    let message = server.message(&reply);
    assert_eq!(message["tally"], json!({ "accepted": 1, "ready": 1 }));
    assert_eq!(message["deliveries"][1]["reason"], "deferred");
    assert_eq!(message["deliveries"][1]["tries"], 1);
    assert_eq!(sink.taken()[0].recipients, ["a@b.com"]);
}

#[test]
fn a_hidden_reply_is_repeated_with_the_same_message_id_and_marked() {
    let (sink, home, plan) = with(Manners { hide_every: Some(1), ..Manners::default() });
    let server = home.start(&plan);
    let reply = server.send_mail(json!({ "receiver": "a@b.com" }));
    assert_eq!(reply["result"], true, "nobody knows, so it counts as sent: {reply}");
    let delivery = &server.message(&reply)["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("ready"), &json!("ambiguous")));
    assert_eq!(delivery["maybe_duplicate"], true);
    assert_eq!(delivery["attempts"][0]["outcome"], "unknown");
    sink.behave(Manners::default());
    server.wait_until(&reply, "accepted");
    let taken = sink.taken();
    assert_eq!(taken.len(), 2, "once in doubt, once for certain");
    assert!(taken[0].header("Message-ID").is_some());
    assert_eq!(taken[0].data, taken[1].data, "the same bytes, the Message-ID among them");
}

#[test]
fn a_dead_server_delays_nothing_but_its_own_mail_and_loses_none() {
    let sink = Sink::start(Manners::default());
    let address = sink.address;
    drop(sink);
    let home = Home::new();
    let server = home.start(&plan("cmsi.wait = \"8s\"", &smtp(address)));
    let began = std::time::Instant::now();
    let replies: Vec<_> = (0..12).map(|n| server.send_mail(json!({ "receiver": format!("a{n}@b.com") }))).collect();
    assert!(replies.iter().all(|reply| reply["result"] == true));
    assert!(began.elapsed() < PATIENCE / 2, "nobody waits for a server that is down");

    let sink = Sink::start_at(address, Manners::default());
    for reply in &replies {
        server.wait_until(reply, "accepted");
    }
    assert_eq!(sink.count(), 12);
}

#[test]
fn a_connection_that_dies_before_the_dot_loses_and_repeats_nothing() {
    for phase in ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"] {
        let (sink, home, plan) = with(Manners { close_at: Some(phase), ..Manners::default() });
        let server = home.start(&plan);
        let reply = server.send_mail(json!({ "receiver": "a@b.com" }));
        assert_eq!(reply["result"], true, "{phase}: {reply}");
        assert_eq!(sink.count(), 0, "{phase}");
        let delivery = server.message(&reply)["deliveries"][0].clone();
        assert_eq!(delivery["state"], "ready", "{phase}: {delivery}");
        assert_eq!(delivery["maybe_duplicate"], phase == "DOT", "{phase}: only the dot makes it doubtful");
    }
}

#[test]
fn the_reply_waits_no_longer_than_it_may() {
    let sink = Sink::start(Manners { delay: PATIENCE, ..Manners::default() });
    let home = Home::new();
    let server = home.start(&plan("cmsi.wait = \"500ms\"", &smtp(sink.address)));
    let reply = server.send_mail(json!({ "receiver": "a@b.com" }));
    assert_eq!(reply["result"], true, "at the deadline it is durable and counts as sent");
    assert_eq!(server.message(&reply)["deliveries"][0]["state"], "leased");
}

#[test]
fn the_success_code_may_be_the_one_that_the_document_prints() {
    let sink = Sink::start(Manners::default());
    let home = Home::new();
    let server = home.start(&plan("cmsi.mail_success_code = \"00\"", &smtp(sink.address)));
    assert_eq!(server.send_mail(json!({ "receiver": "a@b.com" }))["code"], "00");
}

#[test]
fn the_same_key_is_the_same_mail() {
    let refuse = vec![("no@", "550 5.1.1 No such user")];
    let (sink, home, plan) = with(Manners { refuse, ..Manners::default() });
    let server = home.start(&plan);
    let body = mail(json!({ "receiver": "a@b.com,no@b.com" })).to_string();
    let send = |body: &str| {
        client::request(server.address, "POST", SEND_MAIL, &[("Idempotency-Key", "k1")], body.as_bytes()).body
    };
    let first = send(&body);
    assert!(first.contains("were refused: no@b.com"), "{first}");
    assert_eq!(send(&body), first, "same key, same body, same answer");
    let other = send(&mail(json!({ "receiver": "c@d.com" })).to_string());
    assert!(other.contains("1306406"), "{other}");
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_repeat_gets_the_first_answer_whatever_has_happened_since() {
    let refuse = vec![("no@", "550 5.1.1 No such user")];
    let (sink, home, plan) = with(Manners { refuse, ..Manners::default() });
    let server = home.start(&plan.replace("8s", "0s"));
    let body = mail(json!({ "receiver": "no@b.com" })).to_string();
    let send = |server: &Server| {
        client::request(server.address, "POST", SEND_MAIL, &[("Idempotency-Key", "k")], body.as_bytes())
    };
    let first = send(&server);
    assert_eq!(first.json()["result"], true, "nobody waited for the refusal: {first:?}");
    server.wait_until(&first.json(), "failed");
    assert_eq!(send(&server).body, first.body);
    server.kill();
    assert_eq!(send(&home.start(&plan)).body, first.body, "also after a crash");
    assert_eq!(sink.count(), 0);
}

#[test]
fn another_provider_repeats_the_same_bytes() {
    let (hiding, honest) =
        (Sink::start(Manners { hide_every: Some(1), ..Manners::default() }), Sink::start(Manners::default()));
    let second = format!(
        "[[provider]]\ncode = \"second\"\n{}\n[[channel]]",
        smtp(honest.address).replace("blueking@bking.com", "other@other.example.com")
    );
    let plan = plan("cmsi.wait = \"8s\"", &smtp(hiding.address))
        .replace("[[channel]]", &second)
        .replace("[\"main\"]", "[\"main\", \"second\"]");
    let home = Home::new();
    let server = home.start(&plan);
    // The first takes some, says nothing and goes away; the second repeats what is in doubt.
    let replies: Vec<_> = (0..8).map(|n| server.send_mail(json!({ "receiver": format!("r{n}@b.com") }))).collect();
    let doubtful = hiding.taken();
    drop(hiding);
    for reply in &replies {
        server.wait_until(reply, "accepted");
    }
    let certain = honest.taken();
    let mut repeated = 0;
    for first in &doubtful {
        for second in certain.iter().filter(|second| second.recipients == first.recipients) {
            assert_eq!(first.data, second.data);
            repeated += 1;
        }
    }
    assert!(repeated > 0, "nothing was repeated by the other provider");
}

#[test]
fn a_client_that_hangs_up_changes_nothing() {
    let (sink, home, plan) = with(Manners::default());
    let server = home.start(&plan);
    for n in 0..20 {
        let mut connection = client::Connection::open(server.address).expect("it listens");
        let body = mail(json!({ "receiver": format!("a{n}@b.com") })).to_string();
        connection.send("POST", SEND_MAIL, &[], body.as_bytes()).expect("sent");
        drop(connection);
    }
    // Whatever the server had read whole before the hang-up is delivered once; nothing comes twice.
    let reply = server.send_mail(json!({ "receiver": "last@b.com" }));
    assert_eq!(reply["result"], true);
    wait_for("an empty queue", PATIENCE, || {
        let delivered = server.metric("hongyan_delivered_total") as usize;
        (server.metric("hongyan_queue_depth") == 0.0 && delivered == sink.count()).then_some(())
    });
    let mut recipients: Vec<_> = sink.taken().into_iter().flat_map(|taken| taken.recipients).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!(recipients.len(), sink.count(), "nobody got it twice");
    assert!(recipients.len() as f64 >= server.metric("hongyan_accepted_total"), "everything answered has arrived");
}

#[test]
fn more_recipients_than_a_page_all_get_it_in_several_envelopes() {
    let (sink, home, plan) = with(Manners::default());
    let server = home.start(&plan);
    let receivers: Vec<_> = (0..2_500).map(|n| format!("r{n}@b.com")).collect();
    let reply = server.send_mail(json!({ "receiver": receivers }));
    assert_eq!(reply["result"], true, "{reply}");
    server.wait_until(&reply, "accepted");
    let taken = sink.taken();
    let mut sizes: Vec<_> = taken.iter().map(|taken| taken.recipients.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [500, 1_000, 1_000]);
    assert!(taken.iter().all(|other| other.data == taken[0].data), "the same bytes in each");
}

#[test]
fn a_stop_under_load_loses_nothing() {
    let (sink, home, plan) = with(Manners { delay: A_WHILE / 10, ..Manners::default() });
    let quick = plan.replace("cmsi.wait = \"8s\"", "cmsi.wait = \"0s\"");
    let server = home.start(&quick);
    for n in 0..200 {
        assert_eq!(server.send_mail(json!({ "receiver": format!("r{n}@b.com") }))["result"], true);
    }
    assert!(server.terminate().success());
    let server = home.start(&quick);
    wait_for("the rest", PATIENCE, || (sink.count() >= 200).then_some(()));
    wait_for("an empty queue", PATIENCE, || (server.metric("hongyan_queue_depth") == 0.0).then_some(()));
    assert_eq!(sink.count(), 200, "given back, not sent twice");
}
