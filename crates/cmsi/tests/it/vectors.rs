//! The cases observed at the reference server, replayed. What is answered differently on purpose stands in one table, with the
//! decision of the contract that says so; what is replayed elsewhere stands in another. No case can be forgotten.

use std::{collections::HashMap, time::Duration};

use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use hongyan_core::{
    content,
    delivery::Reason,
    setup::{ChannelKind, MailSuccessCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::world::{CLOCK, World, by_app1, mail, msg};

#[derive(Deserialize)]
struct Case {
    name: String,
    request: CaseRequest,
    status: u16,
    response: Value,
    outgoing: Vec<Value>,
}

#[derive(Deserialize)]
struct CaseRequest {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: String,
    clock: i64,
}

/// Cases that are replayed elsewhere, with the services that they need.
const LEFT_OUT: [(&str, &str); 4] = [
    ("auth: bk_token good (app not whitelisted)", "login.rs"),
    ("mail: dest_url ok + unknown", "hook.rs"),
    ("mail: dest_url not json", "hook.rs"),
    ("mail: dest_url with attachment", "hook.rs: the reference sends nothing on"),
];

/// What a case is answered instead, by decision.
enum Instead {
    /// This failure text, with no data.
    Fails(&'static str),
    /// These in `data.username_check.invalid`.
    Invalid(&'static [&'static str]),
    /// This failure text, with these in `data.username_check.invalid`.
    Refused(&'static str, &'static [&'static str]),
    /// Success.
    Succeeds,
    /// As observed but for this.
    But(fn(&mut Value)),
}

use Instead::{But, Fails, Invalid, Refused, Succeeds};

/// Deliberate deviations from the reference: case, answer, decision. Some more hold for every case: a success says "OK"
/// (decision 2), a reply has a request id even where the reference forgot it (decision 2) and no sixth key (decision 6).
const DEVIATIONS: [(&str, Instead, &str); 21] = [
    (
        "mail: receiver tab not separator",
        Fails(
            "User message failed to send. The following users contact format are incorrect: a@b.com\tc@d.com, please check",
        ),
        "7: a TAB between two is no address",
    ),
    (
        "mail: receiver list item with comma not split",
        Fails(
            "User message failed to send. The following users contact format are incorrect: a@b.com,c@d.com, please check",
        ),
        "7: a comma inside a list item is no address",
    ),
    (
        "mail: receiver list with int",
        Fails("User message failed to send. The following users contact format are incorrect: 1, please check"),
        "3: a list item that is no string",
    ),
    (
        "mail: '@' alone passes",
        Fails("User message failed to send. The following users contact format are incorrect: @, please check"),
        "7: addresses are really checked",
    ),
    ("mail: some without email", Invalid(&["nomail"]), "5: everyone who was not delivered"),
    ("mail: unknown and no email", Invalid(&["nobody", "nomail", "nobody2"]), "5: everyone who was not delivered"),
    ("mail: all without email", Invalid(&["nomail"]), "5: everyone who was not delivered"),
    ("mail: nothing configured, unknown user", Invalid(&["admin", "nobody"]), "5: everyone who was not delivered"),
    ("mail: attachment png not an image", Succeeds, "3: an image that is none is sent as application/octet-stream"),
    ("mail: attachment bad base64", Fails("content [content] Must be base64"), "3: attachment content"),
    (
        "mail: attachments 'str' item",
        Fails("attachments [attachments] Must be the specified parameter data type dict"),
        "3: an attachment that is no object",
    ),
    (
        "wx: qy error",
        But(|reply| reply["data"] = json!({"username_check": {"invalid": ["wx1", "wx2"]}})),
        "5: everyone who was not delivered; of the provider's answer the errmsg, which is in the text",
    ),
    ("wx: qy network error", Succeeds, "4: the message is durable and will be tried again"),
    (
        "wx: mp one of two fails",
        Refused("Some users failed to send wechat message. The following users were refused: wx2", &["wx2"]),
        "3: some refused by the provider",
    ),
    (
        "wx: no corpid",
        Refused("Unfinished interface shall be improved by the component developer", &["wx1", "wx2"]),
        "3: no channel of that kind; one without a corp ID cannot be declared",
    ),
    (
        "sms: +86 phone",
        Fails(
            "User message failed to send. The following users contact format are incorrect: +8613800000000, please check",
        ),
        "3: a bad phone",
    ),
    ("sms: provider ErrorCode", Refused("Failed to send sms", &["138"]), "3: all refused by the provider"),
    ("voice: usernames", But(without_call_ids), "4: a call that is still to be made has no id"),
    (
        "voice: list no phone",
        But(|reply| {
            without_call_ids(reply);
            reply["data"]["successed"][0]["mobile_phone"] = json!("13800000001");
        }),
        "4: a call that is still to be made has no id; 7: an empty number is none; the directory knows one",
    ),
    (
        "voice: some unknown",
        But(|reply| {
            without_call_ids(reply);
            reply["data"]["username_check"]["invalid"] = json!(["nobody"]);
        }),
        "4: a call that is still to be made has no id; 5: everyone who was not delivered",
    ),
    (
        "voice: one fails",
        But(|reply| {
            without_call_ids(reply);
            let call = &mut reply["data"]["failed"][0];
            (call["callid"], call["result"], call["errmsg"]) = (json!(""), json!(1), json!("recipient_refused"));
            reply["message"] = json!("Some users failed to send voice. The following users were refused: us");
            reply["data"]["username_check"]["invalid"] = json!(["us"]);
        }),
        "4: a call that is still to be made has no id, and the reason why one failed is ours, whoever the provider is; 3: some \
         refused by the provider; 5: everyone who was not delivered",
    ),
];

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../vectors/cmsi.json")).expect("the cases are JSON")
}

fn deviation(case: &Case) -> Option<&'static Instead> {
    DEVIATIONS.iter().find(|(name, ..)| *name == case.name).map(|(_, instead, _)| instead)
}

/// What is to be answered: the observed reply with the deviations put over it.
fn expected(case: &Case) -> Value {
    let mut reply = case.response.clone();
    if case.status != 200 {
        return reply;
    }
    reply["request_id"] = json!("<32 lower hex>");
    reply.as_object_mut().expect("an object").remove("params");
    let is_success = match deviation(case) {
        Some(Fails(text)) => {
            (reply["message"], reply["data"]) = (json!(text), Value::Null);
            false
        }
        Some(Refused(text, users)) => {
            (reply["message"], reply["data"]) = (json!(text), json!({"username_check": {"invalid": users}}));
            false
        }
        Some(Succeeds) => {
            reply["data"] = json!({"username_check": {"invalid": []}});
            true
        }
        Some(Invalid(users)) => {
            reply["data"]["username_check"]["invalid"] = json!(users);
            false
        }
        Some(But(change)) => {
            change(&mut reply);
            reply["result"] == json!(true)
        }
        None => reply["result"] == json!(true),
    };
    reply["result"] = json!(is_success);
    match (is_success, deviation(case)) {
        (true, _) => (reply["code"], reply["message"]) = (json!(0), json!("OK")),
        (false, Some(_)) => reply["code"] = json!(1_306_000),
        (false, None) => {}
    }
    reply
}

/// Takes the provider's ids from the calls that were made.
fn without_call_ids(reply: &mut Value) {
    for call in reply["data"]["successed"].as_array_mut().expect("a list") {
        call["callid"] = json!("");
    }
}

/// What a case's name says was different when it was observed.
fn world_of(name: &str) -> World {
    let world = World::with(|plan| {
        if name == "mail: nothing configured, unknown user" {
            plan.channels.clear();
        } else if name == "wx: no corpid" || name.starts_with("wx: mp ") {
            plan.channels.retain(|channel| channel.kind != ChannelKind::Wecom);
        }
        for (begin, kind) in [
            ("wx: mp ", ChannelKind::Wechat),
            ("sms: ", ChannelKind::Sms),
            ("msg: sms ", ChannelKind::Sms),
            ("voice: ", ChannelKind::Voice),
        ] {
            if name.starts_with(begin) {
                plan.add(kind);
            }
        }
        if name == "wx: qy network error" {
            plan.settings.cmsi_wait = Duration::ZERO;
        }
    });
    let refused: &[&str] = match name {
        "wx: mp one of two fails" => &["wx2"],
        "sms: provider ErrorCode" => &["+86138"],
        "voice: one fails" => &["+12025550100"],
        _ => &[],
    };
    refused.iter().for_each(|address| world.store.refuse(address));
    if name == "wx: qy error" {
        let words = "81013 user & party & tag all invalid";
        ["wx1", "wx2"].iter().for_each(|id| world.store.refuse_for(id, Reason::RecipientRefused, words));
    }
    world
}

async fn run(case: &Case) -> World {
    let world = world_of(&case.name);
    ask(case, &world).await;
    world
}

/// A case by its name: asked of `world`, it is answered as observed or decided, and the mail that it sends is right.
pub async fn replay(name: &str, world: &World) {
    let case = named(name);
    ask(&case, world).await;
    compare_outgoing(&case, world);
}

/// What the reference sent on in a case, and what it answered then.
pub fn relayed(name: &str) -> (Vec<Value>, Value) {
    let case = named(name);
    (case.outgoing, case.response)
}

fn named(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).expect("a case")
}

async fn ask(case: &Case, world: &World) {
    assert_eq!(case.request.clock, CLOCK, "{}", case.name);
    let mut request = Request::builder().method(&*case.request.method).uri(&case.request.path);
    for (name, value) in &case.request.headers {
        request = request.header(name, value);
    }
    let reply = world.request(request.body(Body::from(case.request.body.clone())).expect("a request")).await;
    assert_eq!(reply.status.as_u16(), case.status, "{}", case.name);
    if case.response == json!("") {
        assert!(reply.bytes.is_empty(), "{}", case.name);
        return;
    }
    let mut answered = reply.json();
    if case.status == 200 {
        reply.assert_five_keys();
        answered["request_id"] = json!("<32 lower hex>");
        for item in answered["data"].as_array_mut().into_iter().flatten() {
            assert!(STANDARD.decode(item["icon"].as_str().expect("a text")).is_ok_and(|icon| !icon.is_empty()));
            item["icon"] = json!("...");
        }
    }
    assert_eq!(answered, expected(case), "{}", case.name);
}

#[tokio::test]
async fn every_case_is_answered_as_observed_or_decided() {
    let cases = cases();
    let is_left_out = |name: &str| LEFT_OUT.iter().any(|(left_out, _)| *left_out == name);
    for listed in LEFT_OUT.iter().map(|(name, _)| name).chain(DEVIATIONS.iter().map(|(name, ..)| name)) {
        assert_eq!(cases.iter().filter(|case| case.name == *listed).count(), 1, "no such case: {listed}");
    }
    let (mut ran, mut left_out) = (0, 0);
    for case in &cases {
        if is_left_out(&case.name) {
            left_out += 1;
            continue;
        }
        let world = run(case).await;
        compare_outgoing(case, &world);
        ran += 1;
    }
    assert_eq!((ran, left_out, cases.len()), (108, 4, 112));
}

/// Compares what was stored with what the reference sent on, as far as it is contract.
fn compare_outgoing(case: &Case, world: &World) {
    let name = &case.name;
    let is_sent = match deviation(case) {
        Some(Fails(_)) => false,
        Some(Succeeds) => return,
        _ => !case.outgoing.is_empty(),
    };
    assert_eq!(world.store.count(), usize::from(is_sent), "{name}");
    if !is_sent {
        return;
    }
    let message = &world.store.batches()[0].message;
    assert_eq!((message.user.as_str(), message.dialect.as_str()), ("admin", "cmsi"), "{name}");
    let to = |part: &str| -> Vec<&Value> {
        let url = |sent: &&Value| sent["url"].as_str().is_some_and(|url| url.contains(part));
        case.outgoing.iter().filter(url).collect()
    };
    let (wecom, account) = (to("/cgi-bin/message/send?"), to("/cgi-bin/message/template/send?"));
    if case.outgoing[0]["smtp"].is_string() {
        compare_mail(name, world, &case.outgoing[0]);
    } else if let [sent] = wecom[..] {
        compare_wecom(name, world, sent, &case.outgoing[0]);
    } else if !account.is_empty() {
        compare_account(name, world, &account);
    } else {
        assert!(["sms", "voice", "msg: sms ok"].iter().any(|kind| name.starts_with(kind)), "{name}");
    }
}

/// A call of WeCom: to whom, by which app, and the text as the reference lays it out.
fn compare_wecom(name: &str, world: &World, sent: &Value, token: &Value) {
    let sent: Value = serde_json::from_str(sent["data"].as_str().expect("a text")).expect("JSON");
    let (notice, reached) = world.store.last_notice();
    assert_eq!(sent["touser"], json!(reached.join("|")), "{name}");
    let mut lines = vec![notice.heading, notice.message];
    lines.extend((!notice.date.is_empty()).then(|| format!("Date: {}", notice.date)));
    lines.extend((!notice.remark.is_empty()).then_some(notice.remark));
    assert_eq!(sent["text"]["content"], json!(lines.join("\n")), "{name}");
    let agent = notice.agent.unwrap_or_default();
    assert_eq!(sent["agentid"], json!(agent.id.unwrap_or(1_000_002)), "{name}");
    let secret = agent.secret.as_deref().and_then(|sealed| sealed.rsplit(':').next());
    assert_eq!(token["params"]["corpsecret"], json!(secret.unwrap_or("cs")), "{name}");
}

/// Calls of an official account, one for each openid (and one again where its token was over), with its template's fields.
fn compare_account(name: &str, world: &World, sent: &[&Value]) {
    let (notice, reached) = world.store.last_notice();
    let bodies = sent.iter().map(|sent| serde_json::from_str(sent["data"].as_str().expect("a text")).expect("JSON"));
    let mut bodies: Vec<Value> = bodies.collect();
    bodies.dedup();
    let to: Vec<_> = bodies.iter().map(|body| body["touser"].as_str().expect("a text")).collect();
    assert_eq!(reached, to, "{name}");
    let fields = json!({
        "first": {"value": notice.heading}, "keyword1": {"value": notice.message}, "keyword2": {"value": notice.date},
        "remark": {"value": notice.remark},
    });
    for body in &bodies {
        assert_eq!((&body["data"], &body["url"]), (&fields, &json!(notice.url)), "{name}");
    }
}

/// A mail: envelope, addresses, subject, text, attachments.
fn compare_mail(name: &str, world: &World, sent: &Value) {
    let (_, mail, reached, bytes) = world.store.last();
    let text = sent["msg"].as_str().expect("a mail");
    let (head, parts) = parse(text);
    // The provider's sender where the request names nobody.
    let from = mail.from.as_ref().expect("settled at acceptance");
    let written = if from.name.is_empty() { from.address.clone() } else { format!("{} <{}>", from.name, from.address) };
    assert_eq!(written, head["From"], "{name}");
    // Decision 6: recipients are named once.
    let mut recipients: Vec<_> = sent["rcpt"].as_array().expect("a list").clone();
    recipients.dedup();
    assert_eq!(json!(reached), json!(recipients), "{name}");
    assert_eq!(split(&head["To"]), mail.to, "{name}");
    assert_eq!(split(&head["Cc"]), mail.cc, "{name}");
    assert_eq!(head["Subject"], format!("=?utf-8?q?{}?=", mail.subject), "{name}");
    let (kind, body) = match &mail.body {
        content::Body::Html(text) => ("text/html", text),
        content::Body::Text(text) => ("text/plain", text),
    };
    let (body_head, body_bytes) = &parts[0];
    assert!(body_head["Content-Type"].starts_with(kind), "{name}");
    assert_eq!(body.as_bytes(), body_bytes, "{name}");
    assert_eq!(mail.attachments.len(), parts.len() - 1, "{name}");
    for ((attachment, bytes), (head, sent)) in mail.attachments.iter().zip(bytes.iter()).zip(&parts[1..]) {
        assert_eq!(bytes, sent, "{name}");
        let word = format!("=?utf-8?b?{}?=", STANDARD.encode(&attachment.filename));
        let disposition = if attachment.inline { "inline" } else { "attachment" };
        assert_eq!(head["Content-Disposition"], format!("{disposition}; filename=\"{word}\""), "{name}");
        let id = head.get("Content-ID").map_or("", |id| id.trim_matches(['<', '>']));
        assert_eq!(attachment.content_id, id, "{name}");
        // Decision 6: right MIME types. The reference knows those of images alone.
        let kind = head["Content-Type"].split(';').next().unwrap_or("");
        assert!(kind == "image/octet-stream" || kind == attachment.mime, "{name}");
    }
}

fn split(header: &str) -> Vec<String> {
    // The case of duplicates: decision 6 again.
    let mut names: Vec<String> = header.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.dedup();
    names
}

type Head = HashMap<String, String>;

/// The headers of a mail and its decoded parts.
fn parse(text: &str) -> (Head, Vec<(Head, Vec<u8>)>) {
    let (head, rest) = text.split_once("\n\n").expect("a head");
    let head = headers(head);
    let boundary = head["Content-Type"].split('"').nth(1).expect("a boundary").to_owned();
    let part = |part: &str| {
        let (head, body) = part.trim_start_matches('\n').split_once("\n\n").unwrap_or((part, ""));
        (headers(head), STANDARD.decode(body.replace('\n', "")).expect("base64"))
    };
    let parts = rest.split(&format!("--{boundary}")).filter(|p| p.len() > 3).map(part).collect();
    (head, parts)
}

fn headers(head: &str) -> Head {
    head.lines().filter_map(|line| line.split_once(':')).map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect()
}

#[tokio::test]
async fn the_success_code_is_a_number_unless_the_setting_asks_for_the_documents_text() {
    for (setting, code) in [(MailSuccessCode::Number, json!(0)), (MailSuccessCode::Text, json!("00"))] {
        let world = World::with(|plan| plan.settings.cmsi_mail_success_code = setting);
        assert_eq!(world.post("send_mail", &mail(json!({}))).await.code(), code);
        assert_eq!(world.post("send_msg", &msg(json!({}))).await.code(), code);
        assert_eq!(world.post("get_msg_type", &mail(json!({}))).await.code(), json!(0), "not a mail");
        let data = json!({"heading": "h", "message": "m"});
        let weixin = by_app1(json!({"receiver": "wx1", "data": data}));
        assert_eq!(world.post("send_weixin", &weixin).await.code(), json!(0), "not a mail");
        assert_eq!(world.post("send_msg", &msg(json!({"msg_type": "weixin"}))).await.code(), json!(0), "not a mail");
        assert_eq!(world.post("send_mail", &mail(json!({"title": ""}))).await.code(), json!(1_306_000));
    }
}
