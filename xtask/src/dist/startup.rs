//! What it takes to start.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use wait4::Wait4 as _;

/// What is promised.
pub(super) const MOST: Duration = Duration::from_millis(10);

const RUNS: usize = 21;

/// The median of the processor time, user and system, of `--version`.
pub(super) fn measure(program: &Path) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let used = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?
            .wait4()?;
        ensure!(
            used.status.success(),
            "--version ended with {}",
            used.status
        );
        times.push(used.rusage.utime + used.rusage.stime);
    }
    times.sort();
    Ok(times[RUNS / 2])
}
