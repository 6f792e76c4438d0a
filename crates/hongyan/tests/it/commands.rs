//! The commands, as a person or a script calls them.

use std::process::{Command, Output, Stdio};

use crate::support::server::{CAPTURE, Home, binary, plan};

fn run(home: &Home, arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).current_dir(home.dir.path()).stdin(Stdio::null()).output().expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_demo_delivers_the_documents_samples() {
    let home = Home::new();
    let output = run(&home, &["demo", "--once", "--listen", "127.0.0.1:0", "--data", "demo"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{table}\n{}", stderr(&output));
    for row in [
        "CMSI send_msg (mail)   1003    admin",
        "CMSI send_msg (mail)   1003    yunchao",
        "CMSI send_weixin       1005    xxx",
        "CMSI send_mail         1003    admin@bking.com",
        "iMSG mail              1003    zhang@163.com",
        "iMSG mail to several   1003    lisi@qq.com",
        "iMSG mail with a file  1003    zhang@163.com",
        "iMSG sms               1001    13800000001",
        "iMSG sms to several    1001    15900001256",
        "push channel           1001    USER001           +8618660886275",
        "push channel           1002    USER003           USER003",
        "push channel           1003    USER006           zhouba@example.com",
        "push channel, custom   1001    USER002           +8618660886834",
        "push channel, custom   1002    18660886275       USER001",
        "push channel, custom   1003    zhaoli@126.com",
        "push template          1001    USER005",
        "push template          1002    USER001",
        "push template          1003    USER004           zhaoli@126.com",
    ] {
        assert!(table.lines().any(|line| line.starts_with(row) && line.contains("accepted")), "{row} in\n{table}");
    }
    for row in ["iMSG login ", "iMSG modify ", "iMSG query "] {
        assert!(
            table.lines().any(|line| line.starts_with(row) && line.contains("answered   0 OK: ")),
            "{row} in\n{table}"
        );
    }
    let inbox =
        table.lines().find(|line| line.starts_with("push inbox             1002    USER001")).expect("an inbox");
    assert!(inbox.ends_with("A result for 患者001; 发工资了; 发工资了"), "{inbox}");
    assert!(table.contains("54 of 54 delivered."), "{table}");
    let again = run(&home, &["demo", "--once", "--listen", "127.0.0.1:0", "--data", "demo"]);
    assert_eq!(again.status.code(), Some(0), "a second demo in the same place: {}", stderr(&again));
}

#[test]
fn the_demo_stays_on_loopback() {
    let output = run(&Home::new(), &["demo", "--once", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("loopback only"), "{}", stderr(&output));
}

#[test]
fn check_tells_valid_from_invalid_from_unreachable() {
    let home = Home::new();
    home.write("good.toml", &plan("", CAPTURE));
    home.write("bad.toml", "[settings]\nretention = \"90d\"\nretentoin = \"90d\"\n");
    home.write("twice.toml", "[[channel]]\ncode = \"1\"\nkind = \"mail\"\nproviders = [\"x\"]\n[[channel]]\ncode = \"1\"\nkind = \"mail\"\nproviders = [\"x\"]\n");
    let smtp = "kind = \"smtp\"\nhost = \"127.0.0.1\"\nsender = \"a@b.com\"\n";
    home.write("nowhere.toml", "[[channel]]\ncode = \"1\"\nkind = \"mail\"\nproviders = [\"x\"]\n");
    let dkim = "dkim = { domain = \"b.com\", selector = \"s\", key = \"no key\" }";
    home.write("dkim.toml", &plan("", &format!("{smtp}{dkim}")));
    home.write("helo.toml", &plan("", &format!("{smtp}helo = \"two words\"")));
    home.write("rate.toml", &plan("", &format!("{smtp}rate = 1e-20")));
    home.write("ca.toml", &plan("", &format!("{smtp}ca_file = \"missing.pem\"")));
    home.write("limits.toml", "[settings]\nimsg.limits = \"loose\"");
    home.write("ttl.toml", "[settings]\nimsg.token_ttl = \"0s\"");
    home.write("kind.toml", "[settings]\npush.kinds = [\"notice\", \" \"]");
    home.write("ahead.toml", "[settings]\npush.schedule_ahead = \"5s\"");
    home.write("receivers.toml", "[[app]]\ncode = \"a\"\nsecret = \"b\"\nreceivers_max = 10001");
    home.write("role.toml", "[[account]]\nname = \"a\"\nrole = \"root\"");
    home.write("nobody.toml", "[[account]]\npassword = \"123\"");
    home.write("empty.toml", "[[account]]\nname = \"a\"\npassword = \"\"");
    home.write(
        "circle.toml",
        "[[department]]\ncode = \"A\"\nparent = \"B\"\n[[department]]\ncode = \"B\"\nparent = \"A\"",
    );
    home.write("stranger.toml", "[[user]]\ncode = \"z\"\ndepartments = [\"D9\"]");
    home.write("template.toml", "[[template]]\ncode = \"T\"\n[template.content.\"77\"]\ncontent = \"c\"");
    home.write("token.conf", "store = \"sqlite:hongyan.db\"\nadmin_token = \"short\"");
    home.write("empty.key", "");
    home.write("key.conf", "store = \"sqlite:hongyan.db\"\nsecret_file = \"empty.key\"");
    home.write("ok.conf", "store = \"sqlite:hongyan.db\"");
    home.write("typo.conf", "store = \"sqlite:hongyan.db\"\nlistne = \"127.0.0.1:1\"");
    home.write("foreign.db", "this is a text, not a database, and it must stay as it is");
    home.write("foreign.conf", "store = \"sqlite:foreign.db\"");
    let cases = [
        ("ok.conf", "good.toml", 0, "valid"),
        ("ok.conf", "bad.toml", 2, "line 3"),
        ("ok.conf", "twice.toml", 2, "declared twice"),
        ("ok.conf", "missing.toml", 2, "missing.toml"),
        ("typo.conf", "good.toml", 2, "line 2"),
        ("foreign.conf", "good.toml", 1, "foreign.db"),
        ("ok.conf", "nowhere.toml", 2, "provider \"x\" is not declared"),
        ("ok.conf", "circle.toml", 2, "department \"A\" would lie below itself"),
        ("ok.conf", "stranger.toml", 2, "belongs to the department \"D9\", which does not exist"),
        ("ok.conf", "template.toml", 2, "channel \"77\" is not declared"),
        ("ok.conf", "dkim.toml", 2, "provider \"main\""),
        ("ok.conf", "helo.toml", 2, "helo"),
        ("ok.conf", "rate.toml", 2, "rate"),
        ("ok.conf", "ca.toml", 2, "ca_file"),
        ("ok.conf", "limits.toml", 2, "imsg.limits"),
        ("ok.conf", "ttl.toml", 2, "imsg.token_ttl"),
        ("ok.conf", "kind.toml", 2, "push.kinds"),
        ("ok.conf", "ahead.toml", 2, "push.schedule_ahead"),
        ("ok.conf", "receivers.toml", 2, "receivers_max"),
        ("ok.conf", "role.toml", 2, "account \"a\""),
        ("ok.conf", "nobody.toml", 2, "account has no code or name"),
        ("ok.conf", "empty.toml", 2, "password"),
        ("token.conf", "good.toml", 2, "admin_token"),
        ("key.conf", "good.toml", 2, "key file"),
    ];
    for (config, plan, code, words) in cases {
        let output = run(&home, &["check", "--config", config, "--plan", plan]);
        assert_eq!(output.status.code(), Some(code), "{config} {plan}: {}", stderr(&output));
        if code == 2 {
            let served = run(&home, &["serve", "--config", config, "--plan", plan]);
            assert_eq!(served.status.code(), Some(2), "{config} {plan}: {}", stderr(&served));
        }
        assert!(stderr(&output).contains(words), "{config} {plan}: {}", stderr(&output));
    }
    assert!(!home.path("hongyan.db").exists(), "check makes nothing");
}

/// What `check` and `serve` say of a plan that leans on what the store has, beside a store that has `plan("", CAPTURE)`.
#[test]
fn check_sees_what_the_store_has_and_refuses_what_serve_would() {
    let home = Home::new();
    let team =
        "[[department]]\ncode = \"HQ\"\n[[department]]\ncode = \"RD\"\nparent = \"HQ\"\n[[post]]\ncode = \"P\"\n";
    let first = plan("", CAPTURE) + team;
    let server = home.start(&first);
    let config = home.path("hongyan.toml").display().to_string();
    let user = |groups: &str| format!("[[user]]\ncode = \"z\"\n{groups}\n");
    let channel =
        |provider: &str| format!("[[channel]]\ncode = \"9\"\nkind = \"mail\"\nproviders = [\"{provider}\"]\n");
    let template =
        |channel: &str| format!("[[template]]\ncode = \"T\"\n[template.content.\"{channel}\"]\ncontent = \"c\"\n");
    let above = |code: &str, parent: &str| format!("[[department]]\ncode = \"{code}\"\nparent = \"{parent}\"\n");
    let wrong = [
        (above("A", "B") + &above("B", "A"), "department \"A\" would lie below itself"),
        (above("HQ", "RD"), "department \"HQ\" would lie below itself"),
        (above("A", "D9"), "department \"A\" lies below \"D9\", which does not exist"),
        (user("departments = [\"D9\"]"), "user \"z\" belongs to the department \"D9\", which does not exist"),
        (user("posts = [\"P9\"]"), "user \"z\" belongs to the post \"P9\", which does not exist"),
        (user("roles = [\"P\"]"), "user \"z\" belongs to the role \"P\", which does not exist"),
        (template("77"), "template \"T\": channel \"77\" is not declared"),
        (channel("nobody"), "provider \"nobody\" is not declared"),
    ];
    let right = user("departments = [\"RD\"]\nposts = [\"P\"]") + &channel("main") + &template("9") + &above("A", "RD");
    let right = home.write("right.toml", &right).display().to_string();
    let says = |command: &str, plan: &str| run(&home, &[command, "--config", &config, "--plan", plan]);
    // Beside a running node, and beside none.
    let output = says("check", &right);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(server.terminate().success());
    let output = says("check", &right);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (text, words) in wrong {
        let plan = home.write("wrong.toml", &text).display().to_string();
        for command in ["check", "serve"] {
            let output = says(command, &plan);
            assert_eq!(output.status.code(), Some(2), "{command} {text}: {}", stderr(&output));
            assert!(stderr(&output).contains(words), "{command} {text}: {}", stderr(&output));
        }
    }
}

#[test]
fn check_works_beside_a_running_node_and_a_second_node_is_refused() {
    let home = Home::new();
    let server = home.start(&plan("", CAPTURE));
    let config = home.path("hongyan.toml").display().to_string();
    assert_eq!(run(&home, &["check", "--config", &config]).status.code(), Some(0));
    let second = run(&home, &["serve", "--config", &config]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("hongyan.db"), "{}", stderr(&second));
    assert!(stderr(&second).contains("another process"), "{}", stderr(&second));
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn serve_refuses_what_is_not_its_own() {
    let home = Home::new();
    home.write("hongyan.db", "this is a text, not a database, and it must stay as it is");
    let config = home
        .write("hongyan.toml", "listen = \"127.0.0.1:0\"\nstore = \"sqlite:hongyan.db\"\nsecret_file = \"master.key\"");
    let output = run(&home, &["serve", "--config", &config.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("hongyan.db"), "{}", stderr(&output));
    let kept = std::fs::read_to_string(home.path("hongyan.db")).expect("still there");
    assert!(kept.starts_with("this is a text"));
}

#[test]
fn a_wrong_or_missing_key_file_is_refused() {
    let home = Home::new();
    drop(home.start(&plan("", CAPTURE)));
    let config = home.path("hongyan.toml").display().to_string();
    let key = home.path("master.key");
    let kept = std::fs::read(&key).expect("the key");
    std::fs::remove_file(&key).expect("removed");
    let output = run(&home, &["serve", "--config", &config]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("missing"), "{}", stderr(&output));
    assert!(!key.exists(), "none is made in its place");
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").expect("written");
    let output = run(&home, &["serve", "--config", &config]);
    assert!(output.status.code() == Some(1) && stderr(&output).contains("not the one"), "{}", stderr(&output));
    std::fs::write(&key, kept).expect("written");
    assert_eq!(home.start(&plan("", CAPTURE)).get("/readyz").status, 200);
}

#[test]
fn a_plan_applies_once_and_changes_are_followed() {
    let home = Home::new();
    let first = plan("", CAPTURE);
    let server = home.start(&first);
    let secret_in_store =
        std::fs::read(home.path("hongyan.db")).expect("the store").windows(4).any(|bytes| bytes == b"sec1");
    assert!(!secret_in_store, "secrets are sealed");
    assert!(server.terminate().success());
    let log = home.start(&first).log().join("\n");
    assert!(log.contains("applied before"), "{log}");
    let server = home.start(&first.replace("sec1", "sec3"));
    let reply = server.send_mail(serde_json::json!({ "receiver": "a@b.com" }));
    assert!(reply["message"].as_str().expect("words").contains("verification failed"), "{reply}");
    let reply = server.send_mail(serde_json::json!({ "receiver": "a@b.com", "bk_app_secret": "sec3" }));
    assert_eq!(reply["result"], true, "{reply}");
}

#[test]
fn the_first_start_makes_a_token_and_says_it_once() {
    let home = Home::new();
    let config =
        home.write("own.toml", "listen = \"127.0.0.1:0\"\nstore = \"sqlite:own.db\"\nsecret_file = \"own.key\"");
    let serve = || {
        let mut command = Command::new(binary());
        command.args(["serve", "--config"]).arg(&config).current_dir(home.dir.path());
        crate::support::server::Server::spawn(command)
    };
    let said = serve().log().join("\n");
    let token = said.split("shown this once: ").nth(1).expect("a token").lines().next().expect("a line").to_owned();
    let server = serve();
    assert!(!server.log().join("\n").contains("shown this once"));
    let bearer = format!("Bearer {token}");
    let get = |bearer: &str| {
        crate::support::client::request(server.address, "GET", "/v1/captures", &[("Authorization", bearer)], b"")
    };
    assert_eq!(get(&bearer).status, 200);
    assert_eq!(get("Bearer wrong").status, 401);
}
