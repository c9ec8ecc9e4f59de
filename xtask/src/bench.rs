//! `cargo xtask bench`: etcd-snap, etcd's own tools and the limits of the machine, side by side over one database.

mod comparison;
mod database;
mod document;
mod measure;
mod programs;
mod report;
mod restore;
mod save;
mod stock;
mod summary;
mod verify;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::cluster::Security;

use database::Load;
use programs::Programs;
use report::Report;

/// What the README promises of every verb, at any size of the database.
const PROMISED_PEAK_BYTES: u64 = 64 << 20;

/// Measure save, status, verify and restore beside etcd's own tools and the limits of this machine
///
/// Starts a real etcd, fills it, and lets all programs do the same work in turn. What counts are the ratios of one run: the
/// seconds are this machine's. Fails where etcd-snap takes more than 64 MiB of memory.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    only: Option<Only>,
    /// How large the database gets, roughly
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(8..))]
    size_mib: u64,
    /// How often each program does each work
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Write every single measurement to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Only {
    Restore(restore::Arguments),
    Save(save::Arguments),
    Verify(verify::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.only {
        Some(Only::Restore(arguments)) => restore::run(arguments),
        Some(Only::Save(arguments)) => save::run(arguments),
        Some(Only::Verify(arguments)) => verify::run(arguments),
        None => run_all(arguments),
    }
}

fn run_all(arguments: &Arguments) -> Result<()> {
    let programs = Programs::get()?;
    // Not the machine's temporary folder, which may be in memory, where copying and syncing cost nothing.
    let parent = etcd_snap_testdata::target_folder().join("bench");
    fs::create_dir_all(&parent)?;
    let folder = tempfile::tempdir_in(parent.canonicalize()?)?;
    let snapshot = folder.path().join("snapshot.db");

    let mut comparisons = Vec::new();
    let cluster = database::fill(&Load::of_mib(arguments.size_mib), folder.path())?;
    database::snapshot(&cluster, &snapshot)?;
    comparisons.push(
        programs
            .save(&cluster, "save, plain http")
            .run(arguments.rounds)?,
    );
    drop(cluster);
    let cluster = database::serve(&snapshot, Security::MutualTls, folder.path())?;
    comparisons.push(
        programs
            .save(&cluster, "save, mutual TLS")
            .run(arguments.rounds)?,
    );
    // Nothing else runs while the disk and the processor are measured.
    drop(cluster);
    for comparison in [
        programs.status(&snapshot),
        programs.verify(&snapshot),
        programs.restore(&snapshot, folder.path()),
    ] {
        comparisons.push(comparison.run(arguments.rounds)?);
    }

    let report = Report::new(&snapshot, arguments.rounds, comparisons)?;
    println!("{report}");
    if let Some(file) = &arguments.json {
        fs::write(file, report.to_json()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let peak = report.own_peak_bytes();
    ensure!(
        peak < PROMISED_PEAK_BYTES,
        "etcd-snap took {peak} bytes of memory, more than the {PROMISED_PEAK_BYTES} that it promises to stay below"
    );
    Ok(())
}
