//! Backup, loss and restore, as an operator goes through them. Whoever judges stands outside: the sink counts what is sent.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    client::{self, SEND_MAIL, mail},
    server::{CAPTURE, Home, Server, binary, plan, smtp},
    sink::{Manners, Sink},
    wait_for,
};

/// Runs a command in `home`, on the configuration that its nodes use.
fn run(home: &Home, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).args(["--config", "hongyan.toml"]).current_dir(home.dir.path());
    command.stdin(Stdio::null()).output().expect("it runs")
}

/// What a command that must succeed wrote to standard output, and to standard error.
fn done(home: &Home, arguments: &[&str]) -> (String, String) {
    let output = run(home, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// What a command that must be refused said.
fn refused(home: &Home, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "no data where nothing was done");
    said
}

fn lose_the_store(home: &Home) {
    for name in ["hongyan.db", "hongyan.db-wal", "hongyan.db-shm"] {
        let file = home.path(name);
        if file.exists() {
            fs::remove_file(file).expect("removed");
        }
    }
}

fn send_with_key(server: &Server, key: &str) -> Value {
    let body = mail(json!({ "receiver": format!("{key}@b.com") })).to_string();
    client::request(server.address, "POST", SEND_MAIL, &[("Idempotency-Key", key)], body.as_bytes()).json()
}

/// Mails wait for a server that hangs up while the backup is made, and are sent after it. The store is lost and restored: what it takes
/// for unsent is not sent again, and the look-up says so.
#[test]
fn what_was_sent_after_the_backup_is_not_sent_again() {
    let sink = Sink::start(Manners::default());
    let (home, plan) = (Home::new(), plan("cmsi.wait = \"2s\"", &smtp(sink.address)));
    let server = home.start(&plan);
    let before = server.send_mail(json!({ "receiver": "before@b.com" }));
    server.wait_until(&before, "accepted");
    sink.behave(Manners { close_at: Some("MAIL"), ..Manners::default() });
    let waiting: Vec<_> = (0..6).map(|n| send_with_key(&server, &format!("k{n}"))).collect();
    assert!(waiting.iter().all(|reply| reply["result"] == true), "durable");

    let (data, talk) = done(&home, &["backup", "--to", "backup.db"]);
    assert_eq!(data, "messages 7\nopen_deliveries 6\n");
    assert!(talk.contains("master.key") && talk.contains("apart from it"), "{talk}");
    assert!(refused(&home, &["backup", "--to", "backup.db"]).contains("replaces nothing"));
    let said = refused(&home, &["restore", "--from", "backup.db"]);
    assert!(said.contains("in use by another process"), "{said}");

    sink.behave(Manners::default());
    for reply in &waiting {
        server.wait_until(reply, "accepted");
    }
    let after = server.send_mail(json!({ "receiver": "after@b.com" }));
    server.wait_until(&after, "accepted");
    assert_eq!(sink.count(), 8);
    server.kill();
    let said = refused(&home, &["restore", "--from", "backup.db"]);
    assert!(said.contains("move it away"), "{said}");
    lose_the_store(&home);
    let (data, talk) = done(&home, &["restore", "--from", "backup.db"]);
    assert_eq!(data, "messages 7\nheld_deliveries 6\n");
    assert!(talk.contains("hongyan review"), "{talk}");

    let server = home.start(&plan);
    for reply in &waiting {
        let message = server.message(reply);
        let delivery = &message["deliveries"][0];
        assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("unknown"), &json!("restored")), "{message}");
    }
    assert_eq!(server.message(&before)["tally"], json!({ "accepted": 1 }));
    assert_eq!(server.message(&after)["status"], 404, "what came after the backup is not in it");
    let (held, _) = done(&home, &["review"]);
    let rows: Vec<Vec<_>> = held.lines().map(|line| line.split('\t').collect()).collect();
    let ids: Vec<_> = waiting.iter().map(|reply| server.message(reply)["id"].clone()).collect();
    assert_eq!(rows.iter().map(|row| json!(row[0])).collect::<Vec<_>>(), ids, "{held}");
    assert!(rows.iter().all(|row| row[1..3] == ["1003", "1"] && row[3].ends_with('Z')), "{held}");

    assert_eq!(send_with_key(&server, "k0"), waiting[0], "a repeat is answered as it was");
    let fresh = server.send_mail(json!({ "receiver": "fresh@b.com" }));
    server.wait_until(&fresh, "accepted");
    wait_for("an empty queue", PATIENCE, || (server.metric("hongyan_queue_depth") == 0.0).then_some(()));
    assert!(server.terminate().success());
    assert_eq!(sink.count(), 9, "the new one and none of the old");
}

/// Without the key file that the backup was made with nothing is put in place.
#[test]
fn a_restore_needs_the_key_file() {
    let home = Home::new();
    assert!(home.start(&plan("", CAPTURE)).terminate().success());
    done(&home, &["backup", "--to", "backup.db"]);
    lose_the_store(&home);
    let key = home.path("master.key");
    let kept = fs::read(&key).expect("the key");
    fs::remove_file(&key).expect("removed");
    assert!(refused(&home, &["restore", "--from", "backup.db"]).contains("missing"));
    fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").expect("written");
    assert!(refused(&home, &["restore", "--from", "backup.db"]).contains("not the one"));
    assert!(!home.path("hongyan.db").exists() && !home.path("hongyan.db.new").exists());
    fs::write(&key, kept).expect("written");
    let (data, talk) = done(&home, &["restore", "--from", "backup.db"]);
    assert_eq!((data.as_str(), talk.as_str()), ("messages 0\nheld_deliveries 0\n", ""));
    assert_eq!(home.start(&plan("", CAPTURE)).get("/readyz").status, 200);
}
