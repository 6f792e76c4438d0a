//! What comes over the wire that nobody should have sent, and what a node says about itself.

use std::io::Read;

use serde_json::json;

use crate::support::{
    client::{self, Connection, SEND_MAIL, mail},
    server::{CAPTURE, Home, plan},
};

#[test]
fn bodies_up_to_10_mib_and_not_a_byte_more() {
    let home = Home::new();
    let server = home.start(&plan("", CAPTURE));
    let padded = |total: usize| {
        let body = mail(json!({ "receiver": "a@b.com", "content": "" })).to_string();
        let content = "x".repeat(total - body.len());
        let body = mail(json!({ "receiver": "a@b.com", "content": content })).to_string();
        assert_eq!(body.len(), total);
        body
    };
    let most = 10 * 1024 * 1024;
    let reply = client::request(server.address, "POST", SEND_MAIL, &[], padded(most).as_bytes());
    assert_eq!((reply.status, reply.json()["result"].as_bool()), (200, Some(true)), "{reply:?}");
    let mut connection = Connection::open(server.address).expect("it listens");
    // The server may answer and close before all has been sent.
    drop(connection.send("POST", SEND_MAIL, &[], padded(most + 1).as_bytes()));
    let reply = connection.reply().expect("an answer all the same");
    assert_eq!((reply.status, reply.json()["code"].as_i64()), (400, Some(1_306_406)));
    assert_eq!(reply.json()["message"], "Request body exceeds 10 MiB");
    assert_eq!(server.metric("hongyan_accepted_total"), 1.0);
}

#[test]
fn slow_and_broken_requests_hold_nobody_up() {
    let home = Home::new();
    let server = home.start(&plan("", CAPTURE));
    let mut idle: Vec<_> = (0..200).map(|_| Connection::open(server.address).expect("it listens")).collect();
    for connection in &mut idle {
        connection.raw(b"POST /api/c/compapi/cmsi/send_mail/ HTTP/1.1\r\nHost: x\r\nContent-Le").expect("sent");
    }
    for nonsense in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let mut stream = std::net::TcpStream::connect(server.address).expect("it listens");
        std::io::Write::write_all(&mut stream, nonsense).expect("sent");
        let mut answer = Vec::new();
        // Closed, with or without an answer; reset counts as closed.
        drop(stream.read_to_end(&mut answer));
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{nonsense:?}");
    }
    assert_eq!(server.send_mail(json!({ "receiver": "a@b.com" }))["result"], true);
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn the_administrators_pages_need_the_token() {
    let home = Home::new();
    let server = home.start(&plan("", CAPTURE));
    let reply = server.send_mail(json!({ "receiver": "a@b.com", "title": "Captured" }));
    for path in ["/v1/captures", "/v1/messages/1", "/v1/nothing"] {
        for headers in [&[][..], &[("Authorization", "Bearer wrong")], &[("Authorization", "Basic dGVzdDp0ZXN0")]] {
            let reply = client::request(server.address, "GET", path, headers, b"");
            assert_eq!(reply.status, 401, "{path}");
            assert_eq!(reply.json()["status"], 401);
        }
    }
    let captures = server.get("/v1/captures").json();
    let capture = &captures["captures"][0];
    assert_eq!(capture["recipients"], json!(["a@b.com"]));
    assert!(capture["body"].as_str().expect("text").contains("Subject: Captured"), "{capture}");
    assert_eq!(server.message(&reply)["id"], capture["message"]);
    for (path, status) in [
        ("/v1/messages/x", 400),
        ("/v1/messages/1", 404),
        ("/v1/nothing", 404),
        ("/v1/captures?limit=0", 400),
        ("/v1/captures?limit=x", 400),
    ] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.json()["status"].as_u64()), (status, Some(u64::from(status))), "{path}");
    }
}

#[test]
fn health_readiness_and_metrics() {
    let home = Home::new();
    let server = home.start(&plan("", CAPTURE));
    assert_eq!(server.send_mail(json!({ "receiver": "a@b.com,c@d.com" }))["result"], true);
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (200, 200));
    let page = server.get("/metrics").body;
    for line in [
        "hongyan_accepted_total{dialect=\"cmsi\",channel=\"1003\"} 1",
        "hongyan_delivered_total{channel=\"1003\",provider=\"main\"} 2",
        "hongyan_failed_total{channel=\"1003\",provider=\"main\"} 0",
        "hongyan_deferred_total{channel=\"1003\",provider=\"main\"} 0",
        "hongyan_queue_depth{channel=\"1003\"} 0",
        "hongyan_queue_oldest_seconds{channel=\"1003\"} 0.0",
        "hongyan_accept_seconds_count 1",
        "hongyan_delivery_seconds_count 2",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    assert!(page.contains("hongyan_store_batch_size "), "{page}");
}

#[test]
fn logs_hold_no_addresses_bodies_or_secrets() {
    let home = Home::new();
    let server = home.start(&plan("", CAPTURE));
    let canary = json!({ "receiver": "canary-address@b.com", "title": "canary-title", "content": "canary-body" });
    assert_eq!(server.send_mail(canary.clone())["result"], true);
    let mut wrong = canary;
    wrong["bk_app_secret"] = json!("canary-secret");
    assert_eq!(server.send_mail(wrong)["result"], false);
    assert_eq!(server.send_mail(json!({ "receiver": "canary-bad" }))["result"], false);
    let log = server.log().join("\n");
    assert!(!log.contains("canary") && !log.contains("sec1"), "{log}");
}
