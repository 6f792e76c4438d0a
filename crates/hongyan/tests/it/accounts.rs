//! Accounts of the token API from outside: the administration API, the commands, plans, and what the first start makes.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{
    client,
    place::{Place, on_both_stores},
    server::{CAPTURE, Server, binary, plan},
};

on_both_stores!(
    the_commands_keep_accounts,
    csv_is_imported_row_by_row,
    being_disabled_and_a_new_password_end_tokens,
    plans_make_accounts_and_leave_their_passwords,
    the_first_start_makes_an_administrator,
    the_administration_api_refuses_in_words,
);

/// `hongyan account …` with this on standard input.
fn account(config: &Path, server: Option<&Server>, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(binary());
    command.arg("account").args(arguments).arg("--config").arg(config);
    if let Some(server) = server {
        command.arg("--server").arg(server.address.to_string());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    // It may end without having read.
    drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
    child.wait_with_output().expect("it ends")
}

/// Its standard output, where it succeeds.
fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The value of `key` in an output of `key value` lines.
fn value<'o>(output: &'o str, key: &str) -> &'o str {
    let found = output.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {key} in {output}"))
}

fn code(reply: &Value) -> i64 {
    reply["errorCode"].as_i64().unwrap_or_else(|| panic!("no code in {reply}"))
}

const OK: i64 = 0;
const NO_TOKEN: i64 = 10_005;
const WRONG_PASSWORD: i64 = 10_007;
const UNKNOWN: i64 = 10_006;

fn the_commands_keep_accounts(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let config = place.config();
    let name = "天存-system-1001";
    let run = |arguments: &[&str]| done(account(&config, Some(&server), arguments, ""));
    let added = run(&["add", name, "--per-hour", "7"]);
    let password = value(&added, "password").to_owned();
    assert_eq!((value(&added, "name"), value(&added, "per_hour"), value(&added, "role")), (name, "7", "user"));
    assert_eq!(code(&server.login(name, &password)), OK);
    let again = account(&config, Some(&server), &["add", name], "");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is an account of this name"));

    let changed = run(&["set", name, "--per-day", "9", "--role", "admin", "--available", "false"]);
    assert_eq!(
        ["per_hour", "per_day", "role", "available"].map(|key| value(&changed, key)),
        ["7", "9", "admin", "false"]
    );
    let listed: Value = serde_json::from_str(&run(&["list", "--json"])).expect("JSON");
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|account| &account["name"]).collect();
    assert_eq!(names, ["admin", name]);
    assert!(listed[1].get("password").is_none(), "{listed}");
    assert!(run(&["list"]).contains(name));

    run(&["disable", name]);
    assert_ne!(code(&server.login(name, &password)), OK);
    run(&["enable", name]);
    assert_eq!(code(&server.login(name, &password)), OK);
    done(account(&config, Some(&server), &["reset-password", name, "--password-stdin"], "new 密码\r\n"));
    assert_eq!(code(&server.login(name, &password)), WRONG_PASSWORD);
    assert_eq!(code(&server.login(name, "new 密码")), OK);
    run(&["rm", name]);
    assert_eq!(code(&server.login(name, "new 密码")), UNKNOWN);
    assert_eq!(account(&config, Some(&server), &["rm", name], "").status.code(), Some(1));

    let beside = account(&config, None, &["list"], "");
    assert_eq!(beside.status.code(), Some(1), "a node holds the store");
    assert!(String::from_utf8_lossy(&beside.stderr).contains("--server"));
    assert!(server.terminate().success());
    let alone = done(account(&config, None, &["add", "li", "--password-stdin"], "123"));
    assert!(!alone.contains("password"), "{alone}");
    assert!(done(account(&config, None, &["list"], "")).lines().any(|line| line.starts_with("li ")));
    assert_eq!(code(&place.start(&plan("", CAPTURE)).login("li", "123")), OK);
}

fn csv_is_imported_row_by_row(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let config = place.config();
    let text = "\u{feff}name,password,role,per_hour,per_day,available\r\n\"zhang, san\",\" 12,3\",admin,6,30,true\r\nli\r\nwang,p,king\r\n";
    let file = place.home().write("accounts.csv", text);
    let output = account(&config, Some(&server), &["import", &file.display().to_string(), "--json"], "");
    assert_eq!(output.status.code(), Some(1), "a row was refused");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let row = |n: usize| [&report["rows"][n]["line"], &report["rows"][n]["name"], &report["rows"][n]["result"]];
    assert_eq!(row(0), [&json!(2), &json!("zhang, san"), &json!("added")]);
    assert_eq!(row(1), [&json!(3), &json!("li"), &json!("added")]);
    assert_eq!(row(2), [&json!(4), &json!("wang"), &json!("refused")]);
    assert!(report["rows"][2]["detail"].as_str().expect("words").contains("role"), "{report}");
    assert!(report["rows"][0].get("password").is_none(), "{report}");
    assert_eq!(code(&server.login("zhang, san", " 12,3")), OK);
    assert_eq!(code(&server.login("li", report["rows"][1]["password"].as_str().expect("one was made"))), OK);
    let zhang = server.get("/v1/accounts/zhang,%20san").json();
    assert_eq!((&zhang["role"], &zhang["per_hour"], &zhang["per_day"]), (&json!("admin"), &json!(6), &json!(30)));

    let again = done(account(&config, Some(&server), &["import", "-"], "zhang,other\nli\nzhao,456\n"));
    let results: Vec<_> = again.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(results, ["added", "exists", "added"], "{again}");
    assert_eq!(code(&server.login("zhao", "456")), OK);
    let repeated = done(account(&config, Some(&server), &["import", "-"], "zhao,other\n"));
    assert!(repeated.contains("exists"), "{repeated}");
    assert_eq!(code(&server.login("zhao", "456")), OK, "an account that exists stays as it is");
}

fn being_disabled_and_a_new_password_end_tokens(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let made = server.administer("POST", "/v1/accounts", &json!({ "name": "zhang", "password": "123" }));
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.json().get("password").is_none(), "only one that was made is shown: {made:?}");
    let token = || server.login("zhang", "123")["token"].as_str().expect("a token").to_owned();
    let asks = |token: &str| {
        code(&client::request(server.address, "GET", &format!("/api/query?token={token}"), &[], b"").json())
    };
    let (one, two) = (token(), token());
    assert_eq!((asks(&one), asks(&two)), (OK, OK));
    assert_eq!(server.administer("PATCH", "/v1/accounts/zhang", &json!({ "per_hour": 6 })).json()["per_hour"], 6);
    assert_eq!(asks(&one), OK, "another limit ends nothing");
    assert_eq!(server.administer("PATCH", "/v1/accounts/zhang", &json!({ "enabled": false })).status, 200);
    assert_eq!((asks(&one), asks(&two)), (NO_TOKEN, NO_TOKEN));
    assert_eq!(server.administer("PATCH", "/v1/accounts/zhang", &json!({ "enabled": true })).status, 200);
    assert_eq!(asks(&one), NO_TOKEN, "ended is ended");
    let three = token();
    let reset = server.administer("POST", "/v1/accounts/zhang/password", &json!({})).json();
    assert_eq!(asks(&three), NO_TOKEN);
    assert_eq!(code(&server.login("zhang", reset["password"].as_str().expect("one was made"))), OK);
}

fn plans_make_accounts_and_leave_their_passwords(mut place: Place) {
    let declared = |per_hour: u32| {
        let account = format!(
            "[[account]]\nname = \"zhang\"\npassword = \"first\"\nper_hour = {per_hour}\n[[account]]\nname = \"li\"\n"
        );
        format!("{}{account}", plan("", CAPTURE))
    };
    let server = place.start(&declared(7));
    assert_eq!(code(&server.login("zhang", "first")), OK);
    let said = server.log().join("\n");
    let made = said.split("account li, shown this once: ").nth(1).and_then(|rest| rest.lines().next());
    assert_eq!(code(&server.login("li", made.expect("a password for whom the plan has none"))), OK);
    assert!(!said.contains("account admin"), "accounts are declared: {said}");
    assert_eq!(server.administer("GET", "/v1/accounts/zhang", &Value::Null).json()["per_hour"], 7);
    let changes = [
        ("/password", "POST", json!({ "password": "second" })),
        ("", "PATCH", json!({ "per_hour": 8, "per_day": 99 })),
    ];
    for (path, method, body) in changes {
        assert_eq!(server.administer(method, &format!("/v1/accounts/zhang{path}"), &body).status, 200);
    }
    assert!(server.terminate().success());

    let server = place.start(&declared(7));
    assert_eq!(server.get("/v1/accounts/zhang").json()["per_hour"], 8, "the same plan undoes no later change");
    assert!(server.terminate().success());
    let server = place.start(&declared(9));
    let zhang = server.get("/v1/accounts/zhang").json();
    assert_eq!((&zhang["per_hour"], &zhang["per_day"]), (&json!(9), &json!(99)), "what it does not name stays");
    assert_eq!(code(&server.login("zhang", "first")), WRONG_PASSWORD);
    assert_eq!(code(&server.login("zhang", "second")), OK);
    assert!(!server.log().join("\n").contains("shown this once"));
}

fn the_first_start_makes_an_administrator(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let said = server.log().join("\n");
    let password = said.split("has a password, shown this once: ").nth(1).and_then(|rest| rest.lines().next());
    let token = server.login("admin", password.expect("a password"))["token"].as_str().expect("a token").to_owned();
    assert_eq!(code(&server.login("admin", "123")), WRONG_PASSWORD);
    let added = server.imsg("register", &json!({ "token": token, "username": "zhang", "password": "1" }));
    assert_eq!(code(&added), OK, "an administrator may: {added}");
    assert_eq!(server.get("/v1/accounts/admin").json()["role"], "admin");
    for name in ["admin", "zhang"] {
        assert_eq!(server.administer("DELETE", &format!("/v1/accounts/{name}"), &Value::Null).status, 204);
    }
    assert!(server.terminate().success());
    let server = place.start(&plan("", CAPTURE));
    assert!(!server.log().join("\n").contains("shown this once"), "once");
    assert_eq!(server.get("/v1/accounts").json()["accounts"], json!([]));
}

fn the_administration_api_refuses_in_words(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    for (name, phone) in [("b", "13800000001"), ("c", ""), ("存/a", "13800000005")] {
        let body = json!({ "name": name, "password": "1", "phone": phone });
        assert_eq!(server.administer("POST", "/v1/accounts", &body).status, 201);
    }
    let first = server.get("/v1/accounts?limit=2").json();
    assert_eq!((&first["accounts"][1]["name"], &first["next"]), (&json!("b"), &json!("b")));
    let second = server.get("/v1/accounts?limit=2&after=b").json();
    assert_eq!((&second["accounts"][1]["name"], &second["next"]), (&json!("存/a"), &Value::Null));
    assert_eq!(server.get("/v1/accounts/%E5%AD%98%2Fa").json()["phone"], "13800000005");
    for (method, path, body, status) in [
        ("POST", "", json!({ "name": "b" }), 409),
        ("POST", "", json!({ "name": "d", "phone": "13800000001" }), 409),
        ("POST", "", json!({ "name": " " }), 400),
        ("POST", "", json!({ "name": "d", "role": "root" }), 400),
        ("POST", "", json!({ "name": "d", "password": "" }), 400),
        ("POST", "", json!({ "name": "d", "per_hour": -1 }), 400),
        ("POST", "", json!({ "name": "d", "perhour": 1 }), 400),
        ("POST", "", json!([]), 400),
        ("PATCH", "/b", json!({ "password": "x" }), 400),
        ("PATCH", "/b", json!({ "per_day": 4_000_000_000u32 }), 400),
        ("PATCH", "/nobody", json!({}), 404),
        ("DELETE", "/nobody", Value::Null, 404),
        ("GET", "/nobody", Value::Null, 404),
        ("POST", "/nobody/password", json!({}), 404),
        ("GET", "?limit=0", Value::Null, 400),
        ("PUT", "/b", Value::Null, 405),
    ] {
        let reply = server.administer(method, &format!("/v1/accounts{path}"), &body);
        assert_eq!(
            (reply.status, reply.json()["status"].as_u64()),
            (status, Some(u64::from(status))),
            "{method} {path} {body}"
        );
        assert!(reply.json()["detail"].is_string(), "{reply:?}");
    }
    assert_eq!(server.post("/v1/accounts", &json!({ "name": "d" })).status, 401);
    let token = server.login("b", "1")["token"].as_str().expect("a token").to_owned();
    let content = json!({ "subject": "hello", "text": "您好" });
    let sent = server.imsg("send", &json!({ "token": token, "to": "a@b.com", "method": "smtp", "content": content }));
    assert_eq!(code(&sent), OK, "{sent}");
    let message = server.get(&format!("/v1/messages/{}", sent["msgId"].as_str().expect("an id"))).json();
    assert_eq!((&message["app"], &message["dialect"]), (&json!("b"), &json!("imsg")));
    let log = server.log().join("\n");
    assert!(!log.contains("13800000005") && !log.contains(&token), "{log}");
}
