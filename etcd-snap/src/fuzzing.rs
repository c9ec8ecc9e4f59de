//! The ways into the rooms that only this crate enters, for the fuzz targets (`--cfg fuzzing`, which cargo-fuzz sets). In every other
//! build they are not public; the tests below replay what the targets have been given.
#![allow(
    clippy::unwrap_used,
    reason = "a target says that something is wrong by panicking"
)]

use std::sync::Arc;

use crate::membership::{ConfState, Member};
use crate::raft::{repaired, snap::Snap, wal::FirstSegment};
use crate::{ErrorKind, NewCluster, Snapshot, verify};

/// A snapshot file through every way to look at it, which must agree. Says how many of the hopeful ones were content. For the
/// targets that make snapshots.
pub fn all_ways(bytes: &[u8]) -> usize {
    Snapshot::from_source("fuzz", Arc::new(bytes.to_vec()))
        .map_or(0, |snapshot| verify::all_ways(&snapshot).unwrap())
}

/// A segment of a WAL behind a byte: as it is, or a sound one that is changed under right checksums.
pub fn wal(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else {
        return;
    };
    let cluster = match mode % 4 {
        0 | 1 => None,
        2 => Some("default=http://localhost:2380"),
        _ => Some("a=http://a:1,b=https://b:2,c=http://c:3"),
    };
    let segment = match cluster {
        None => rest.to_vec(),
        Some(text) => {
            let cluster = NewCluster::parse(text, "t").unwrap();
            let Some(segment) = repaired::segment(&cluster, rest) else {
                return;
            };
            segment
        }
    };
    match FirstSegment::read(&segment) {
        Ok(read) => {
            assert_eq!(read.commit, read.members.len() as u64);
            let preallocated = [segment.as_slice(), &[0; 64]].concat();
            assert_eq!(FirstSegment::read(&preallocated).unwrap(), read);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            assert!(
                error
                    .offset()
                    .is_none_or(|offset| offset <= segment.len() as u64)
            );
        }
    }
}

/// A `.snap` file behind a byte: as it is, or the right checksum around what would be raft's snapshot or the v2 store.
pub fn snap(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else {
        return;
    };
    let file = match mode % 3 {
        0 => rest.to_vec(),
        1 => repaired::snap_file(rest),
        _ => repaired::snap_file_of_store(rest),
    };
    match Snap::read(&file) {
        Ok(read) => assert_eq!(Snap::read(&file).unwrap(), read),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{error}"),
    }
}

/// The JSON of a member, or of raft's configuration: what is read is written, and reads the same again.
pub fn member_json(bytes: &[u8]) {
    if let Ok(member) = Member::from_json(bytes) {
        let json = member.to_json().unwrap();
        assert_eq!(Member::from_json(&json).unwrap(), member);
        assert_eq!(Member::from_json(&json).unwrap().to_json().unwrap(), json);
        assert!(!member.raft_attributes_json().unwrap().is_empty());
    }
    if let Ok(configuration) = ConfState::from_json(bytes) {
        let json = configuration.to_json().unwrap();
        assert_eq!(ConfState::from_json(&json).unwrap(), configuration);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use etcd_snap_testdata::fuzz::replay;

    /// Every committed snapshot, sound and damaged.
    #[test]
    fn all_ways_to_look_agree() {
        let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
        let mut content = 0;
        let mut folders = ["damaged", "sound", "snapshots", "crashes/snapshot"]
            .map(|name| testdata.join(name))
            .to_vec();
        folders.push(testdata.join("../fuzz/corpus/snapshot"));
        for folder in folders {
            let Ok(files) = std::fs::read_dir(folder) else {
                continue;
            };
            for file in files {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                content += super::all_ways(&bytes);
            }
        }
        assert!(content > 20, "{content} times content");
    }

    #[test]
    fn what_the_fuzzer_knows_of_segments_ends_well() {
        replay("wal", super::wal);
    }

    #[test]
    fn what_the_fuzzer_knows_of_snap_files_ends_well() {
        replay("snap", super::snap);
    }

    #[test]
    fn what_the_fuzzer_knows_of_members_ends_well() {
        replay("member_json", super::member_json);
    }
}
