//! Building what is measured, and finding or installing the programs that load and judge it.

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::tree::root;

/// Programs that are not ours.
pub struct Tools {
    /// The HTTP load generator.
    pub wrk: PathBuf,
    /// Postfix's SMTP sink, which counts.
    pub smtp_sink: PathBuf,
    /// Postfix's SMTP load generator.
    pub smtp_source: PathBuf,
    /// Postfix's own control command.
    pub postfix: PathBuf,
    /// Whether this runs as root; Postfix and its tools behave differently then.
    pub root: bool,
}

impl Tools {
    /// Finds them, or has Debian's package manager install them.
    pub fn find_or_install() -> Result<Self> {
        let names = ["wrk", "smtp-sink", "smtp-source", "postfix"];
        if names.iter().any(|name| find(name).is_none()) {
            install(&["wrk", "postfix"])?;
        }
        let path = |name: &str| find(name).with_context(|| format!("{name} is not installed"));
        Ok(Self {
            wrk: path("wrk")?,
            smtp_sink: path("smtp-sink")?,
            smtp_source: path("smtp-source")?,
            postfix: path("postfix")?,
            root: is_root(),
        })
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let script = "PATH=\"$PATH:/usr/sbin:/sbin\"; command -v \"$0\"";
    let path = output_of(Command::new("sh").args(["-c", script, name])).ok()?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// Installs Debian packages. Postfix is told to configure nothing, so that no mail server starts on the machine.
fn install(packages: &[&str]) -> Result<()> {
    crate::note(&format!("installing {}", packages.join(", ")));
    let script = "set -e; export DEBIAN_FRONTEND=noninteractive; \
                  echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections; \
                  apt-get update -q; apt-get install -q -y --no-install-recommends \"$@\"";
    let mut command = if is_root() { Command::new("sh") } else { Command::new("sudo") };
    if !is_root() {
        command.args(["-n", "sh"]);
    }
    command.args(["-c", script, "install"]).args(packages).stdout(Stdio::null());
    let status = command.status().context("cannot run the package manager")?;
    if !status.success() {
        bail!("could not install {}: install them by hand and run again", packages.join(", "));
    }
    Ok(())
}

/// Builds this program optimised and becomes it: load generator and sink must not be what is slow.
pub fn run_optimised() -> Result<ExitCode> {
    cargo_build("xtask")?;
    let program = root()?.join("target/release/xtask");
    let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// Builds the product as it is released and says where it is.
pub fn build_product() -> Result<PathBuf> {
    cargo_build("hongyan")?;
    Ok(root()?.join("target/release/hongyan"))
}

fn cargo_build(package: &str) -> Result<()> {
    crate::note(&format!("building {package}"));
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet", "--release", "--package", package, "--target-dir", "target"]);
    let status = command.current_dir(root()?).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("{package} does not build");
    }
    Ok(())
}

/// What a command says on standard output, without the last newline.
pub fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
