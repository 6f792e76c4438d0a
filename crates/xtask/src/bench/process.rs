//! Child processes that end with us, and what the kernel says about them.

use std::{
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// How often something is looked at while waiting for it.
const GLANCE: Duration = Duration::from_millis(5);

/// The kernel counts processor time in hundredths of a second, on every platform that Linux runs on today.
const TICK: Duration = Duration::from_millis(10);

/// A running child; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts it.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name: name.to_owned(), child, pid })
    }

    /// Fails when it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Processor time so far, in user and kernel, of all its threads.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        let ticks = cpu_ticks(&stat).with_context(|| format!("cannot read the times of {}", self.name))?;
        Ok(TICK * ticks)
    }

    /// Resident memory in MB (10^6 bytes).
    pub fn resident_mb(&self) -> Result<f64> {
        let status = self.proc("status")?;
        resident_mb(&status).with_context(|| format!("cannot read the memory of {}", self.name))
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        std::fs::read_to_string(&path).with_context(|| format!("{} has ended: no {path}", self.name))
    }

    /// Asks it to stop and waits until it has.
    pub async fn terminate(mut self, limit: Duration) -> Result<()> {
        let pid = self.pid.to_string();
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().await?;
        if !asked.success() {
            bail!("cannot signal {}", self.name);
        }
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => drop(status?),
            Err(_) => bail!("{} did not stop within {limit:?}", self.name),
        }
        Ok(())
    }

    /// Kills it without warning and waits until it is gone.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }
}

/// Processor time so far of this process itself, of all its threads.
pub fn own_cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("this system has no /proc")?;
    Ok(TICK * cpu_ticks(&stat).context("cannot read our own times")?)
}

/// Processor time so far of a process and its children, those that have ended and were waited for included.
pub fn family_cpu(parent: u32) -> Result<Duration> {
    let stat = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let first = stat(parent).and_then(|stat| Some(cpu_ticks(&stat)? + waited_ticks(&stat)?));
    let mut ticks = first.with_context(|| format!("process {parent} has ended"))?;
    let processes = std::fs::read_dir("/proc").context("cannot list the processes")?.flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        // One that ends while we look was counted with its parent, or will be.
        if let Some(stat) = stat(pid).filter(|stat| parent_of(stat) == Some(parent)) {
            ticks += cpu_ticks(&stat).unwrap_or(0);
        }
    }
    Ok(TICK * ticks)
}

/// The sum of user and kernel time in a `/proc/PID/stat` line; the name, which may hold anything, ends at the last `)`.
fn cpu_ticks(stat: &str) -> Option<u32> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?)
}

/// The same of the children that have ended and were waited for.
fn waited_ticks(stat: &str) -> Option<u32> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(13)?.parse::<u32>().ok()? + fields.get(14)?.parse::<u32>().ok()?)
}

fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn resident_mb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on loopback")?;
    Ok(listener.local_addr()?.port())
}

/// Looks again and again until there is an answer, for no longer than `limit`.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain: {what}");
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Waits until something listens on a port of loopback.
pub async fn until_listening(port: u16, limit: Duration) -> Result<()> {
    let connect = async || Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop));
    until(&format!("port {port} answers"), limit, connect).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_the_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 345 55 30 4 20 0 5 0 100 200 300";
        assert_eq!((cpu_ticks(stat), waited_ticks(stat), parent_of(stat)), (Some(400), Some(34), Some(1)));
        assert_eq!(cpu_ticks("12 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_millions_of_bytes() {
        assert_eq!(resident_mb("Name:\ta\nVmHWM:\t 9 kB\nVmRSS:\t  1000 kB\n"), Some(1.024));
        assert_eq!(resident_mb("Name:\ta\n"), None);
    }

    #[tokio::test]
    async fn a_child_is_measured_and_stopped() {
        let child = Process::start("sleep", Command::new("sleep").arg("60")).unwrap();
        let resident = async || Ok(child.resident_mb().is_ok_and(|mb| mb > 0.1).then_some(()));
        until("it has some memory", Duration::from_secs(5), resident).await.unwrap();
        assert!(child.cpu().unwrap() < Duration::from_secs(1));
        child.terminate(Duration::from_secs(5)).await.unwrap();
        let mut short = Process::start("true", &mut Command::new("true")).unwrap();
        let ended = async || Ok(short.check().is_err().then_some(()));
        until("it ends", Duration::from_secs(5), ended).await.unwrap();
    }
}
