//! The files of a machine, one after the other, each behind a line with its path: `==> /etc/default/etcd`.

use std::path::{Component, Path};
use std::time::{Duration, SystemTime};

use etcd_snap_node::{DiscoverOptions, DoctorOptions, DoctorReport, Node, Root, discover, doctor};

const FILES: usize = 24;
const HEAD: &[u8] = b"==> /";

/// Each with its path below the root; without those that would lie elsewhere.
fn files(bytes: &[u8]) -> Vec<(&Path, &[u8])> {
    let mut starts: Vec<usize> = (0..bytes.len())
        .filter(|at| *at == 0 || bytes[at - 1] == b'\n')
        .filter(|at| bytes[*at..].starts_with(HEAD))
        .collect();
    starts.truncate(FILES);
    let mut files = Vec::new();
    for (number, start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(bytes.len());
        let file = &bytes[start + HEAD.len()..end];
        let line = file.iter().position(|byte| *byte == b'\n');
        let (path, content) = file.split_at(line.map_or(file.len(), |at| at + 1));
        let Ok(path) = std::str::from_utf8(path) else {
            continue;
        };
        let path = Path::new(path.trim_end_matches('\n'));
        if path
            .components()
            .all(|it| matches!(it, Component::Normal(_)))
        {
            files.push((path, content));
        }
    }
    files
}

/// Everything that can be asked of what was found.
pub fn ask_all(node: &Node) {
    let _ = (node.worst(), node.etcd(None).is_ok());
    let root = Root::new(&node.root);
    for etcd in &node.etcds {
        assert!(etcd.is_called(&etcd.name), "{etcd:?}");
        let _ = (etcd.title(), etcd.endpoints(), etcd.layout.owner());
        let _ = (etcd.cluster(&root).is_ok(), etcd.target(&root).is_ok());
        let _ = (etcd.peer_urls().is_ok(), etcd.new_cluster("token").is_ok());
        assert!(etcd.findings.iter().all(|it| !it.message.is_empty()));
    }
    let text = serde_json::to_string(node).unwrap();
    assert_eq!(serde_json::from_str::<Node>(&text).unwrap(), *node);
}

/// What was found on the machine, which is gone then.
pub fn run(bytes: &[u8]) -> Node {
    let machine = tempfile::tempdir().unwrap();
    for (path, content) in files(bytes) {
        let path = machine.path().join(path);
        let parent = path.parent().unwrap();
        // A name may be too long, or be that of a directory as well.
        if std::fs::create_dir_all(parent).is_ok() {
            let _ = std::fs::write(path, content);
        }
    }
    // 2026-11-26.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_651_200);
    let root = Root::new(machine.path());
    let options = DiscoverOptions::default();
    let node = discover(&options.with_root(root.clone()).with_now(now)).unwrap();
    ask_all(&node);
    // Without a question to any server: whatever the bytes say.
    let options = DoctorOptions::default().with_root(root).with_now(now);
    let report = doctor(&node, &options.with_asking(false)).unwrap();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<DoctorReport>(&text).unwrap(), report);
    node
}
