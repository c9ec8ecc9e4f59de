//! What the fuzz targets know: the seeds they start from, and what they once stumbled over.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::folder;

/// The folders with the committed inputs of a target; they need not all be there.
pub fn folders(target: &str) -> [PathBuf; 2] {
    [
        folder().join("../fuzz/corpus").join(target),
        folder().join("crashes").join(target),
    ]
}

/// Gives a target all its committed inputs.
///
/// # Panics
///
/// Where the target does, and where it has none.
pub fn replay(target: &str, run: fn(&[u8])) {
    let mut replayed = 0;
    for folder in folders(target) {
        let Ok(files) = fs::read_dir(folder) else {
            continue;
        };
        for file in files {
            let path = file.expect("a file").path();
            run(&fs::read(path).expect("its bytes"));
            replayed += 1;
        }
    }
    assert!(replayed > 0, "{target} has no seeds");
}

/// The machines that discovery is tested with, each with its name and as one input of the target `node`: its files one after the other,
/// each behind a line with its path.
pub fn machines() -> Result<Vec<(String, Vec<u8>)>> {
    let mut machines = Vec::new();
    for entry in fs::read_dir(folder().join("../etcd-snap-node/tests/nodes"))? {
        let tree = entry?.path();
        let name = tree.file_name().context("a name")?.to_string_lossy();
        let root = tree.join("root");
        let mut packed = Vec::new();
        pack(&root, &root, &mut packed)?;
        machines.push((name.into_owned(), packed));
    }
    machines.sort();
    ensure!(!machines.is_empty(), "there are no machines");
    Ok(machines)
}

fn pack(root: &Path, folder: &Path, packed: &mut Vec<u8>) -> Result<()> {
    let entries: Result<Vec<_>, _> = fs::read_dir(folder)?.collect();
    let mut paths: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            pack(root, &path, packed)?;
            continue;
        }
        let name = path.strip_prefix(root)?.display();
        packed.extend_from_slice(format!("==> /{name}\n").as_bytes());
        packed.extend_from_slice(&fs::read(&path)?);
        if !packed.ends_with(b"\n") {
            packed.push(b'\n');
        }
    }
    Ok(())
}
