//! Foreign programs on both sides: BlueKing's unmodified client in front, Python's SMTP server and MIME parser behind, and
//! Python's SMTP client as the judge of our own sink.

use std::{
    env,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    place::{Place, on_both_stores},
    server::{Home, plan, smtp},
    sink::{Manners, Sink},
};

/// The interpreter that has what tests/requirements.txt names.
#[expect(clippy::disallowed_methods, reason = "the test's own configuration")]
fn python() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    env::var("HONGYAN_TEST_PYTHON").map_or(beside, PathBuf::from)
}

/// Where a script may listen; a free port is found by having had it.
fn free_port() -> u16 {
    let had = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    had.expect("a free port").port()
}

pub fn script(name: &str, arguments: &[&str]) {
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
    let port = free_port();
    let server = home.start(&plan("", &smtp(([127, 0, 0, 1], port).into())));
    script("bkapi_client.py", &[&format!("http://{}", server.address), &port.to_string()]);
}

/// Every kind of channel, with its provider at `port`.
fn every_channel(port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}");
    format!(
        r#"
[settings]
cmsi.login_url = "{url}"
[[app]]
code = "app1"
secret = "sec1"
trusted = true
[[app]]
code = "app2"
secret = "sec2"
[[user]]
code = "admin"
email = "admin@bk.com"
phone = "+8613800000001"
wecom = "wx_admin"
openid = "o_admin"
[[user]]
code = "yunchao"
wecom = "wx_yun"
[[provider]]
code = "capture"
kind = "capture"
[[provider]]
code = "wecom-app"
kind = "wecom"
corp_id = "corp"
corp_secret = "cs"
agent_id = 1000002
base_url = "{url}"
[[provider]]
code = "account"
kind = "wechat"
app_id = "wxapp"
app_secret = "wxs"
template = "TPL"
base_url = "{url}"
[[provider]]
code = "sms"
kind = "aliyun"
access_key = "ak"
access_secret = "sk"
sign = "鸿雁"
template = "SMS_1"
base_url = "{url}/sms"
[[provider]]
code = "calls"
kind = "tencent_voice"
secret_id = "id"
secret_key = "sk"
app_id = "1400006666"
template = "1110"
base_url = "{url}/voice"
[[channel]]
code = "1001"
kind = "sms"
providers = ["sms"]
[[channel]]
code = "1002"
kind = "wecom"
providers = ["wecom-app"]
[[channel]]
code = "1003"
kind = "mail"
providers = ["capture"]
[[channel]]
code = "1004"
kind = "voice"
providers = ["calls"]
[[channel]]
code = "1005"
kind = "wechat"
providers = ["account"]
"#
    )
}

on_both_stores!(the_unmodified_blueking_client_drives_every_component);

fn the_unmodified_blueking_client_drives_every_component(mut place: Place) {
    let port = free_port();
    let server = place.start(&every_channel(port));
    script("bkapi_components.py", &[&format!("http://{}", server.address), &port.to_string()]);
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
