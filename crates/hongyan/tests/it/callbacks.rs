//! Official accounts from outside: what their followers do, by which they get tags and are reached; calls that nobody should make;
//! the menu. The platform is played here by hand, and by wechatpy where it encrypts.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use hongyan_core::time::{Clock, SystemClock};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};

use crate::{
    interop::script,
    support::{
        client::{Reply, request},
        place::{Place, on_both_stores},
        provider::{Asked, Provider},
        server::{CAPTURE, Home, Server, binary},
    },
};

on_both_stores!(
    a_follower_gets_a_tag_and_is_reached_by_it,
    clicks_at_the_same_moment_give_one_tag_each,
    the_menu_is_made_through_a_node_or_without_one,
);

const TOKEN: &str = "hongyan123";
/// As the path has the code and the secret of the account.
const CALLBACK: &str = "/callbacks/%E5%85%AC%E4%BC%97%E5%8F%B7/a-part-that-nobody-guesses";
const GET_TOKEN: &str = "/cgi-bin/stable_token";
const SEND: &str = "/cgi-bin/message/template/send";
const MENU: &str = "/cgi-bin/menu/create";
const WELCOME: &str = "欢迎关注iMSG！点击菜单“获取我的openID”，即可获取您的iMSG账号。";
const CANNOT_SERVE: &str = "抱歉，暂时无法提供该服务。";

fn plan(url: &str, more: &str) -> String {
    format!(
        r#"
[[account]]
name = "zhang"
password = "123456"
[[provider]]
code = "公众号"
kind = "wechat"
app_id = "wx49f0ab532d5d035a"
app_secret = "wxs"
template = "TPL"
base_url = "{url}"
token = "{TOKEN}"
callback_secret = "a-part-that-nobody-guesses"
{more}
[[provider]]
code = "capture"
{CAPTURE}
[[provider]]
code = "silent"
kind = "wechat"
app_id = "wx2"
app_secret = "wxs"
template = "TPL"
base_url = "{url}"
[[channel]]
code = "1005"
kind = "wechat"
providers = ["公众号"]
"#
    )
}

fn signed(timestamp: i64) -> String {
    let timestamp = timestamp.to_string();
    let mut parts = [TOKEN, &timestamp, "nonce1"];
    parts.sort_unstable();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes());
    let signature: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("signature={signature}&timestamp={timestamp}&nonce=nonce1")
}

fn now() -> i64 {
    SystemClock.now().ms() / 1_000
}

fn call(server: &Server, path: &str, body: &str) -> Reply {
    let target = format!("{path}?{}&openid=ignored", signed(now()));
    request(server.address, "POST", &target, &[("Content-Type", "text/xml")], body.as_bytes())
}

fn event(openid: &str, fields: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>\
         <CreateTime>1700000000</CreateTime>{fields}</xml>"
    )
}

fn click(openid: &str) -> String {
    let fields = "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[CLICK]]></Event>\
                  <EventKey><![CDATA[get_openid]]></EventKey>";
    event(openid, fields)
}

fn happened(openid: &str, name: &str) -> String {
    event(openid, &format!("<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{name}]]></Event>"))
}

/// What the follower of a reply is told.
fn told(reply: &Reply, openid: &str) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.body.contains(&format!("<ToUserName><![CDATA[{openid}]]></ToUserName>")), "{reply:?}");
    assert!(reply.body.contains("<FromUserName><![CDATA[gh_1]]></FromUserName>"), "{reply:?}");
    let content = reply.body.split_once("<Content><![CDATA[").and_then(|(_, rest)| rest.split_once("]]></Content>"));
    content.unwrap_or_else(|| panic!("no content: {reply:?}")).0.to_owned()
}

fn platform() -> Provider {
    Provider::start(|asked| Some(answer(asked)))
}

fn answer(asked: &Asked) -> Value {
    if asked.is_for(GET_TOKEN) {
        json!({ "access_token": "TOK", "expires_in": 7200 })
    } else {
        json!({ "errcode": 0, "errmsg": "ok", "msgid": 1 })
    }
}

fn a_follower_gets_a_tag_and_is_reached_by_it(mut place: Place) {
    let provider = platform();
    let server = place.start(&plan(&provider.url(), ""));
    let (first, second) = ("o-canary-first", "o-canary-second");
    assert_eq!(told(&call(&server, CALLBACK, &happened(first, "subscribe")), first), WELCOME);
    assert_eq!(told(&call(&server, CALLBACK, &click(first)), first), "您iMSG的账号是iMSG-10001");
    assert_eq!(told(&call(&server, CALLBACK, &click(first)), first), "您已经有iMSG账号了：iMSG-10001");
    assert_eq!(told(&call(&server, "/weixin/bind", &click(second)), second), "您iMSG的账号是iMSG-10002");
    let text = event(first, "<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[get_openid]]></Content>");
    assert_eq!(told(&call(&server, CALLBACK, &text), first), CANNOT_SERVE);
    let finished = call(&server, CALLBACK, &happened(first, "TEMPLATESENDJOBFINISH"));
    assert_eq!((finished.status, finished.body.as_str()), (200, "success"));

    let token = server.login("zhang", "123456")["token"].as_str().expect("a token").to_owned();
    let send = || {
        let body = json!({ "token": token, "to": "iMSG-10001", "method": "wechat", "content": "你好" });
        server.imsg("send", &body)["errorCode"].as_i64().expect("a code")
    };
    assert_eq!(send(), 0);
    assert_eq!(provider.asked(SEND)[0].json()["touser"], first);
    let gone = call(&server, CALLBACK, &happened(first, "unsubscribe"));
    assert_eq!((gone.status, gone.body.as_str()), (200, "success"));
    assert_eq!(send(), 10_014, "who follows no longer is not asked for");
    assert_eq!(provider.asked(SEND).len(), 1);
    assert_eq!(told(&call(&server, CALLBACK, &happened(first, "subscribe")), first), WELCOME);
    assert_eq!(send(), 0);
    call(&server, CALLBACK, &happened(first, "unsubscribe"));
    assert_eq!(told(&call(&server, CALLBACK, &click(first)), first), "您已经有iMSG账号了：iMSG-10001");
    assert_eq!(send(), 0, "who clicks follows");
    assert!(!server.log().concat().contains("canary"), "no openid in the log");
}

fn clicks_at_the_same_moment_give_one_tag_each(mut place: Place) {
    const CLICKS: usize = 6;
    let server = place.start(&plan("http://127.0.0.1:1", ""));
    let openids = ["oA", "oB", "oC", "oD"];
    let said: Vec<(&str, String)> = thread::scope(|scope| {
        let one = |openid| {
            let server = &server;
            scope.spawn(move || (openid, told(&call(server, CALLBACK, &click(openid)), openid)))
        };
        let clicks: Vec<_> = (0..CLICKS).flat_map(|_| openids).map(one).collect();
        clicks.into_iter().map(|click| click.join().expect("answered")).collect()
    });
    let new: BTreeSet<&str> = said.iter().filter_map(|(_, said)| said.strip_prefix("您iMSG的账号是")).collect();
    assert_eq!(new, BTreeSet::from(["iMSG-10001", "iMSG-10002", "iMSG-10003", "iMSG-10004"]), "{said:?}");
    for openid in openids {
        let of: Vec<&str> = said.iter().filter(|(of, _)| *of == openid).map(|(_, said)| said.as_str()).collect();
        let tags: BTreeSet<&str> = of.iter().map(|said| said.split_at(said.len() - "iMSG-10001".len()).1).collect();
        let news = of.iter().filter(|said| said.starts_with("您iMSG")).count();
        assert_eq!((of.len(), tags.len(), news), (CLICKS, 1, 1), "{openid}: {of:?}");
    }
}

#[test]
fn only_the_accounts_own_calls_are_taken() {
    let server = Home::new();
    let server = server.start(&plan("http://127.0.0.1:1", ""));
    let asked = |method: &str, path: &str, query: &str, body: &[u8]| {
        request(server.address, method, &format!("{path}?{query}"), &[], body)
    };
    let good = signed(now());
    for path in [CALLBACK, "/weixin/bind"] {
        let reply = asked("GET", path, &format!("{good}&echostr=5927782489442352469"), b"");
        assert_eq!((reply.status, reply.body.as_str()), (200, "5927782489442352469"), "{path}");
    }
    let click = click("oABC");
    let laughs = format!(
        "<!DOCTYPE xml [<!ENTITY a \"ha\">{}]>{}",
        (1..10).map(|n| format!("<!ENTITY a{n} \"{}\">", "&a;".repeat(10))).collect::<String>(),
        click.replace("gh_1", "&a9;")
    );
    let huge = event("oABC", &format!("<A>{}</A>", "x".repeat(1024 * 1024)));
    let (old, ahead) = (signed(now() - 400), signed(now() + 400));
    let (other_nonce, elsewhere) = (good.replace("nonce1", "nonce2"), "/callbacks/silent/a-part-that-nobody-guesses");
    for (name, method, path, query, body, status) in [
        (
            "another secret",
            "POST",
            "/callbacks/%E5%85%AC%E4%BC%97%E5%8F%B7/a-part-that-nobody-guesseS",
            &good,
            &click,
            404,
        ),
        ("no secret", "POST", "/callbacks/%E5%85%AC%E4%BC%97%E5%8F%B7/", &good, &click, 404),
        ("nobody", "POST", "/callbacks/nobody/a-part-that-nobody-guesses", &good, &click, 404),
        ("an account without a callback", "POST", elsewhere, &good, &click, 404),
        ("no account", "POST", "/callbacks/capture/a-part-that-nobody-guesses", &good, &click, 404),
        ("no name", "POST", "/callbacks/%FF/a-part-that-nobody-guesses", &good, &click, 404),
        ("unsigned", "POST", CALLBACK, &String::new(), &click, 403),
        ("another nonce", "POST", "/weixin/bind", &other_nonce, &click, 403),
        ("old", "POST", CALLBACK, &old, &click, 403),
        ("from the future", "GET", CALLBACK, &ahead, &String::new(), 403),
        ("another method", "PUT", CALLBACK, &good, &click, 405),
        ("nothing", "POST", CALLBACK, &good, &String::new(), 400),
        ("a declaration", "POST", CALLBACK, &good, &format!("<!DOCTYPE xml>{click}"), 400),
        ("many laughs", "POST", CALLBACK, &good, &laughs, 400),
        ("too much", "POST", CALLBACK, &good, &huge, 413),
        ("sealed without a key", "POST", CALLBACK, &good, &"<xml><Encrypt>AA==</Encrypt></xml>".to_owned(), 400),
    ] {
        let reply = asked(method, path, query, body.as_bytes());
        assert_eq!(reply.status, status, "{name}: {reply:?}");
    }
    assert_eq!(told(&call(&server, CALLBACK, &click), "oABC"), "您iMSG的账号是iMSG-10001", "no number is lost");
}

#[test]
fn wechatpy_finds_its_account_behind_the_encryption() {
    let home = Home::new();
    let key = "aes_key = \"kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR\"";
    let server = home.start(&plan("http://127.0.0.1:1", key));
    script("wechat_callback.py", &[&format!("http://{}{CALLBACK}", server.address)]);
}

fn menu(config: &Path, server: Option<&Server>, provider: &str) -> Output {
    let mut command = Command::new(binary());
    command.args(["wechat", "menu", provider, "--config"]).arg(config);
    if let Some(server) = server {
        command.arg("--server").arg(server.address.to_string());
    }
    command.output().expect("it runs")
}

fn the_menu_is_made_through_a_node_or_without_one(mut place: Place) {
    let is_banned = Arc::new(AtomicBool::new(false));
    let banned = Arc::clone(&is_banned);
    let provider = Provider::start(move |asked| {
        let is_refused = asked.is_for(MENU) && banned.load(Ordering::SeqCst);
        Some(if is_refused { json!({ "errcode": 48001, "errmsg": "api unauthorized" }) } else { answer(asked) })
    });
    let declared = plan(&provider.url(), "");
    let server = place.start(&declared);
    let config = place.config();
    let made = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "menu 公众号\n");
    };
    let refused = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    made(menu(&config, Some(&server), "公众号"));
    for (code, why) in [
        ("nobody", "there is no provider \"nobody\""),
        ("capture", "provider \"capture\" is no official account"),
        ("silent", "provider \"silent\" has no token and callback_secret"),
    ] {
        let said = refused(menu(&config, Some(&server), code));
        assert!(said.contains(why), "{code}: {said}");
    }
    is_banned.store(true, Ordering::SeqCst);
    let said = refused(menu(&config, Some(&server), "公众号"));
    assert!(said.contains("WeChat did not make the menu: 48001 api unauthorized"), "{said}");
    is_banned.store(false, Ordering::SeqCst);
    assert!(server.terminate().success());
    made(menu(&config, None, "公众号"));
    let said = refused(menu(&config, None, "nobody"));
    assert!(said.contains("there is no provider \"nobody\""), "{said}");

    let sent = provider.asked(MENU);
    assert_eq!(sent.len(), 3);
    let entry = json!({ "type": "click", "name": "获取我的openID", "key": "get_openid" });
    for asked in &sent {
        assert_eq!(asked.target, format!("{MENU}?access_token=TOK"));
        assert_eq!(asked.json(), json!({ "button": [{ "name": "iMSG", "sub_button": [entry] }] }));
    }
    assert_eq!(provider.asked(GET_TOKEN).len(), 1, "the account has one token, whoever uses it");
}
