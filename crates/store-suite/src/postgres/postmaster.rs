//! The server's processes: starting the first of them under the watcher's eyes, and every way of ending or halting all of them.

use std::{
    fmt,
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{
    log_of,
    programs::{Programs, run},
    wait_for,
    watcher::Watcher,
};

/// Waits for a word before it becomes the server, so that the watcher knows the process before it can do anything; where the word
/// never comes, because whoever should say it is gone, it ends.
const GATE: &str = r#"read -r go && exec "$@""#;

/// A running server's first process, a child of ours; the others are its children.
pub(super) struct Postmaster(Child);

/// Why a server did not start.
pub(super) enum LaunchError {
    /// Somebody else listens at the port.
    PortTaken,
    /// What its log says.
    Refused(String),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken => f.write_str("the port is taken"),
            Self::Refused(log) => f.write_str(log),
        }
    }
}

impl Postmaster {
    /// Starts the server in `place` and waits until it takes connections.
    pub(super) fn launch(
        programs: &Programs,
        place: &Path,
        port: u16,
        watcher: &mut Watcher,
    ) -> Result<Self, LaunchError> {
        let log = File::options().create(true).append(true).open(log_of(place)).expect("a log file");
        let logged = log.metadata().map_or(0, |file| file.len());
        let mut gate = Command::new("sh");
        gate.args(["-c", GATE, "sh"]).arg(programs.path("postgres"));
        gate.args(["-D", "data", "-p", &port.to_string()]).env("LC_ALL", "C");
        gate.stdin(Stdio::piped()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        programs.run_by_user(&mut gate, place);
        // In a group of its own: it is ended by us or by the watcher, not by the keyboard.
        gate.process_group(0);
        let mut server = Self(gate.spawn().expect("sh runs"));
        watcher.watch(Some(server.pid()));
        let mut word = server.0.stdin.take().expect("piped");
        word.write_all(b"go\n").expect("the gate waits for it");
        drop(word);
        let is_ready = wait_for("PostgreSQL to start", || server.progress(place));
        if is_ready {
            return Ok(server);
        }
        watcher.watch(None);
        let log = fs::read(log_of(place)).unwrap_or_default();
        let said =
            String::from_utf8_lossy(log.get(usize::try_from(logged).unwrap_or(0)..).unwrap_or(&log)).into_owned();
        Err(if said.contains("Address already in use") { LaunchError::PortTaken } else { LaunchError::Refused(said) })
    }

    /// Whether it takes connections (true) or has ended (false); absent: neither yet. The first line of the pid file tells an
    /// older server's file from its own.
    fn progress(&mut self, place: &Path) -> Option<bool> {
        if self.has_ended() {
            return Some(false);
        }
        let lines = pid_file(place)?;
        let is_ours = *lines.first()? == self.pid().to_string();
        (is_ours && lines.get(7)? == "ready").then_some(true)
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child of ours").is_some()
    }

    /// Sends it `signal` and waits until it has ended.
    pub(super) fn stop(&mut self, signal: &str) {
        send(signal, &[self.pid()]);
        wait_for("PostgreSQL to stop", || self.has_ended().then_some(()));
    }

    /// Kills all its processes; its data are in `place`.
    pub(super) fn kill(&mut self, place: &Path) {
        let segment = segment(place);
        // Halted first, for a server whose children die makes new ones.
        let mut all = vec![self.pid()];
        all.extend(self.halt());
        send("KILL", &all);
        drop(self.0.wait());
        for pid in all {
            wait_for("PostgreSQL's processes to die", || is_gone(pid).then_some(()));
        }
        if let Some(segment) = segment {
            // The next start of this server would remove it, and there may be none.
            let mut remove = Command::new("ipcrm");
            remove.args(["-m", &segment]);
            drop(run(remove));
        }
    }

    /// Halts all its processes.
    pub(super) fn pause(&self) {
        let children = self.halt();
        send("STOP", &children);
    }

    /// Lets all its processes go on.
    pub(super) fn resume(&self) {
        let mut all = children(self.pid());
        all.push(self.pid());
        send("CONT", &all);
    }

    /// Halts the first process, so that there will be no more than these children.
    fn halt(&self) -> Vec<u32> {
        let pid = self.pid();
        send("STOP", &[pid]);
        let is_halted = || status(pid).is_none_or(|status| matches!(status.state, 'T' | 'Z' | 'X'));
        wait_for("PostgreSQL to halt", || is_halted().then_some(()));
        children(pid)
    }
}

impl Drop for Postmaster {
    /// Ends it at once: nothing of it is kept.
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            self.resume();
            send("QUIT", &[self.pid()]);
            drop(self.0.wait());
        }
    }
}

/// The lines of the pid file, in which the server says what it is and how far it has come.
fn pid_file(place: &Path) -> Option<Vec<String>> {
    let file = fs::read_to_string(place.join("data/postmaster.pid")).ok()?;
    Some(file.lines().map(|line| line.trim().to_owned()).collect())
}

/// The number of the shared memory segment by which a server notices another one on its data: it outlives kill -9.
fn segment(place: &Path) -> Option<String> {
    Some(pid_file(place)?.get(6)?.split_whitespace().nth(1)?.to_owned())
}

/// What the kernel says about a process.
struct Status {
    state: char,
    parent: u32,
}

fn status(pid: u32) -> Option<Status> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Status { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}

/// Ended; where nobody waits for orphans, its entry may stay.
fn is_gone(pid: u32) -> bool {
    status(pid).is_none_or(|status| matches!(status.state, 'Z' | 'X'))
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| status(*pid).is_some_and(|status| status.parent == parent)).collect()
}

fn send(signal: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    let mut kill = Command::new("kill");
    kill.arg(format!("-{signal}")).args(pids.iter().map(u32::to_string));
    // One of them may have ended by itself meanwhile.
    drop(run(kill));
}
