//! Files with right checksums around any content, for the fuzz targets: chance does not find these.

use prost::Message as _;

use super::frame::{FrameReader, FrameWriter, RecordKind};
use super::messages::{RaftSnapshot, SnapFile, SnapshotMetadata};
use super::wal;
use crate::NewCluster;

/// The first segment of a member, with bytes of its records overwritten and the checksums as if they had always been there.
///
/// Five bytes a change: the record, where in it, by how much it grows or shrinks there, two new bytes.
pub(crate) fn segment(cluster: &NewCluster, changes: &[u8]) -> Option<Vec<u8>> {
    let sound = wal::first_segment(cluster, cluster.members().first()?).ok()?;
    let mut reader = FrameReader::new(&sound).ok()?;
    let mut records = Vec::new();
    // The first one is the checksum's own.
    reader.read().ok()?;
    while let Some(frame) = reader.read().ok()? {
        records.push((frame.kind, frame.data));
    }
    for change in changes.chunks_exact(5) {
        let &[record, at, size, first, second] = change else {
            continue;
        };
        let record = usize::from(record).checked_rem(records.len())?;
        match size {
            0 => drop(records.remove(record)),
            1 => records.get_mut(record)?.0 = kind(first),
            2 => {
                let other = usize::from(at).checked_rem(records.len())?;
                records.swap(record, other);
            }
            3 => {
                let copy = records.get(record)?;
                let copy = (copy.0, copy.1.clone());
                records.push(copy);
            }
            _ => {
                let data = &mut records.get_mut(record)?.1;
                let at = usize::from(at).min(data.len());
                let end = at.saturating_add(usize::from(size % 4)).min(data.len());
                data.splice(at..end, [first, second]);
            }
        }
    }
    let mut writer = FrameWriter::new();
    for (kind, data) in records {
        writer.push(kind, Some(data));
    }
    Some(writer.into_bytes())
}

fn kind(number: u8) -> RecordKind {
    match number % 5 {
        0 => RecordKind::Metadata,
        1 => RecordKind::Entry,
        2 => RecordKind::State,
        3 => RecordKind::Crc,
        _ => RecordKind::Snapshot,
    }
}

/// A `.snap` file that holds these bytes for raft's snapshot.
pub(crate) fn snap_file(snapshot: &[u8]) -> Vec<u8> {
    SnapFile {
        crc: Some(crc32c::crc32c(snapshot)),
        data: Some(snapshot.to_vec()),
    }
    .encode_to_vec()
}

/// A `.snap` file that holds these bytes for the v2 store.
pub(crate) fn snap_file_of_store(store: &[u8]) -> Vec<u8> {
    let snapshot = RaftSnapshot {
        data: Some(store.to_vec()),
        metadata: Some(SnapshotMetadata {
            conf_state: None,
            index: Some(1),
            term: Some(1),
        }),
    };
    snap_file(&snapshot.encode_to_vec())
}
