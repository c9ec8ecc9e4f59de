//! What one child process costs.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wait4::Wait4 as _;

/// What one run of a program took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// In the program and in the kernel on its behalf.
    pub(super) cpu: Duration,
    /// The most memory that was resident at a time. The kernel also counts what this process had when it started the
    /// child, a few megabytes, so that is the least that can be seen.
    pub(super) peak_bytes: u64,
}

/// Runs the program to its end. A failure is an error with what it said.
pub(super) fn measure(command: &mut Command) -> Result<Cost> {
    measure_into(command, Stdio::null())
}

/// The same, with what the program wrote to its standard output.
pub(super) fn measure_output(command: &mut Command) -> Result<(Cost, String)> {
    let mut written = tempfile::tempfile()?;
    let cost = measure_into(command, written.try_clone()?.into())?;
    let mut text = String::new();
    written.rewind()?;
    written.read_to_string(&mut text)?;
    Ok((cost, text))
}

fn measure_into(command: &mut Command, stdout: Stdio) -> Result<Cost> {
    let mut said = tempfile::tempfile()?;
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(said.try_clone()?);
    let started = Instant::now();
    let used = command
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?
        .wait4()?;
    let wall = started.elapsed();
    if !used.status.success() {
        let mut text = String::new();
        said.rewind()?;
        said.read_to_string(&mut text)?;
        bail!("{command:?} ended with {}:\n{text}", used.status);
    }
    Ok(Cost {
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        peak_bytes: used.rusage.maxrss,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_works_costs_processor_time_and_memory() {
        let cost = measure(
            Command::new("sh").args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]),
        )
        .unwrap();
        assert!(cost.cpu > Duration::ZERO && cost.cpu <= cost.wall * 2);
        assert!(cost.peak_bytes > 100_000, "{cost:?}");
    }

    #[test]
    fn what_a_program_writes_can_be_had() {
        let (_, text) = measure_output(Command::new("sh").args(["-c", "echo done"])).unwrap();
        assert_eq!(text, "done\n");
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_what_it_said() {
        let error =
            measure(Command::new("sh").args(["-c", "echo no room >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("no room"), "{error}");
    }
}
