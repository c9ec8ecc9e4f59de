//! Trees of machines, and what is found in them.

mod certificates;
mod facts;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_node::{DiscoverOptions, Node, Root, discover};

/// Certificates of the trees are judged by this time: 2026-11-26.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_651_200)
}

fn nodes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nodes")
}

fn found_in(root: &Path) -> Result<Node> {
    let options = DiscoverOptions::default()
        .with_root(Root::new(root))
        .with_now(now());
    Ok(discover(&options)?)
}

/// Without what is this checkout's: where it lies, and whom it belongs to.
fn normalised(mut node: Node) -> Node {
    node.root = PathBuf::from("/");
    for data in node.etcds.iter_mut().filter_map(|etcd| etcd.data.as_mut()) {
        (data.uid, data.gid, data.mode) = (None, None, None);
    }
    node
}

fn trees() -> Result<Vec<(String, PathBuf)>> {
    let mut trees = Vec::new();
    for entry in fs::read_dir(nodes())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        trees.push((name, entry.path()));
    }
    trees.sort();
    Ok(trees)
}

/// Beside each tree is the description that is expected of it. ETCD_SNAP_UPDATE_GOLDEN writes them; [`facts`] holds against them what
/// people know of these machines.
#[test]
fn every_tree_gives_its_description() -> Result<()> {
    let mut differ = Vec::new();
    let trees = trees()?;
    ensure!(trees.len() > 40, "only {} trees", trees.len());
    for (name, folder) in trees {
        let node = normalised(found_in(&folder.join("root")).context(name.clone())?);
        let found = format!("{}\n", serde_json::to_string_pretty(&node)?);
        let path = folder.join("expected.json");
        if std::env::var_os("ETCD_SNAP_UPDATE_GOLDEN").is_some() {
            fs::write(&path, found)?;
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            differ.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    ensure!(differ.is_empty(), "{}", differ.join("\n"));
    Ok(())
}

/// The samples of real machines, where they are at hand: each gives an etcd, or says why not.
#[test]
fn real_machines_are_understood_where_they_are_at_hand() -> Result<()> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata/nodes");
    let Ok(entries) = fs::read_dir(&samples) else {
        return Ok(());
    };
    // Not trees of a node: a file of variables alone, a file that nothing names, another kind of object.
    let without = [
        "bitnami-statefulset",
        "config-file-force-new",
        "systemd-debian-patroni",
    ];
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() || without.contains(&name.as_str()) {
            continue;
        }
        let node = found_in(&entry.path())?;
        ensure!(
            !node.etcds.is_empty() || !node.findings.is_empty(),
            "nothing is said of {name}"
        );
    }
    Ok(())
}
