//! A disk that is full, a store that cannot be written, and what goes on all the same.

use std::{fs, os::unix::process::CommandExt, process::Command};

use serde_json::json;

use crate::support::{
    PATIENCE,
    server::{Home, Server, plan, smtp},
    sink::{Manners, Sink},
    wait_for,
};

/// A file system of its own, small enough to be filled. Unmounted when dropped.
struct SmallDisk {
    home: Home,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let home = Home::new();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(home.dir.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "the tests run as root and may mount a tmpfs");
        Self { home }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.home.dir.path()).status());
    }
}

fn wait_until_stored(server: &Server) {
    wait_for("accepting again", PATIENCE, || {
        (server.send_mail(json!({ "receiver": "late@b.com" }))["result"] == true).then_some(())
    });
}

#[test]
fn a_full_disk_refuses_and_recovers_without_a_restart() {
    let disk = SmallDisk::mount("24m");
    let sink = Sink::start(Manners::default());
    let server = disk.home.start(&plan("cmsi.wait = \"5s\"", &smtp(sink.address)));
    assert_eq!(server.send_mail(json!({ "receiver": "first@b.com" }))["result"], true);

    let ballast = disk.home.path("ballast");
    let mut accepted = 1;
    fs::write(&ballast, vec![0; 64 * 1024 * 1024]).expect_err("the disk is full now");
    let refused = wait_for("a refusal", PATIENCE, || {
        let reply = server.send_mail(json!({ "receiver": "more@b.com", "content": "x".repeat(100_000) }));
        accepted += usize::from(reply["result"] == true);
        (reply["result"] == false).then_some(reply)
    });
    assert_eq!(refused["code"], 1_306_000);
    assert_eq!(refused["message"], "The message could not be stored, please try again later");
    assert_eq!(server.get("/readyz").status, 503);

    fs::remove_file(&ballast).expect("removed");
    wait_until_stored(&server);
    accepted += 1;
    assert_eq!(server.get("/readyz").status, 200);
    wait_for("everything accepted at the sink", PATIENCE, || (sink.count() >= accepted).then_some(()));
    assert!(server.terminate().success());
    assert_eq!(sink.count(), accepted, "nothing refused was sent, nothing accepted was lost or sent twice");
}

#[test]
fn files_that_may_not_grow_refuse_and_nothing_accepted_is_lost() {
    // The limit on the size of files is the other way in which writing fails; SIGXFSZ is ignored, as a shell's `trap` does.
    let sink = Sink::start(Manners::default());
    let home = Home::new();
    let plan = plan("cmsi.wait = \"5s\"", &smtp(sink.address));
    let serve = home.serve(&plan);
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"")
        .arg(serve.get_program())
        .args(serve.get_args());
    limited.process_group(0);
    let server = Server::spawn(limited);
    let mut accepted = 0;
    let refused = wait_for("a refusal", PATIENCE, || {
        let reply = server.send_mail(json!({ "receiver": "a@b.com", "content": "x".repeat(200_000) }));
        accepted += usize::from(reply["result"] == true);
        (reply["result"] == false).then_some(reply)
    });
    assert_eq!(refused["message"], "The message could not be stored, please try again later");
    server.kill();
    let server = home.start(&plan);
    wait_until_stored(&server);
    wait_for("everything accepted at the sink", PATIENCE, || (sink.count() > accepted).then_some(()));
}

#[test]
fn a_directory_that_may_not_be_written_is_said_so() {
    let disk = SmallDisk::mount("16m");
    let plan = plan("", crate::support::server::CAPTURE);
    drop(disk.home.start(&plan));
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.home.dir.path()).status();
    assert!(remounted.is_ok_and(|status| status.success()));
    let config = disk.home.path("hongyan.toml");
    let output = Command::new(crate::support::server::binary())
        .arg("serve")
        .arg("--config")
        .arg(config)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("hongyan.db"), "{said}");
}
