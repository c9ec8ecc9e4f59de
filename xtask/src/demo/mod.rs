//! `cargo xtask demo`: the whole way once, for somebody who has never seen it.
//!
//! What is shown is what happens: the commands on the screen are those that run, in the demo's folder, and whatever is said
//! to hold was compared. The demo fails when it does not.

mod etcd_snap;
mod interrupt;
mod load;
mod narrator;
mod offline;
mod prepare;
mod real;
mod wrap;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use etcd_snap_testdata::etcd::Version;
use tempfile::TempDir;

use interrupt::Interrupt;
use narrator::Narrator;

pub(crate) use interrupt::Stopped;
pub(crate) use narrator::NoReader;

/// Watch a cluster get lost and come back from a snapshot
///
/// Gets a real etcd, starts three members with mutual TLS, writes keys, saves, verifies, destroys the cluster, restores all
/// members, starts them and compares what they hold with what was written. Everything is removed in the end.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The minor of etcd: 3.4, 3.5, 3.6 or 3.7
    #[arg(long, value_name = "MINOR", default_value_t = Version::NEWEST)]
    etcd: Version,
    /// Run no etcd: save from a stand-in that serves the bundled snapshot of a real one
    #[arg(long, conflicts_with = "etcd")]
    offline: bool,
    /// Leave snapshot, data directories, logs and certificates there, and say where
    #[arg(long)]
    keep: bool,
    /// Show this etcd-snap instead of building the one in the source tree
    #[arg(long, value_name = "FILE")]
    etcd_snap: Option<PathBuf>,
}

/// Runs the demo to its end. A signal is an error of type [`Stopped`], standard output that nobody reads one of type
/// [`NoReader`]; in both cases, as after every failure, all is cleaned up.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.offline {
        offline::run(arguments)
    } else {
        real::run(arguments)
    }
}

/// Lets the acts play in a folder of their own, which is gone afterwards whatever happens, or kept if that is wanted.
fn on_stage(
    arguments: &Arguments,
    narrator: &mut Narrator,
    kept: &[(&str, &str)],
    acts: impl FnOnce(&mut Narrator, &Path) -> Result<()>,
) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut folder = tempfile::Builder::new()
        .prefix("etcd-snap-demo-")
        .tempdir()
        .context("cannot make a folder for the demo")?;
    let place = folder.path().display().to_string();
    let done = interrupt.explain(acts(narrator, folder.path()));
    if arguments.keep {
        folder.disable_cleanup(true);
    } else {
        remove(folder)?;
    }
    match done {
        Ok(()) => {
            narrator.summary()?;
            narrator.epilogue(&place, arguments.keep.then_some(kept))
        }
        Err(error) if error.is::<NoReader>() => Err(error),
        Err(error) => {
            narrator.aside(&if arguments.keep {
                format!("What there is of it is kept in {place}")
            } else {
                "Everything is removed again.".to_owned()
            });
            Err(error)
        }
    }
}

fn remove(folder: TempDir) -> Result<()> {
    let place = folder.path().to_owned();
    folder
        .close()
        .with_context(|| format!("cannot remove the folder of the demo, {}", place.display()))
}
