//! What ends a server whose test process is gone. Statics are never dropped and kill -9 runs no destructor, so a small shell
//! waits for the end of a pipe that only this process holds open.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Each line is the process to end, an empty one none. At the end of the input that process is shut down at once (it ends its
/// own children; one that is stopped is let go on, so that it can). The directory `$1` is removed once nobody works in it: a
/// program that is still making the server's data ends by itself soon, and would leave shared memory behind if its files went
/// away under it. Where nobody waits for orphans, a process that has ended keeps its entry, marked Z.
const SCRIPT: &str = r#"
is_alive() { read -r _ _ state _ <"/proc/$pid/stat" && [ "$state" != Z ]; }
is_used() {
    for cwd in /proc/[0-9]*/cwd; do
        case $(readlink "$cwd") in "$1" | "$1"/*) return 0 ;; esac
    done
    return 1
}
within() { tries=$1; shift; while "$@" && [ "$tries" -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done; }
while read -r line; do pid=$line; done
if [ -n "${pid:-}" ] && kill -QUIT "$pid"; then
    kill -CONT "$pid"
    within 150 is_alive
    kill -KILL "$pid"
fi
within 150 is_used "$1"
rm -rf "$1"
"#;

/// The shell that waits. Dropped after the server.
pub(super) struct Watcher(Child);

impl Watcher {
    /// Starts one for the server in `place`.
    pub(super) fn start(place: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(place).current_dir("/");
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // In a group of its own: the interrupt from the keyboard that ends the test must not end its watcher.
        shell.process_group(0);
        Self(shell.spawn().expect("sh runs"))
    }

    /// From now on this is the process to end.
    pub(super) fn watch(&mut self, pid: Option<u32>) {
        let line = pid.map(|pid| pid.to_string()).unwrap_or_default();
        let pipe = self.0.stdin.as_mut().expect("it is closed when we are dropped");
        writeln!(pipe, "{line}").expect("the watcher lives as long as we do");
    }
}

impl Drop for Watcher {
    /// Lets it remove the directory. While we live we end the server ourselves, and have done so before this.
    fn drop(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            drop(writeln!(pipe));
        }
        drop(self.0.wait());
    }
}
