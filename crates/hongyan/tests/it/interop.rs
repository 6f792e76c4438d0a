//! Foreign programs on both sides: BlueKing's unmodified client in front, Python's SMTP server and MIME parser behind, and
//! Python's SMTP client as the judge of our own sink.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    server::{Home, plan, smtp},
    sink::{Manners, Sink},
};

/// The interpreter that has what tests/requirements.txt names.
#[expect(clippy::disallowed_methods, reason = "the test's own configuration")]
fn python() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    env::var("HONGYAN_TEST_PYTHON").map_or(beside, PathBuf::from)
}

fn script(name: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name);
    let output = Command::new(python())
        .arg(script)
        .args(arguments)
        .output()
        .expect("scripts/setup.sh test made a Python environment");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("all checks passed"), "{name}: {said}");
}

#[test]
fn the_unmodified_blueking_client_sends_mail_to_a_foreign_smtp_server() {
    let home = Home::new();
    // The script listens there; a free port is found by having had it.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let server = home.start(&plan("", &smtp(([127, 0, 0, 1], port).into())));
    script("bkapi_client.py", &[&format!("http://{}", server.address), &port.to_string()]);
}

#[test]
fn our_sink_is_accepted_by_pythons_smtp_client() {
    let sink = Sink::start(Manners { refuse: vec![("refused", "550 5.1.1 No such user")], ..Manners::default() });
    script("smtplib_client.py", &[&sink.address.port().to_string()]);
    let taken = sink.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].recipients, ["a@example.com"]);
    assert_eq!(taken[0].header("Subject").as_deref(), Some("first"));
    assert!(taken[1].data.contains("\r\n.dot\r\n..\r\n"), "{:?}", taken[1].data);
}
