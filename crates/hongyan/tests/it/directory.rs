//! The directory from outside: plans, imports by the command with a node and without one, and the administration API.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{
    client::{self, Reply},
    place::{Place, on_both_stores},
    server::{ADMIN, CAPTURE, Server, binary, plan},
};

on_both_stores!(
    a_plan_has_a_tree_and_one_that_does_not_fit_is_refused_whole,
    an_import_is_tried_and_then_done,
    what_is_wrong_is_told_line_by_line_and_nothing_is_done,
    exports_of_blueking_and_of_ldap_are_read,
    what_no_column_tells_of_stays,
    without_a_node_the_store_itself_is_imported_into,
    one_thing_is_changed_at_a_time,
    the_administration_api_refuses_in_words,
);

/// `hongyan directory …`
fn directory(config: &Path, server: Option<&Server>, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("directory").args(arguments).arg("--config").arg(config).stdin(Stdio::null());
    if let Some(server) = server {
        command.arg("--server").arg(server.address.to_string());
    }
    command.output().expect("it runs")
}

/// Its standard output, where it succeeds.
fn done(output: Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Its standard output, where it says that something is wrong.
fn refused(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The numbers of a row of what an import prints: listed, new, changed, same.
fn counts(page: &str, row: &str) -> Vec<u64> {
    let found = page.lines().find_map(|line| line.strip_prefix(row));
    let found = found.unwrap_or_else(|| panic!("no {row} in {page}"));
    found.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

fn codes(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|one| one["code"].as_str().expect("a code")).collect()
}

/// Whom a message to these would reach.
fn reached(server: &Server, asked: &Value) -> Value {
    let reply = server.administer("POST", "/v1/directory/who", asked);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Files as they are posted.
fn upload(server: &Server, query: &str, files: &[(&str, &str)]) -> Reply {
    let mut body = String::new();
    for (name, text) in files {
        body += &format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}.csv\"\r\n\r\n{text}\r\n"
        );
    }
    body += "--b--\r\n";
    let token = format!("Bearer {ADMIN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "multipart/form-data; boundary=b")];
    client::request(server.address, "POST", &format!("/v1/directory/import{query}"), &headers, body.as_bytes())
}

const TREE: &str = r#"
[[department]]
code = "RD2"
parent = "RD"
[[department]]
code = "HQ"
name = "总公司"
[[department]]
code = "RD"
name = "研发部"
parent = "HQ"
[[post]]
code = "P1"
[[role]]
code = "R1"
[[user]]
code = "zhang"
departments = ["RD2"]
[[user]]
code = "li"
departments = ["HQ"]
posts = ["P1"]
roles = ["R1"]
[[user]]
code = "wang"
roles = ["R1"]
enabled = false
"#;

fn a_plan_has_a_tree_and_one_that_does_not_fit_is_refused_whole(mut place: Place) {
    let planned = |more: &str| format!("{}{TREE}{more}", plan("", CAPTURE));
    let server = place.start(&planned(""));
    let departments = server.get("/v1/directory/departments").json();
    let group = |code: &str, name: &str, parent: Option<&str>| match parent {
        Some(parent) => json!({ "code": code, "name": name, "parent": parent }),
        None => json!({ "code": code, "name": name }),
    };
    let tree = json!([group("HQ", "总公司", None), group("RD", "研发部", Some("HQ")), group("RD2", "RD2", Some("RD"))]);
    assert_eq!(departments, json!({ "groups": tree }));
    let li = server.get("/v1/directory/users/li").json();
    assert_eq!([&li["departments"], &li["posts"], &li["roles"]], [&json!(["HQ"]), &json!(["P1"]), &json!(["R1"])]);
    for (asked, who) in [
        (json!({ "dept": ["HQ"] }), &["li", "zhang"][..]),
        (json!({ "dept": ["RD"] }), &["zhang"]),
        (json!({ "dept": ["HQ"], "exact": true }), &["li"]),
        (json!({ "dept": ["HQ", "RD2"], "post": ["P1"], "role": ["R1"], "user": ["li"] }), &["li", "zhang"]),
        (json!({ "user": ["wang"] }), &[]),
        (json!({ "everyone": true }), &["admin", "li", "nomail", "yunchao", "zhang"]),
    ] {
        let found = reached(&server, &asked);
        let mut people = codes(&found["people"]);
        people.sort_unstable();
        assert_eq!((people, found["count"].as_u64()), (who.to_vec(), Some(who.len() as u64)), "{asked}");
    }
    assert!(server.terminate().success());

    let config = place.config();
    for (more, words) in [
        ("[[user]]\ncode = \"zhao\"\ndepartments = [\"D9\"]", &["zhao", "department \"D9\"", "does not exist"][..]),
        ("[[department]]\ncode = \"X\"\nparent = \"D9\"\n[[role]]\ncode = \"R2\"", &["department \"X\"", "\"D9\""]),
        ("[[account]]\nname = \"new\"\n[[user]]\ncode = \"zhao\"\nposts = [\"P9\"]", &["zhao", "post \"P9\""]),
    ] {
        let file = place.home().write("wrong.toml", &planned(more));
        let serve = Command::new(binary()).arg("serve").arg("--config").arg(&config).arg("--plan").arg(file).output();
        let output = serve.expect("it runs");
        let said = text(&output.stderr);
        assert!(
            !output.status.success()
                && words.iter().all(|word| said.contains(&word.replace('"', "\\\"")) || said.contains(word)),
            "{said}"
        );
    }
    let server = place.start(&planned(""));
    assert_eq!(codes(&server.get("/v1/directory/roles").json()["groups"]), ["R1"], "nothing of such a plan is done");
    assert_eq!(server.get("/v1/accounts/new").status, 404);
    assert_eq!(server.get("/v1/directory/users/zhao").status, 404);
}

const DEPARTMENTS: &str = "code,name,parent\nD2,Ward,D1\nD1,Hospital,\n";
const USERS: &str = "\u{feff}code,name,email,phone,wecom,openid,departments,posts,roles,enabled\r\n\
    a,\"Zhang, San\",a@x.cn,13800000001,wa,oa,D1;D2,P1,R1,true\r\n\
    b,李四,,,,,D2,,,\r\n\
    c,,,,,,D2,,,false\r\n";

fn an_import_is_tried_and_then_done(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let config = place.config();
    let write = |name: &str, text: &str| place.home().write(name, text).display().to_string();
    let (users, departments) = (write("users.csv", USERS), write("departments.csv", DEPARTMENTS));
    let (posts, roles) = (write("posts.csv", "code,name\nP1,Nurse\n"), write("roles.csv", "code\nR1\n"));
    let files = ["--users", &users, "--departments", &departments, "--posts", &posts, "--roles", &roles];
    let run = |more: &[&str]| directory(&config, Some(&server), &[&["import"], &files[..], more].concat());

    let tried = run(&[]);
    assert!(text(&tried.stderr).contains("nothing was changed"), "{}", text(&tried.stderr));
    let tried = done(tried);
    assert_eq!((counts(&tried, "groups"), counts(&tried, "users")), (vec![4, 4, 0, 0], vec![3, 3, 0, 0]));
    assert_eq!(server.get("/v1/directory/users/a").status, 404, "it was a try");
    let applied = done(run(&["--apply"]));
    assert_eq!((counts(&applied, "groups"), counts(&applied, "users")), (vec![4, 4, 0, 0], vec![3, 3, 0, 0]));
    let wanted = json!({
        "code": "a", "name": "Zhang, San", "email": "a@x.cn", "phone": "+8613800000001", "wecom": "wa", "openid": "oa",
        "departments": ["D1", "D2"], "posts": ["P1"], "roles": ["R1"], "enabled": true,
    });
    assert_eq!(server.get("/v1/directory/users/a").json(), wanted);
    assert_eq!(server.get("/v1/directory/users/c").json()["enabled"], false);
    assert_eq!(server.get("/v1/directory/users/admin").json()["email"], "admin@bk.com", "whom no file names stays");
    let again = done(run(&["--apply"]));
    assert_eq!((counts(&again, "groups"), counts(&again, "users")), (vec![4, 0, 0, 4], vec![3, 0, 0, 3]));

    write("users.csv", &USERS.replace("b,李四,,,,,D2,,,", "b,李四,b@x.cn,,,,D1,,,").replace("false", "true"));
    write("departments.csv", "code,name,parent\nD1,Hospital,\nD2,Ward Two,D1\nD3,Lab,D2\n");
    let report: Value = serde_json::from_str(&done(run(&["--json"]))).expect("JSON");
    assert_eq!(report["users"], json!({ "listed": 3, "new": 0, "changed": 2 }));
    assert_eq!(report["groups"], json!({ "listed": 5, "new": 1, "changed": 1 }));
    let members = |dept: &str| codes(&reached(&server, &json!({ "dept": [dept] }))["people"]).len();
    assert_eq!((members("D1"), members("D2")), (2, 2), "that was a try, too");
    done(run(&["--apply"]));
    assert_eq!((members("D1"), members("D2")), (3, 2), "b has left D2, c is enabled");

    let shown = done(directory(&config, Some(&server), &["show", "user", "b"]));
    assert!(shown.contains("code b\n") && shown.contains("departments D1\n"), "{shown}");
    let shown = done(directory(&config, Some(&server), &["show", "department", "D1"]));
    assert!(
        shown.contains("name Hospital\n") && shown.contains("below 2\n") && shown.contains("people 3\n"),
        "{shown}"
    );
    let who = directory(&config, Some(&server), &["who", "--dept", "D2", "--user", "b", "--user", "nobody"]);
    assert!(text(&who.stderr).contains("nobody"), "{}", text(&who.stderr));
    assert!(done(who).starts_with("people 3\n"));
}

fn what_is_wrong_is_told_line_by_line_and_nothing_is_done(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let config = place.config();
    let users = place.home().write(
        "people.csv",
        "code,name,email,phone,departments,roles,enabled\r\n\
         good,,,,D1,,\r\n\
         \"mail\",\"two\r\nlines\",nobody,,,,\r\n\
         \r\n\
         phone,,,12x,,,perhaps\r\n\
         good,,,,,,\r\n\
         ,,a@x.cn,,,,\r\n\
         far,,,,D9,R9,\r\n\
         more,,,,,,,,too,many\r\n\
         near,,,,D9,,\r\n",
    );
    let departments = place.home().write("tree.csv", "code,name,parent\nD1,,\nD2,,D8\nD1,,\n");
    let (users, departments) = (users.display().to_string(), departments.display().to_string());
    let files = ["import", "--users", &users, "--departments", &departments];
    for apply in [&[][..], &["--apply"]] {
        let output = directory(&config, Some(&server), &[&files[..], apply].concat());
        assert!(text(&output.stderr).contains("nothing was changed"), "{}", text(&output.stderr));
        let said = refused(output);
        let wanted: [(&str, u32, &[&str]); 11] = [
            (&departments, 3, &["no department \"D8\""]),
            (&departments, 4, &["department \"D1\"", "line 2"]),
            (&users, 3, &["\"mail\"", "name", "control"]),
            (&users, 3, &["\"mail\"", "email \"nobody\""]),
            (&users, 6, &["\"phone\"", "enabled"]),
            (&users, 6, &["\"phone\"", "12x"]),
            (&users, 7, &["\"good\"", "line 2"]),
            (&users, 8, &["the code is missing"]),
            (&users, 9, &["no department \"D9\"", "1 more"]),
            (&users, 9, &["no role \"R9\""]),
            (&users, 10, &["more cells"]),
        ];
        for (file, line, words) in wanted {
            let start = format!("{file}:{line}: ");
            let is_told = |told: &str| told.starts_with(&start) && words.iter().all(|word| told.contains(word));
            assert!(said.lines().any(is_told), "{start}{words:?} in\n{said}");
        }
        assert_eq!(said.lines().count(), wanted.len(), "{said}");
    }
    let circle = place.home().write("tree.csv", "code,parent\nA,B\nB,C\nC,A\n").display().to_string();
    let said = refused(directory(&config, Some(&server), &["import", "--departments", &circle, "--apply"]));
    assert!(said.starts_with(&format!("{circle}:")) && said.contains("below itself"), "{said}");

    assert_eq!(server.get("/v1/directory/users/good").status, 404);
    assert_eq!(server.get("/v1/directory/departments").json()["groups"], json!([]));
    let wrong = upload(&server, "?dry=false", &[("users", "code\n\na\na\n")]);
    let body = wrong.json();
    assert_eq!((wrong.status, &body["applied"], &body["faults"]), (422, &json!(false), &json!(1)), "{body}");
    assert_eq!((&body["told"][0]["file"], &body["told"][0]["line"]), (&json!("users.csv"), &json!(4)));
    assert_eq!(server.get("/v1/directory/users/a").status, 404);
}

fn exports_of_blueking_and_of_ldap_are_read(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let config = place.config();
    let import = |name: &str, text: &str| {
        let file = place.home().write(name, text).display().to_string();
        done(directory(&config, Some(&server), &["import", "--users", &file, "--apply"]))
    };
    let blueking = "\u{feff}填写必读：带 * 的列必填,,,,,\r\n\
        用户名/username,姓名/full_name,邮箱/email,手机号/phone_number,组织/organizations,直接上级/leaders,年龄/age\r\n\
        zhangsan,张三,zhangsan@x.cn,+8613800000001,\"总公司/研发部/平台组, 总公司/产品部\",lisi,20\r\n\
        lisi,李四,lisi@x.cn,13800000002,总公司,,\r\n";
    let page = import("blueking.csv", blueking);
    assert_eq!((counts(&page, "groups"), counts(&page, "users")), (vec![4, 4, 0, 0], vec![2, 2, 0, 0]));
    let zhang = server.get("/v1/directory/users/zhangsan").json();
    assert_eq!(zhang["departments"], json!(["总公司/产品部", "总公司/研发部/平台组"]));
    assert_eq!(server.get("/v1/directory/users/lisi").json()["phone"], "+8613800000002");
    assert_eq!(reached(&server, &json!({ "dept": ["总公司"] }))["count"], 2);
    let platform = server.get(&format!(
        "/v1/directory/departments/{}",
        "%E6%80%BB%E5%85%AC%E5%8F%B8%2F%E7%A0%94%E5%8F%91%E9%83%A8%2F%E5%B9%B3%E5%8F%B0%E7%BB%84"
    ));
    assert_eq!((&platform.json()["name"], &platform.json()["parent"]), (&json!("平台组"), &json!("总公司/研发部")));
    assert_eq!(counts(&import("blueking.csv", blueking), "users"), [2, 0, 0, 2]);
    let status = "用户名,全名,邮箱,手机号,组织,账户状态,在职状态\nlisi,李四,lisi@x.cn,13800000002,总公司,正常,离职\n";
    assert_eq!(counts(&import("status.csv", status), "users"), [1, 0, 1, 0]);
    assert_eq!(reached(&server, &json!({ "dept": ["总公司"] }))["count"], 1, "who has left gets nothing");

    let ldap = "DN,objectClass,cn,sAMAccountName,displayName,mail,telephoneNumber,mobile,userAccountControl,memberOf\n\
        \"CN=Wang Wu,OU=R&D,OU=HQ,DC=x\",user,Wang Wu,wangwu,王五,wangwu@x.cn,010-12345678,13800000003,512,\"CN=Ops,DC=x\"\n\
        \"CN=Gone,OU=HQ,DC=x\",user,Gone,gone,,gone@x.cn,,,514,\n\
        \"CN=Printers,OU=HQ,DC=x\",group,Printers,,,,,,,\n";
    let page = import("ldap.csv", ldap);
    assert_eq!((counts(&page, "groups"), counts(&page, "users")), (vec![2, 2, 0, 0], vec![2, 2, 0, 0]));
    let wang = server.get("/v1/directory/users/wangwu").json();
    let wanted = [json!("王五"), json!("+8613800000003"), json!(["HQ/R&D"]), json!(true)];
    assert_eq!(["name", "phone", "departments", "enabled"].map(|key| wang[key].clone()), wanted);
    assert_eq!(reached(&server, &json!({ "dept": ["HQ"] }))["count"], 1, "the disabled account gets nothing");
    let file = place.home().write("ldap.csv", ldap).display().to_string();
    let said = refused(directory(&config, Some(&server), &["import", "--users", &file, "--format", "plain"]));
    assert!(said.contains("no column is headed code"), "{said}");
}

fn what_no_column_tells_of_stays(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let all = [("users", USERS), ("departments", DEPARTMENTS), ("posts", "code\nP1\n"), ("roles", "code\nR1\n")];
    assert_eq!(upload(&server, "?dry=false", &all).status, 200);
    let before = server.get("/v1/directory/users/a").json();
    let report = upload(&server, "?dry=false", &[("users", "code,email\na,new@x.cn\nd,d@x.cn\n")]).json();
    assert_eq!(report["users"], json!({ "listed": 2, "new": 1, "changed": 1 }));
    let after = server.get("/v1/directory/users/a").json();
    assert_eq!(after["email"], "new@x.cn");
    for key in ["name", "phone", "wecom", "openid", "departments", "posts", "roles", "enabled"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(upload(&server, "?dry=false", &[("users", "code,enabled\na,0\n")]).status, 200);
    assert_eq!(upload(&server, "?dry=false", &[("users", "code,departments\na,D2\n")]).status, 200);
    let after = server.get("/v1/directory/users/a").json();
    assert_eq!(
        (&after["enabled"], &after["departments"], &after["posts"]),
        (&json!(false), &json!(["D2"]), &json!(["P1"]))
    );
}

fn without_a_node_the_store_itself_is_imported_into(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let config = place.config();
    let users = place.home().write("users.csv", "code\na\n").display().to_string();
    let import = ["import", "--users", &users, "--apply"];
    let beside = directory(&config, None, &import);
    assert!(!beside.status.success() && text(&beside.stderr).contains("--server"), "a node works on the store");
    assert!(server.terminate().success());
    assert_eq!(counts(&done(directory(&config, None, &import)), "users"), [1, 1, 0, 0]);
    assert!(done(directory(&config, None, &["show", "user", "a"])).contains("code a\n"));
    assert!(done(directory(&config, None, &["who", "--everyone"])).starts_with("people 4\n"));
    let server = place.start(&plan("", CAPTURE));
    assert_eq!(server.get("/v1/directory/users/a").status, 200);
    let missing = directory(&config, Some(&server), &["import", "--users", "no/such/file.csv"]);
    assert!(!missing.status.success() && text(&missing.stderr).contains("no/such/file.csv"));
    let nothing = directory(&config, Some(&server), &["import"]);
    assert_eq!(nothing.status.code(), Some(2), "{}", text(&nothing.stderr));
}

fn one_thing_is_changed_at_a_time(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    let put = |path: &str, body: Value| server.administer("PUT", &format!("/v1/directory/{path}"), &body);
    assert_eq!(put("departments/A", json!({ "name": "Top" })).status, 201);
    assert_eq!(put("departments/B%2F1", json!({ "parent": "A" })).status, 201);
    assert_eq!(put("departments/A", json!({ "name": "The top" })).status, 200);
    assert_eq!(put("posts/P", json!({})).status, 201);
    assert_eq!(
        put("users/zhao", json!({ "phone": "+8613800000009", "departments": ["B/1"], "posts": ["P"] })).status,
        201
    );
    let read = |path: &str| server.get(&format!("/v1/directory/{path}")).json();
    let top = json!({ "code": "A", "name": "The top", "below": 1, "people": 1, "more": false });
    assert_eq!(read("departments/A"), top);
    assert_eq!(read("departments/B%2F1")["parent"], "A");
    let changed = put("users/zhao", json!({ "name": "赵", "departments": ["A"] })).json();
    assert_eq!((&changed["phone"], &changed["posts"]), (&json!(""), &json!([])), "it is as the request says");
    assert_eq!(changed, read("users/zhao"));
    for (path, body, word) in [
        ("departments/A", json!({ "parent": "B/1" }), "below itself"),
        ("departments/A", json!({ "parent": "A" }), "below itself"),
        ("departments/C", json!({ "parent": "Z" }), "\"Z\""),
        ("users/zhao", json!({ "roles": ["R"] }), "role \"R\""),
        ("users/zhao", json!({ "phone": "138" }), "phone"),
        ("roles/R", json!({ "parent": "A" }), "no parent"),
    ] {
        let reply = put(path, body.clone());
        let said = reply.json()["detail"].as_str().expect("words").to_owned();
        assert!(reply.status == 400 && said.contains(word), "{path} {body}: {reply:?}");
    }
    assert_eq!(read("users/zhao"), changed);

    let page = read("users?limit=3");
    assert_eq!((codes(&page["users"]), &page["next"]), (vec!["admin", "nomail", "yunchao"], &json!("yunchao")));
    let page = read("users?limit=3&after=yunchao");
    assert_eq!((codes(&page["users"]), page.get("next")), (vec!["zhao"], None));
    assert_eq!(page["users"][0], changed);
    let page = read("departments?limit=1");
    assert_eq!((codes(&page["groups"]), &page["next"]), (vec!["A"], &json!("A")));
    let page = read("departments?limit=1&after=A");
    assert_eq!((&page["groups"][0]["parent"], page.get("next")), (&json!("A"), None), "its parent is on another page");
}

fn the_administration_api_refuses_in_words(mut place: Place) {
    let server = place.start(&plan("", CAPTURE));
    for (method, path, body, status) in [
        ("GET", "users/nobody", Value::Null, 404),
        ("GET", "departments/nothing", Value::Null, 404),
        ("GET", "things", Value::Null, 404),
        ("GET", "users?limit=0", Value::Null, 400),
        ("GET", "roles?limit=1001", Value::Null, 400),
        ("GET", "import", Value::Null, 405),
        ("POST", "import", json!({}), 400),
        ("POST", "who", json!({ "depts": [] }), 400),
        ("POST", "who", json!({ "user": vec!["u"; 10_001] }), 400),
        ("PUT", "users/a", json!({ "age": 3 }), 400),
        ("PUT", "users/a%0A", json!({}), 400),
        ("DELETE", "users/admin", Value::Null, 405),
    ] {
        let reply = server.administer(method, &format!("/v1/directory/{path}"), &body);
        assert_eq!(
            (reply.status, reply.json()["status"].as_u64()),
            (status, Some(u64::from(status))),
            "{method} {path}"
        );
        assert!(reply.json()["detail"].is_string(), "{reply:?}");
    }
    for (query, files, word) in [
        ("?format=xml", &[("users", "code\n")][..], "format"),
        ("?apply=true", &[("users", "code\n")], "apply"),
        ("", &[], "no files"),
        ("", &[("people", "code\n")], "named users"),
        ("", &[("users", "code\n"), ("users", "code\n")], "two parts"),
    ] {
        let reply = upload(&server, query, files);
        let said = reply.json()["detail"].as_str().expect("words").to_owned();
        assert!(reply.status == 400 && said.contains(word), "{query} {files:?}: {reply:?}");
    }
    for (text, word) in [("", "no column"), ("name\nx\n", "no column"), ("code,emial\n", "emial"), ("code\n\"a\n", "")]
    {
        let reply = upload(&server, "", &[("users", text)]);
        assert_eq!(reply.status, 200, "{reply:?}");
        let told = reply.json()["told"][0]["what"].as_str().unwrap_or_default().to_owned();
        assert!(told.contains(word) && told.is_empty() == word.is_empty(), "{text:?}: {reply:?}");
    }
    assert_eq!(server.post("/v1/directory/who", &json!({})).status, 401);
    let log = server.log().join("\n");
    assert!(!log.contains("admin@bk.com") && !log.contains("13800000001"), "{log}");
}
