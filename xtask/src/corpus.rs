//! `cargo xtask corpus`: the damaged and the sound files in testdata, made anew from their recipes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use etcd_snap_testdata::corpus::{self, Specimen};

use crate::test::{cargo, succeed};

/// Write the damaged and the sound files in testdata, as their recipes in testdata/src/corpus say
///
/// The findings that are expected in a file stand beside it, and how etcd's own tools judge all of them in
/// damaged/verdicts.txt. --bless writes these too, as they are found now: look at the difference before it is committed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write down what is found in the files now, by etcd-snap and by etcd's own tools
    #[arg(long)]
    bless: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for (folder, specimens) in [
        (corpus::damaged_folder(), corpus::damaged()),
        (corpus::sound_folder(), corpus::sound()),
    ] {
        write(&folder, &specimens)?;
        let bytes: usize = specimens.iter().map(|specimen| specimen.bytes.len()).sum();
        println!(
            "{}: {} files, {} KiB",
            folder.display(),
            specimens.len(),
            bytes / 1024
        );
    }
    if arguments.bless {
        crate::etcd::get(&etcd_snap_testdata::etcd::Version::ALL)?;
        succeed(
            cargo(&["test", "--package", "etcd-snap-cli", "--test", "corpus"])
                .env("ETCD_SNAP_UPDATE_GOLDEN", "1"),
        )?;
    }
    Ok(())
}

/// The files, and nothing of those that have no recipe any more.
fn write(folder: &Path, specimens: &[Specimen]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file = path
            .extension()
            .is_some_and(|kind| kind == "db" || kind == "expected");
        let known = specimens
            .iter()
            .any(|specimen| path.file_stem().is_some_and(|stem| stem == specimen.name));
        if file && !known {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    for specimen in specimens {
        let path = folder.join(format!("{}.db", specimen.name));
        fs::write(&path, &specimen.bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
