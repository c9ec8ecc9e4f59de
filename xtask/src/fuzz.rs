//! `cargo xtask fuzz`: every fuzz target for some minutes, and what came of it.

mod seeds;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use comfy_table::{Table, presets};

use crate::test::succeed;
use crate::workspace;

/// Give random bytes to everything that reads untrusted ones
///
/// Runs each fuzz target in turn, with libFuzzer; gets cargo-fuzz where it is missing. What is learned on the way stays in
/// target/fuzz-corpus, so that the next run begins there. Fails where a target finds something.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these targets
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Let the address sanitizer watch, which takes a nightly toolchain and ten times as long; the code that is tested has no
    /// `unsafe` in it, but some that it builds on has
    #[arg(long)]
    sanitizer: bool,
    /// Make the seeds anew that come from real servers, instead of fuzzing
    #[arg(long, conflicts_with_all = ["targets", "minutes", "sanitizer"])]
    make_seeds: bool,
}

/// What a target did.
struct Run {
    target: String,
    executions: u64,
    took: Duration,
    peak_mib: Option<u64>,
    /// Files that made it fail.
    found: Vec<PathBuf>,
    /// It ended otherwise than it should.
    failed: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.make_seeds {
        return seeds::make();
    }
    let all = targets()?;
    for target in &arguments.targets {
        ensure!(
            all.contains(target),
            "there is no target {target:?}, only {}",
            all.join(", ")
        );
    }
    let chosen = if arguments.targets.is_empty() {
        &all
    } else {
        &arguments.targets
    };
    provide()?;
    let fuzzer = Fuzzer::choose(arguments.sanitizer)?;
    succeed(fuzzer.command("build", &[]).stdout(Stdio::null()))
        .context("the targets do not build")?;

    let mut runs = Vec::new();
    for target in chosen {
        let minutes = arguments.minutes;
        eprintln!("== {target}, {minutes} min");
        runs.push(fuzzer.run(target, Duration::from_secs(60 * minutes))?);
    }
    println!("{}", table(&runs));
    report_findings(&runs)
}

/// The targets there are.
fn targets() -> Result<Vec<String>> {
    let folder = workspace().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        let name = path.file_stem().context("a file's name")?;
        targets.push(name.to_string_lossy().into_owned());
    }
    targets.sort();
    Ok(targets)
}

fn provide() -> Result<()> {
    let there = Command::new("cargo")
        .args(["fuzz", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("cargo-fuzz is missing: cargo install cargo-fuzz --locked");
        succeed(Command::new("cargo").args(["install", "cargo-fuzz", "--locked"]))?;
    }
    Ok(())
}

/// The toolchain, and what it watches.
struct Fuzzer {
    toolchain: &'static str,
    sanitizer: &'static str,
}

impl Fuzzer {
    /// Nightly where it is there. Stable does as well, without a sanitizer.
    fn choose(sanitizer: bool) -> Result<Self> {
        let nightly = Command::new("rustup")
            .args(["run", "nightly", "rustc", "--version"])
            .output()
            .is_ok_and(|output| output.status.success());
        ensure!(
            nightly || !sanitizer,
            "the sanitizer is for nightly only; type: rustup toolchain install nightly"
        );
        Ok(Self {
            toolchain: if nightly { "nightly" } else { "stable" },
            sanitizer: if sanitizer { "address" } else { "none" },
        })
    }

    /// `cargo fuzz` with one of its commands. The variables of the cargo that runs us would choose its toolchain.
    fn command(&self, what: &str, more: &[&str]) -> Command {
        let mut command = Command::new("rustup");
        command
            .args(["run", self.toolchain, "cargo", "fuzz", what])
            .args(["--sanitizer", self.sanitizer])
            .args(more)
            .current_dir(workspace())
            .env_remove("CARGO")
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    }

    fn run(&self, target: &str, duration: Duration) -> Result<Run> {
        let learned = etcd_snap_testdata::target_folder()
            .join("fuzz-corpus")
            .join(target);
        fs::create_dir_all(&learned)?;
        let learned = learned.canonicalize()?;
        let artifacts = workspace().join("fuzz/artifacts").join(target);
        let before = files(&artifacts)?;
        if target == "node" {
            for (name, machine) in etcd_snap_testdata::fuzz::machines()? {
                fs::write(learned.join(name), machine)?;
            }
        }
        let seeds = etcd_snap_testdata::fuzz::folders(target);
        let mut command = self.command("run", &[target]);
        command.arg(&learned);
        command.args(seeds.iter().filter(|folder| folder.is_dir()));
        command.args([
            "--",
            &format!("-max_total_time={}", duration.as_secs()),
            "-print_final_stats=1",
            // A file of any size is answered within a moment; these are small.
            "-timeout=20",
            "-rss_limit_mb=2048",
        ]);
        // Restored members are written and thrown away.
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            command.env("TMPDIR", memory);
        }
        let began = Instant::now();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start cargo fuzz")?;
        let said = child.stderr.take().context("its words")?;
        let (mut executions, mut peak_mib) = (0, None);
        let mut last = Vec::new();
        for line in BufReader::new(said).lines() {
            let line = line?;
            if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
                executions = number.trim().parse()?;
            } else if let Some(number) = line.strip_prefix("stat::peak_rss_mb:") {
                peak_mib = number.trim().parse().ok();
            }
            last.push(line);
            if last.len() > 120 {
                last.remove(0);
            }
        }
        let status = child.wait()?;
        let found: Vec<_> = files(&artifacts)?
            .into_iter()
            .filter(|file| !before.contains(file))
            .collect();
        if !status.success() {
            eprintln!("{}", last.join("\n"));
        }
        Ok(Run {
            target: target.to_owned(),
            executions,
            took: began.elapsed(),
            peak_mib,
            found,
            failed: !status.success(),
        })
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "target",
        "executions",
        "a second",
        "minutes",
        "peak MiB",
        "findings",
    ]);
    for run in runs {
        let seconds = run.took.as_secs().max(1);
        table.add_row([
            run.target.clone(),
            run.executions.to_string(),
            (run.executions / seconds).to_string(),
            format!("{:.1}", run.took.as_secs_f64() / 60.0),
            run.peak_mib
                .map_or_else(String::new, |peak| peak.to_string()),
            run.found.len().to_string(),
        ]);
    }
    table
}

fn report_findings(runs: &[Run]) -> Result<()> {
    for run in runs {
        for file in &run.found {
            let target = &run.target;
            eprintln!(
                "\n{target} found something: {file}\n\
                 again:   cargo +nightly fuzz run -s none {target} {file}\n\
                 smaller: cargo +nightly fuzz tmin -s none {target} {file}\n\
                 Then put it into testdata/crashes/{target}/ under a name that says what it is; `cargo test` replays it \
                 from there, and fails until the code is mended.",
                file = file.display()
            );
        }
    }
    let failed: Vec<_> = runs
        .iter()
        .filter(|run| run.failed || !run.found.is_empty())
        .map(|run| run.target.as_str())
        .collect();
    if !failed.is_empty() {
        bail!("not well: {}", failed.join(", "));
    }
    Ok(())
}
