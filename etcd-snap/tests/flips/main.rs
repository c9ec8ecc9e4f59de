//! Random bits of real snapshots, flipped one at a time.
//!
//! The digest finds every one. Where the digest was made after the flip, the page and the record check find whatever etcd's own
//! tools refuse, and whatever a real server stumbles over when it starts from the file and reads everything; but for what
//! nothing else in a file speaks of: values, and pages that are free.
//!
//! A usual run takes some of the bits, and starts few servers. With ETCD_SNAP_TEST_FULL set: all of 2000 bits of each file, and 240
//! servers; `--nocapture` shows the counts.

mod boots;
mod counts;
mod regions;
mod tools;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use etcd_snap::{ErrorKind, HashKvOptions, Snapshot, VerifyOptions, hash_kv, status, verify};
use etcd_snap_testdata::database::{Image, Random};
use etcd_snap_testdata::{FULL, golden, sample};

use crate::regions::{Region, regions};

const BITS: usize = 2000;

fn full() -> bool {
    std::env::var_os(FULL).is_some()
}

/// The Kubernetes snapshots that lie beside the source tree on some machines.
fn kubernetes() -> Vec<PathBuf> {
    let folder = etcd_snap_testdata::folder().join("../../shared/testdata/kubernetes");
    let names = ["cluster-3.6.db", "cluster-encrypted-3.6.db"];
    let files = names.map(|name| folder.join(name));
    if files.iter().all(|file| file.is_file()) {
        files.into()
    } else {
        println!(
            "skipped: there are no Kubernetes snapshots in {}",
            folder.display()
        );
        Vec::new()
    }
}

/// A sound snapshot, and which of its bits are flipped.
struct Subject {
    name: String,
    file: Vec<u8>,
    regions: Vec<Region>,
    bits: Vec<usize>,
}

impl Subject {
    /// Always the same bits of the same file.
    fn new(path: &Path) -> Result<Self> {
        let file =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut random = Random::new(2000);
        let mut bits = BTreeSet::new();
        while bits.len() < BITS {
            bits.insert(random.below(8 * file.len()));
        }
        Ok(Self {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            regions: regions(&file),
            bits: bits.into_iter().collect(),
            file,
        })
    }

    fn region(&self, bit: usize) -> Region {
        self.regions[bit / 8]
    }

    fn flipped(&self, bit: usize) -> Vec<u8> {
        let mut flipped = self.file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    }

    /// With a digest that was made after the flip. Of a bit in the digest nothing is left then.
    fn resealed(&self, bit: usize) -> Option<Vec<u8>> {
        if self.region(bit) == Region::Digest {
            return None;
        }
        let mut flipped = self.flipped(bit);
        flipped.truncate(flipped.len() - 32);
        Some(Image::new(flipped, 4096).sealed())
    }

    fn what(&self, bit: usize) -> String {
        format!(
            "{}, bit {} of byte {}, {}",
            self.name,
            bit % 8,
            bit / 8,
            self.region(bit)
        )
    }
}

/// Whether it is no backup. Whatever is in it, all verbs are of one mind.
fn is_found(file: &[u8]) -> Result<bool> {
    let snapshot = match Snapshot::from_source("the file", Arc::new(file.to_vec())) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            ensure!(
                matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotASnapshot),
                "{error}"
            );
            return Ok(true);
        }
    };
    let report = verify(&snapshot, &VerifyOptions::default())?;
    let sound = status(&snapshot).is_ok();
    ensure!(sound == hash_kv(&snapshot, &HashKvOptions::default()).is_ok());
    ensure!(sound || !report.is_sound());
    Ok(!report.is_sound())
}

fn every_file() -> Vec<PathBuf> {
    [golden::snapshots(), kubernetes()].concat()
}

#[test]
fn the_digest_finds_every_flipped_bit() -> Result<()> {
    for path in every_file() {
        let subject = Subject::new(&path)?;
        let bits = sample(subject.bits.iter().copied(), 40);
        for bit in &bits {
            ensure!(is_found(&subject.flipped(*bit))?, "{}", subject.what(*bit));
        }
        println!(
            "{}: {} bits, all found by the digest",
            subject.name,
            bits.len()
        );
    }
    Ok(())
}

/// What nothing refers to can be anything.
#[test]
fn free_pages_and_unused_page_ends_are_nobodys_business() -> Result<()> {
    for path in every_file() {
        let subject = Subject::new(&path)?;
        for bit in sample(subject.bits.iter().copied(), 40) {
            if matches!(subject.region(bit), Region::FreePage | Region::Unused) {
                let file = subject.resealed(bit).context("no digest there")?;
                ensure!(!is_found(&file)?, "{}", subject.what(bit));
            }
        }
    }
    Ok(())
}
