//! The files are those of the recipes, and all of them are there.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::corpus::{self, Specimen};

use crate::{files, folders, name, updating};

fn all() -> [Vec<Specimen>; 2] {
    [corpus::damaged(), corpus::sound()]
}

#[test]
fn every_file_is_what_its_recipe_makes() -> Result<()> {
    for (folder, specimens) in folders().iter().zip(all()) {
        for specimen in specimens {
            let path = folder.join(format!("{}.db", specimen.name));
            let bytes = fs::read(&path)
                .with_context(|| format!("{}: type cargo xtask corpus", path.display()))?;
            ensure!(
                bytes == specimen.bytes,
                "{} is not what its recipe makes: type cargo xtask corpus --bless",
                path.display()
            );
        }
    }
    Ok(())
}

#[test]
fn no_file_is_without_a_recipe() -> Result<()> {
    for (folder, specimens) in folders().iter().zip(all()) {
        let known: BTreeSet<_> = specimens
            .iter()
            .map(|specimen| specimen.name.to_owned())
            .collect();
        let there: BTreeSet<_> = files(folder)?.iter().map(|file| name(file)).collect();
        ensure!(
            known == there,
            "{}: type cargo xtask corpus",
            folder.display()
        );
        let texts = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
        let texts = texts
            .iter()
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|kind| kind == "expected")
            })
            .count();
        ensure!(
            texts == known.len() || updating(),
            "{}: {texts} expectations for {} files",
            folder.display(),
            known.len()
        );
    }
    Ok(())
}

/// Two recipes for one file would mean that one of them does not do what it says.
#[test]
fn no_two_files_are_equal() {
    let all = all().concat();
    for (n, one) in all.iter().enumerate() {
        for other in &all[n + 1..] {
            assert!(
                one.bytes != other.bytes,
                "{} and {} are the same",
                one.name,
                other.name
            );
        }
    }
}
