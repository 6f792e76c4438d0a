//! A private Postfix that relays to a sink: its own configuration, queue and port, on the same disk as the product.
//!
//! `master.cf` is Debian's with every service out of its chroot (the private queue has none); nothing in it changes how
//! mail is queued or synced. `main.cf` is Debian's compatibility level and defaults, plus where things are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{
    ground::Ground,
    process::{free_port, until_listening},
    sink::{self, Sink},
    tools::output_of,
};

/// Debian's own file, whether or not the package was configured.
const MASTER_CF: &str = "/usr/share/postfix/master.cf.dist";

/// Messages delivered per second, from the first request until the queue is empty, by the sink's count.
pub async fn relay(ground: &Ground) -> Result<f64> {
    let count = ground.options.relayed;
    let mut sink = Sink::start(ground).await?;
    let postfix = Postfix::start(ground, sink.port).await?;
    let start = Instant::now();
    let (_, seen) = tokio::try_join!(sink::source(ground, postfix.port, count), sink.reach(count))?;
    sink.settle(count).await?;
    Ok(seen.rate_since(start))
}

/// A running instance; stopped when dropped.
struct Postfix {
    command: PathBuf,
    dir: TempDir,
    port: u16,
}

impl Postfix {
    async fn start(ground: &Ground, relay: u16) -> Result<Self> {
        if !ground.tools.root {
            bail!("Postfix starts as root only; leave this part out with --only");
        }
        let dir = ground.fresh("postfix")?;
        let port = free_port()?;
        let [config, queue, data] = ["config", "queue", "data"].map(|name| dir.path().join(name));
        for path in [&config, &queue, &data] {
            std::fs::create_dir(path).context("cannot make Postfix's directories")?;
        }
        output_of(Command::new("chown").arg("postfix").arg(&data))?;
        let master = std::fs::read_to_string(MASTER_CF).with_context(|| format!("cannot read {MASTER_CF}"))?;
        std::fs::write(config.join("master.cf"), master_cf(&master, port))?;
        std::fs::write(config.join("main.cf"), main_cf(&queue, &data, relay))?;
        std::fs::write(config.join("dynamicmaps.cf"), "")?;
        let postfix = Self { command: ground.tools.postfix.clone(), dir, port };
        output_of(&mut postfix.control("start"))?;
        until_listening(port, Duration::from_secs(30)).await?;
        Ok(postfix)
    }

    fn control(&self, what: &str) -> Command {
        let mut command = Command::new(&self.command);
        command.arg("-c").arg(self.dir.path().join("config")).arg(what);
        command
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if let Err(error) = output_of(&mut self.control("stop")) {
            crate::note(&format!("Postfix may still run: {error:#}"));
        }
    }
}

fn main_cf(queue: &Path, data: &Path, relay: u16) -> String {
    let (queue, data) = (queue.display(), data.display());
    format!(
        "compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\n\
         myhostname = bench.example.org\nmydestination =\nrelayhost = [127.0.0.1]:{relay}\n\
         alias_maps =\nalias_database =\nbiff = no\nappend_dot_mydomain = no\nreadme_directory = no\n"
    )
}

/// Debian's services, with SMTP on another port and none in a chroot.
fn master_cf(debian: &str, port: u16) -> String {
    let mut lines = Vec::new();
    for line in debian.lines() {
        let mut fields: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(['#', ' ', '\t']) || fields.len() < 8 {
            lines.push(line.to_owned());
            continue;
        }
        let address = format!("127.0.0.1:{port}");
        if fields[..2] == ["smtp", "inet"] {
            fields[0] = &address;
        }
        fields[4] = "n";
        lines.push(fields.join(" "));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_leave_the_chroot_and_smtp_gets_its_port() {
        let debian = "# service type\nsmtp      inet  n       -       y       -       -       smtpd\n\
                      smtp      unix  -       -       y       -       -       smtp\n  -o a=b\n";
        let expected = "# service type\n127.0.0.1:2526 inet n - n - - smtpd\nsmtp unix - - n - - smtp\n  -o a=b\n";
        assert_eq!(master_cf(debian, 2526), expected);
    }

    #[test]
    fn mail_goes_to_the_sink() {
        let text = main_cf(Path::new("/q"), Path::new("/d"), 2525);
        assert!(text.contains("queue_directory = /q\n") && text.contains("relayhost = [127.0.0.1]:2525\n"));
    }
}
