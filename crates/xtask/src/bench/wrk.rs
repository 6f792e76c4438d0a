//! `wrk` with a script that reads every answer.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{ground::Ground, mail};

/// `wrk` runs on one thread for each server: it needs less than one core, and the server needs the rest.
pub const THREADS: usize = 1;

/// What a run counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// Successful answers.
    pub good: u64,
    /// How long it ran.
    pub took: Duration,
    /// The median time to an answer, in milliseconds.
    pub p50: f64,
    /// The time that one answer in a hundred exceeds.
    pub p99: f64,
}

impl Counted {
    /// Successful answers per second.
    pub fn rate(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64()
    }
}

/// Posts a mail over `connections` kept connections, spread over the ports, for some seconds. Fails when any answer was not a success.
pub async fn run(ground: &Ground, ports: &[u16], connections: usize, seconds: u64, body: &str) -> Result<Counted> {
    run_at(ground, ports, connections, seconds, mail::PATH, body).await
}

/// The same with a body for another path.
pub async fn run_at(
    ground: &Ground,
    ports: &[u16],
    connections: usize,
    seconds: u64,
    path: &str,
    body: &str,
) -> Result<Counted> {
    let dir = ground.fresh("wrk")?;
    let (script, body_file) = (dir.path().join("wrk.lua"), dir.path().join("body.json"));
    std::fs::write(&script, include_str!("wrk.lua")).context("cannot write the script")?;
    std::fs::write(&body_file, body).context("cannot write the body")?;
    let mut command = Command::new(&ground.tools.wrk);
    let first = ports.first().context("nobody to load")?;
    let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let threads = THREADS * ports.len();
    command.args([format!("-t{threads}"), format!("-c{connections}"), format!("-d{seconds}s")]);
    command.args(["--timeout", "10s", "-s"]).arg(&script).arg(format!("http://127.0.0.1:{first}{path}"));
    let output = command
        .env("BENCH_BODY", &body_file)
        .env("BENCH_PORTS", list)
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("BENCH "));
    let line = line.with_context(|| format!("wrk says: {text}{}", String::from_utf8_lossy(&output.stderr)))?;
    counted(line)
}

fn counted(line: &str) -> Result<Counted> {
    let (numbers, sample) = line.split_once(" sample=").context("a cut line")?;
    let number = |name: &str| -> Result<u64> {
        let field = numbers.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        field.and_then(|value| value.parse().ok()).with_context(|| format!("no {name} in {line}"))
    };
    let (bad, errors) = (number("bad")?, number("errors")?);
    if bad > 0 || errors > 0 {
        bail!("{bad} answers were no success (first: {sample}), {errors} connection errors or timeouts");
    }
    Ok(Counted {
        good: number("good")?,
        took: Duration::from_micros(number("micros")?),
        p50: number("p50")? as f64 / 1000.0,
        p99: number("p99")? as f64 / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_run_is_counted() {
        let counted = counted("good=20000 bad=0 micros=2000000 p50=1500 p99=9000 errors=0 sample=").unwrap();
        assert_eq!(counted.rate(), 10_000.0);
        assert_eq!((counted.p50, counted.p99), (1.5, 9.0));
    }

    #[test]
    fn one_refusal_fails_the_run() {
        let refused = counted("good=9 bad=1 micros=1 p50=1 p99=1 errors=0 sample=200 {\"result\": false}");
        assert!(refused.unwrap_err().to_string().contains("{\"result\": false}"));
        assert!(counted("good=9 bad=0 micros=1 p50=1 p99=1 errors=2 sample=").is_err());
    }
}
