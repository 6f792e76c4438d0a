//! HTTPS as it is in earnest: certificates are those that the system trusts. What the system trusts is said to a process of its
//! own, this one again, by the variable that OpenSSL and rustls-native-certs read.

use std::{process::Stdio, sync::Arc, time::Duration};

use hongyan_channels::{Wecom, http::Limits};
use hongyan_core::{channel::Channel, time::ManualClock};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    fake::{Act, Fake},
    parcels::{NOW, shown},
    tls::{Authority, GOOD},
    token::{Seal, Vault},
    wecom::{SEND, TOKEN, issued, keys, text},
};

const PORT: &str = "HONGYAN_TEST_TLS_PORT";

/// Speaks TLS in front of the fake; answers its port.
async fn front(fake: &Fake, authority: &Authority) -> u16 {
    let acceptor = TlsAcceptor::from(authority.server("localhost", GOOD));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (port, behind) = (listener.local_addr().expect("an address").port(), fake.port);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust it goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut plain = TcpStream::connect(("127.0.0.1", behind)).await.expect("the fake listens");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut plain).await });
        }
    });
    port
}

/// Sends by HTTPS from a process that trusts what is in `trusted`; answers what it wrote.
async fn send_trusting(port: u16, trusted: &str) -> String {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "wecom_tls::sends_by_https", "--ignored", "--nocapture"])
        .env(PORT, port.to_string())
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("it runs");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_server_is_trusted_if_the_system_trusts_it() {
    let (fake, authority) = (Fake::with(TOKEN, issued("t1")).await, Authority::new());
    fake.on(SEND, [Act::Json(json!({"errcode": 0, "errmsg": "ok"}))]);
    let port = front(&fake, &authority).await;
    let stranger = Authority::new();
    let said = send_trusting(port, &stranger.path()).await;
    assert!(said.contains("outcome: deferred provider") && fake.seen().is_empty(), "{said}");
    let said = send_trusting(port, &authority.path()).await;
    assert!(said.contains("outcome: accepted") && fake.seen_at(SEND).len() == 1, "{said}");
}

#[tokio::test]
#[ignore = "the other process of the test above"]
async fn sends_by_https() {
    let port = std::env::var_os(PORT).expect("run by the test above").into_string().expect("a number");
    let limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(10) };
    let keys = keys(&format!("https://localhost:{port}"));
    let clock = Arc::new(ManualClock::at(NOW));
    let wecom = Wecom::new(&keys, limits, Arc::new(Vault::default()), Arc::new(Seal), clock).expect("a provider");
    let verdicts = wecom.send(&text("x", &["a"])).await;
    println!("outcome: {} {}", shown(&verdicts[0]), verdicts[0].reply);
}
