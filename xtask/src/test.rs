//! `cargo xtask test`: everything that must hold before a change lands, in one command.

mod package;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use etcd_snap_testdata::etcd::Version;

use crate::workspace;

/// Run all tests, real servers included, and all checks
///
/// Gets what it needs first: etcd 3.4 to 3.7, rustfmt, clippy and strace. Long lists of cases are sampled, by a seed that is
/// printed; --full runs them all.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run the long lists whole, which takes an hour or more
    #[arg(long)]
    full: bool,
    /// Choose the cases of a usual run; by default the commit does
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// One thing that must hold.
struct Step {
    name: &'static str,
    run: fn(&Arguments) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step {
        name: "tools",
        run: tools,
    },
    Step {
        name: "rustfmt",
        run: rustfmt,
    },
    Step {
        name: "clippy",
        run: clippy,
    },
    Step {
        name: "rustdoc",
        run: rustdoc,
    },
    Step {
        name: "fuzz targets build",
        run: fuzz_targets,
    },
    Step {
        name: "packages, and a program without default features",
        run: |_| package::check(),
    },
    Step {
        name: "real etcd servers",
        run: servers,
    },
    Step {
        name: "tests",
        run: tests,
    },
    Step {
        name: "the static binary in an empty root directory",
        run: |_| crate::dist::check(),
    },
    Step {
        name: "doctests",
        run: doctests,
    },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let mut times = Vec::new();
    for step in STEPS {
        eprintln!("== {}", step.name);
        let began = Instant::now();
        (step.run)(arguments).with_context(|| format!("the step \"{}\" failed", step.name))?;
        times.push((step.name, began.elapsed()));
    }
    eprintln!("== everything holds");
    for (name, time) in times {
        eprintln!("{:>8}  {name}", seconds(time));
    }
    eprintln!("{:>8}  together", seconds(started.elapsed()));
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// `cargo` in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(arguments);
    crate::protoc::tell(&mut command);
    command
}

pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// rustfmt and clippy come with rustup, not with every installation of Rust; protoc is for the feature etcd-client; strace kills
/// the command before each of its calls.
fn tools(_: &Arguments) -> Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let there = cargo(&[tool, "--version"])
            .output()
            .is_ok_and(|output| output.status.success());
        if !there {
            succeed(Command::new("rustup").args(["component", "add", component])).with_context(
                || format!("{component} is missing; type: rustup component add {component}"),
            )?;
        }
    }
    crate::protoc::provide()?;
    let traces = || {
        Command::new("strace")
            .arg("-V")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !traces() {
        for arguments in [&["update", "-qq"][..], &["install", "-qq", "-y", "strace"]] {
            succeed(Command::new("apt-get").args(arguments))
                .context("strace is missing; as root: apt-get install strace")?;
        }
    }
    Ok(())
}

fn rustfmt(_: &Arguments) -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"])).context("type: cargo fmt --all")
}

fn clippy(_: &Arguments) -> Result<()> {
    let strict = ["--", "-D", "warnings"];
    let all = ["clippy", "--workspace", "--all-targets", "--all-features"];
    succeed(&mut cargo(&[&all[..], &strict].concat()))?;
    for features in [&[][..], &["--features", "stream"]] {
        let some = ["clippy", "-p", "etcd-snap", "--no-default-features"];
        succeed(&mut cargo(&[&some[..], features, &strict].concat()))?;
    }
    Ok(())
}

fn rustdoc(_: &Arguments) -> Result<()> {
    succeed(
        cargo(&["doc", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Without the fuzzer itself, which wants a C++ compiler; with the doors that it opens.
fn fuzz_targets(_: &Arguments) -> Result<()> {
    succeed(
        cargo(&[
            "clippy",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--no-default-features",
            "--",
            "-D",
            "warnings",
        ])
        .env("RUSTFLAGS", "--cfg fuzzing"),
    )
}

fn servers(_: &Arguments) -> Result<()> {
    crate::etcd::get(&Version::ALL).map(drop)
}

fn tests(arguments: &Arguments) -> Result<()> {
    let mut command = cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--lib",
        "--bins",
        "--tests",
    ]);
    if arguments.full {
        command.env(etcd_snap_testdata::FULL, "1");
    } else {
        let seed = arguments.seed.unwrap_or_else(seed_of_commit);
        eprintln!("the seed is {seed}; the same cases again: cargo xtask test --seed {seed}");
        command.env(etcd_snap_testdata::SEED, seed.to_string());
    }
    succeed(&mut command)
}

fn doctests(_: &Arguments) -> Result<()> {
    succeed(&mut cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--doc",
    ]))
}

/// Each commit tests other cases, and the same commit the same ones.
fn seed_of_commit() -> u64 {
    let head = Command::new("git")
        .current_dir(workspace())
        .args(["rev-parse", "HEAD"])
        .output();
    let text = head.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|hash| u64::from_str_radix(hash.get(..8)?, 16).ok())
        .unwrap_or_default()
}
