//! The committed damaged and sound files: they are what their recipes make, all that is wrong with them is found, the command
//! ends as it should, and etcd's own tools refuse nothing that we take.
//!
//! With `ETCD_SNAP_UPDATE_GOLDEN` set, what is found is written down instead of compared (`cargo xtask corpus --bless`).

mod committed;
mod findings;
mod upstream;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use etcd_snap::{ErrorKind, Snapshot, VerifyOptions, VerifyReport, verify};
use etcd_snap_testdata::corpus;

/// The two folders, the damaged files first.
fn folders() -> [PathBuf; 2] {
    [corpus::damaged_folder(), corpus::sound_folder()]
}

/// The committed files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "db") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn name(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What the library says of a file, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Proven.
    Sound,
    /// Nothing is wrong, and nothing vouches for it.
    NoDigest,
    Damaged,
    NotASnapshot,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::NoDigest => "no digest",
            Self::Damaged => "damaged",
            Self::NotASnapshot => "not a snapshot",
        }
    }

    fn of_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NoDigest => Self::NoDigest,
            ErrorKind::Damaged | ErrorKind::DigestMismatch => Self::Damaged,
            ErrorKind::NotASnapshot => Self::NotASnapshot,
            other => panic!("{other:?} is no verdict on a file in memory"),
        }
    }

    /// What the documented table of exit codes has for it.
    fn exit_code(self) -> i32 {
        match self {
            Self::Sound => 0,
            Self::NoDigest => 8,
            Self::Damaged => 7,
            Self::NotASnapshot => 9,
        }
    }
}

/// What the library says of a file: the verdict, and the report where it opens, or the sentence where it does not.
fn judge(name: &str, bytes: &[u8]) -> (Verdict, etcd_snap::Result<VerifyReport>) {
    let report = Snapshot::from_source(name, Arc::new(bytes.to_vec()))
        .and_then(|snapshot| verify(&snapshot, &VerifyOptions::default()));
    let verdict = match &report {
        Ok(report) => match report.clone().into_proven() {
            Ok(_) => Verdict::Sound,
            Err(error) => Verdict::of_error(error.kind()),
        },
        Err(error) => Verdict::of_error(error.kind()),
    };
    (verdict, report)
}

fn updating() -> bool {
    std::env::var_os("ETCD_SNAP_UPDATE_GOLDEN").is_some()
}

/// Compares with a committed text, or writes it. `Err`: the difference, for a list of them.
fn compare(path: &Path, found: &str) -> Result<(), String> {
    if updating() {
        fs::write(path, found).expect("the file can be written");
        return Ok(());
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "{}\nexpected:\n{expected}\nfound:\n{found}",
        path.display()
    ))
}

const HOW_TO_BLESS: &str = "if that is meant: cargo xtask corpus --bless, and look at the difference before it is committed";
