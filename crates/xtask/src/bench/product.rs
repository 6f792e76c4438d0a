//! The product under measurement: its files, its start, what its metrics say.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    ground::Ground,
    http, mail,
    process::{Process, free_port, until},
};

const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(40);

/// How many mails may be on their way to the sink at once: as many as the reference has sessions.
pub const IN_FLIGHT: u32 = 16;

/// A place for the product's files, which outlives its processes.
pub struct Home {
    dir: TempDir,
    config: PathBuf,
    port: u16,
}

/// The one mail channel of the plan.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whether it holds what it accepts.
    pub paused: bool,
    /// Its provider.
    pub via: Via,
}

/// By what a channel sends.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// By SMTP, to a server of ours.
    Smtp {
        /// Where it listens.
        port: u16,
    },
    /// By a provider that only counts.
    Counter {
        /// What it promises about repeating.
        repeat: &'static str,
        /// Calls in flight.
        calls: u32,
    },
}

/// A running product.
pub struct Product {
    process: Process,
    /// Where it listens.
    pub port: u16,
}

impl Home {
    /// An empty embedded store and a free port.
    pub fn new(ground: &Ground) -> Result<Self> {
        let dir = ground.fresh("product")?;
        let store = format!("sqlite:{}", dir.path().join("hongyan.db").display());
        let key = dir.path().join("master.key");
        Self::of(dir, &store, &key)
    }

    /// A free port for a node on a store that it may share with others, who have the same key.
    pub fn on(ground: &Ground, store: &str, key: &Path) -> Result<Self> {
        Self::of(ground.fresh("node")?, store, key)
    }

    fn of(dir: TempDir, store: &str, key: &Path) -> Result<Self> {
        let port = free_port()?;
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nstore = \"{store}\"\nsecret_file = \"{}\"\n\
             admin_token = \"bench-administrator-token\"\n",
            key.display()
        );
        let config = dir.path().join("hongyan.toml");
        std::fs::write(&config, text).context("cannot write the configuration")?;
        Ok(Self { dir, config, port })
    }

    /// Starts the product and waits until it says that it is ready.
    pub async fn start(&self, ground: &Ground, plan: Plan) -> Result<Product> {
        self.start_with(ground, &plan.text()).await
    }

    /// The same with a plan of one's own.
    pub async fn start_with(&self, ground: &Ground, plan: &str) -> Result<Product> {
        let path = self.dir.path().join("plan.toml");
        std::fs::write(&path, plan).context("cannot write the plan")?;
        let log_path = self.dir.path().join("log");
        let log = File::options().create(true).append(true).open(&log_path).context("cannot write the log")?;
        let mut command = Command::new(&ground.product);
        command.arg("serve").arg("--config").arg(&self.config).arg("--plan").arg(&path);
        for name in ["HONGYAN_LISTEN", "HONGYAN_STORE", "HONGYAN_SECRET_FILE", "HONGYAN_ADMIN_TOKEN"] {
            command.env_remove(name);
        }
        command.stdout(log.try_clone()?).stderr(log).current_dir(self.dir.path());
        let mut product = Product { process: Process::start("hongyan", &mut command)?, port: self.port };
        let ready = async || {
            product.process.check()?;
            let answer = http::get(self.port, "/readyz").await;
            Ok(answer.is_ok_and(|(status, _)| status == 200).then_some(()))
        };
        until("hongyan is ready", START_MAX, ready).await.with_context(|| {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("its log ends with:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
        })?;
        Ok(product)
    }
}

impl Plan {
    fn text(self) -> String {
        let Self { paused, via } = self;
        let (app, secret) = (mail::APP, mail::SECRET);
        let provider = match via {
            Via::Smtp { port } => format!(
                "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nmax_in_flight = {IN_FLIGHT}"
            ),
            Via::Counter { repeat, calls } => {
                format!("kind = \"test\"\nrepeat = \"{repeat}\"\nmax_in_flight = {calls}")
            }
        };
        format!(
            "[settings]\ncmsi.wait = \"0s\"\n\n\
             [[app]]\ncode = \"{app}\"\nsecret = \"{secret}\"\ntrusted = true\n\n\
             [[provider]]\ncode = \"sink\"\nsender = \"bench@example.com\"\n{provider}\n\n\
             [[channel]]\ncode = \"1003\"\nkind = \"mail\"\nproviders = [\"sink\"]\npaused = {paused}\n"
        )
    }
}

/// A plan for the push platform: an app that need not sign, people with mailboxes, and paused mail channels.
pub fn push_plan(port: u16, channels: &[&str], people: &[&str]) -> String {
    let (app, secret) = (mail::APP, mail::SECRET);
    let person = |code: &&str| format!("[[user]]\ncode = \"{code}\"\nemail = \"{code}@example.com\"\n\n");
    let channel = |code: &&str| {
        format!("[[channel]]\ncode = \"{code}\"\nkind = \"mail\"\nproviders = [\"sink\"]\npaused = true\n\n")
    };
    format!(
        "[[app]]\ncode = \"{app}\"\nsecret = \"{secret}\"\nrequire_signature = false\n\n\
         [[provider]]\ncode = \"sink\"\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         sender = \"bench@example.com\"\n\n{}{}",
        people.iter().map(person).collect::<String>(),
        channels.iter().map(channel).collect::<String>(),
    )
}

impl Product {
    /// The sum of a metric over all its labels; 0 when it has not appeared yet.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        let (status, page) = http::get(self.port, "/metrics").await?;
        if status != 200 {
            bail!("/metrics answers {status}");
        }
        Ok(sum_of(&page, name) as u64)
    }

    /// Waits until the store holds at least `least` mails, and checks that it holds no more than `most`.
    pub async fn holds(&self, least: u64, most: u64) -> Result<u64> {
        let mut seen = 0;
        let found = until("the queue is as long as what was accepted", Duration::from_secs(15), async || {
            seen = self.metric("hongyan_queue_depth").await?;
            Ok((seen >= least).then_some(seen))
        });
        let depth = found.await.with_context(|| format!("accepted {least}, the store holds {seen}"))?;
        if depth > most {
            bail!("accepted between {least} and {most}, the store holds {depth}");
        }
        Ok(depth)
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Stops it in good order.
    pub async fn stop(self) -> Result<()> {
        self.process.terminate(STOP_MAX).await
    }

    /// Kills it.
    pub async fn kill(self) -> Result<()> {
        self.process.kill().await
    }
}

/// The sum of a metric's values in a page of the Prometheus text format.
fn sum_of(page: &str, name: &str) -> f64 {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let page = "# TYPE a_total counter\na_total{channel=\"1\"} 3\na_total{channel=\"}2\"} 4 170000\n\
                    a_total_more{channel=\"1\"} 9\nb 5\n";
        assert_eq!(sum_of(page, "a_total"), 7.0);
        assert_eq!(sum_of(page, "b"), 5.0);
        assert_eq!(sum_of(page, "c"), 0.0);
    }

    #[test]
    fn the_plan_is_toml() {
        let plan: toml::Table = Plan { paused: true, via: Via::Smtp { port: 2525 } }.text().parse().unwrap();
        assert_eq!(plan["channel"][0]["paused"], toml::Value::Boolean(true));
        assert_eq!(plan["provider"][0]["port"], toml::Value::Integer(2525));
        assert_eq!(plan["settings"]["cmsi"]["wait"].as_str(), Some("0s"));
        let via = Via::Counter { repeat: "at_most_once", calls: 64 };
        let plan: toml::Table = Plan { paused: false, via }.text().parse().unwrap();
        assert_eq!(plan["provider"][0]["repeat"].as_str(), Some("at_most_once"));
        let plan: toml::Table = push_plan(2525, &["1003", "1004"], &["A"]).parse().unwrap();
        assert_eq!(plan["channel"][1]["paused"], toml::Value::Boolean(true));
        assert_eq!(plan["user"][0]["email"].as_str(), Some("A@example.com"));
    }
}
