//! What the numbers were measured on.

use std::process::Command;

use super::{ground::Ground, tools::output_of, wrk};

/// The machine, the compiler and the commit, a line each.
pub fn describe(ground: &Ground) -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = read("/proc/meminfo");
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let gib = kib.map_or(0.0, |kib: f64| kib / f64::from(1 << 20));
    let said = |program: &str, args: &[&str]| {
        output_of(Command::new(program).args(args)).unwrap_or_else(|_| format!("{program}: unknown"))
    };
    let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    let Ground { workers, .. } = ground;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        format!("cores: {cores} ({}), {gib:.1} GiB", model.map_or("unknown", |(_, name)| name)),
        format!("kernel: {}", read("/proc/sys/kernel/osrelease").trim()),
        format!("rustc: {}", said("rustc", &["--version"])),
        format!(
            "commit: {}{}",
            said("git", &["rev-parse", "--short=12", "HEAD"]),
            if changed { ", with changes" } else { "" }
        ),
        format!("load: wrk -t{} or the chore's own generator; servers on {workers} worker threads each", wrk::THREADS),
    ]
}
