//! The log of a member that has lived: its segments, one behind the other, from the newest snapshot on (formats.md 8).

use std::fmt;

use prost::Message as _;

use super::frame::{Frame, FrameReader, RecordKind};
use super::messages::{Entry, HardState, WalSnapshot};
use crate::backend::StorageVersion;
use crate::{Error, ErrorKind, ReadAt, Result};

/// A file of the log.
pub(crate) struct Segment {
    /// For sentences.
    pub(crate) name: String,
    sequence: u64,
    /// Of the first entry that may stand in it.
    index: u64,
    source: Box<dyn ReadAt>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Segment").field(&self.name).finish()
    }
}

impl Segment {
    pub(crate) fn new(
        (sequence, index): (u64, u64),
        name: String,
        source: Box<dyn ReadAt>,
    ) -> Self {
        Self {
            name,
            sequence,
            index,
            source,
        }
    }

    /// Of the first entry that may stand in it.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// Whether the log begins with it.
    pub(super) fn is_first(&self) -> bool {
        self.sequence == 0
    }

    /// The number of a segment and the index of its first entry, by its file name; `None` of other files.
    pub(crate) fn numbers(file_name: &str) -> Option<(u64, u64)> {
        let (sequence, index) = file_name.strip_suffix(".wal")?.split_once('-')?;
        let number = |text: &str| {
            let is_number = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(text, 16).ok().filter(|_| is_number)
        };
        Some((number(sequence)?, number(index)?))
    }
}

/// A snapshot of raft that the log names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) index: u64,
    pub(crate) term: u64,
}

/// The newest snapshot that is committed; the beginning of the log where there is none. Segments come in the order of their names.
///
/// # Errors
/// `Damaged` where a record is, but for one that a killed server has left at the very end.
pub(crate) fn newest_snapshot(segments: &[Segment]) -> Result<Position> {
    let mut snapshots = Vec::new();
    let mut commit = 0;
    walk(segments, &mut |frame| {
        match frame.kind {
            RecordKind::Snapshot => {
                let snapshot: WalSnapshot = frame.decode()?;
                snapshots.push(Position {
                    index: snapshot.index.unwrap_or_default(),
                    term: snapshot.term.unwrap_or_default(),
                });
            }
            RecordKind::State => {
                let state: HardState = frame.decode()?;
                commit = state.commit.unwrap_or_default();
            }
            RecordKind::Metadata | RecordKind::Entry | RecordKind::Crc => {}
        }
        Ok(())
    })?;
    let committed = snapshots.iter().rev().find(|at| at.index <= commit);
    Ok(committed.copied().unwrap_or_default())
}

/// The segments that hold the entries behind a snapshot.
///
/// # Errors
/// `Damaged` where one is missing.
pub(crate) fn segments_from(segments: &[Segment], snapshot: Position) -> Result<&[Segment]> {
    let first = segments
        .iter()
        .rposition(|segment| segment.index <= snapshot.index);
    let Some(chosen) = first.and_then(|first| segments.get(first..)) else {
        return Err(Error::damaged(format!(
            "the WAL begins behind its newest snapshot, at {}",
            snapshot.index
        ))
        .with_detail("missing", "first"));
    };
    for (one, next) in chosen.iter().zip(chosen.iter().skip(1)) {
        if one.sequence.checked_add(1) != Some(next.sequence) {
            return Err(Error::damaged(format!(
                "a segment of the WAL is missing between {} and {}",
                one.name, next.name
            ))
            .with_detail("missing", "middle"));
        }
    }
    Ok(chosen)
}

/// The oldest etcd that understands every entry behind a snapshot, as far as that is newer than 3.5: nothing that 3.6 and 3.7 write
/// is beyond 3.5 but what their own tests write (`wal.MinimalEtcdVersion`).
///
/// # Errors
/// `Damaged` where a record is, where entries are missing, or where the snapshot is not in the log.
pub(crate) fn minimal_version(
    segments: &[Segment],
    snapshot: Position,
) -> Result<Option<StorageVersion>> {
    let mut found = false;
    let mut next = snapshot.index.saturating_add(1);
    // By index: later entries take the place of ones that were never committed.
    let mut versions: Vec<(u64, StorageVersion)> = Vec::new();
    walk(segments, &mut |frame| {
        match frame.kind {
            RecordKind::Snapshot => {
                let at: WalSnapshot = frame.decode()?;
                if at.index.unwrap_or_default() == snapshot.index {
                    if at.term.unwrap_or_default() != snapshot.term {
                        return Err(frame.misplaced("names a snapshot of another term"));
                    }
                    found = true;
                }
            }
            RecordKind::Entry => {
                let entry: Entry = frame.decode()?;
                let index = entry.index.unwrap_or_default();
                if index <= snapshot.index {
                    return Ok(());
                }
                if index > next {
                    return Err(frame.misplaced("comes too early: entries before it are missing"));
                }
                next = index.saturating_add(1);
                versions.retain(|(other, _)| *other < index);
                if let Some(version) = version_of(frame, entry)? {
                    versions.push((index, version));
                }
            }
            RecordKind::Metadata | RecordKind::State | RecordKind::Crc => {}
        }
        Ok(())
    })?;
    if !found {
        return Err(Error::damaged(format!(
            "the WAL does not name the snapshot at {} that it begins with",
            snapshot.index
        ))
        .with_detail("missing", "snapshot"));
    }
    Ok(versions.into_iter().map(|(_, version)| version).max())
}

/// `etcdserverpb.InternalRaftRequest`, as far as newer versions have added to it.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, optional, tag = "9900")]
    version_test: Option<VersionTest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionTest {
    #[prost(string, tag = "1")]
    version: String,
}

fn version_of(frame: &Frame, entry: Entry) -> Result<Option<StorageVersion>> {
    if entry.kind.unwrap_or_default() != Entry::NORMAL {
        return Ok(None);
    }
    let request = Request::decode(entry.data.unwrap_or_default().as_slice()).map_err(|e| {
        frame
            .misplaced("holds a request that cannot be decoded")
            .with_source(e)
    })?;
    let Some(test) = request.version_test else {
        return Ok(None);
    };
    let version: StorageVersion = test
        .version
        .parse()
        .map_err(|e| frame.misplaced("names no version").with_source(e))?;
    // The request itself is of 3.6.
    Ok(Some(version.max(StorageVersion::V3_6)))
}

/// Calls `each` with every record, in order.
pub(super) fn walk(segments: &[Segment], each: &mut dyn FnMut(&Frame) -> Result<()>) -> Result<()> {
    let mut crc = 0;
    for (n, segment) in segments.iter().enumerate() {
        let is_last = n.saturating_add(1) == segments.len();
        let named = |e: Error| e.under(&segment.name);
        let mut reader = FrameReader::behind(segment.source.as_ref(), crc).map_err(named)?;
        loop {
            match reader.read() {
                Ok(Some(frame)) => each(&frame).map_err(named)?,
                Ok(None) => break,
                // A server that was killed has written a part of its last record.
                Err(e) if e.kind() == ErrorKind::Damaged && is_last && reader.is_torn()? => {
                    return Ok(());
                }
                Err(e) => return Err(named(e)),
            }
        }
        crc = reader.crc();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::frame::FrameWriter;

    /// Segments in memory, as a member would write them.
    struct Writer {
        segments: Vec<Vec<u8>>,
        writer: FrameWriter,
        names: Vec<(u64, u64)>,
    }

    impl Writer {
        fn new() -> Self {
            let mut new = Self {
                segments: Vec::new(),
                writer: FrameWriter::new(),
                names: vec![(0, 0)],
            };
            new.snapshot(0, 0);
            new
        }

        fn snapshot(&mut self, index: u64, term: u64) {
            let snapshot = WalSnapshot {
                index: Some(index),
                term: Some(term),
                conf_state: None,
            };
            self.push(RecordKind::Snapshot, snapshot.encode_to_vec());
        }

        fn entry(&mut self, index: u64, data: Vec<u8>) {
            let entry = Entry {
                kind: Some(Entry::NORMAL),
                term: Some(1),
                index: Some(index),
                data: Some(data),
            };
            self.push(RecordKind::Entry, entry.encode_to_vec());
        }

        fn commit(&mut self, commit: u64) {
            let state = HardState {
                term: Some(1),
                vote: Some(1),
                commit: Some(commit),
            };
            self.push(RecordKind::State, state.encode_to_vec());
        }

        fn push(&mut self, kind: RecordKind, data: Vec<u8>) {
            self.writer.push(kind, Some(data));
        }

        fn cut(&mut self, index: u64) {
            let next = FrameWriter::behind(self.writer.crc());
            let done = std::mem::replace(&mut self.writer, next);
            self.segments.push(done.into_bytes());
            let sequence = self.names.len() as u64;
            self.names.push((sequence, index));
        }

        fn finish(mut self) -> Vec<Segment> {
            self.cut(0);
            let segments = self.segments.into_iter().zip(self.names);
            segments
                .map(|(bytes, name)| Segment::new(name, format!("{name:?}"), Box::new(bytes)))
                .collect()
        }
    }

    fn test_of(version: &str) -> Vec<u8> {
        let version = version.to_owned();
        let version_test = Some(VersionTest { version });
        Request { version_test }.encode_to_vec()
    }

    fn put() -> Vec<u8> {
        // Field 4 of the request: key and value.
        vec![0x22, 6, 0x0a, 1, b'k', 0x12, 1, b'v']
    }

    fn detected(segments: &[Segment]) -> Result<Option<String>> {
        let snapshot = newest_snapshot(segments)?;
        let segments = segments_from(segments, snapshot)?;
        let version = minimal_version(segments, snapshot)?;
        Ok(version.map(|version| version.to_string()))
    }

    #[test]
    fn names_of_segments_are_read() {
        let name = "000000000000000a-00000000000000ff.wal";
        assert_eq!(Segment::numbers(name), Some((10, 255)));
        for other in [
            "0.tmp",
            "a-b.wal",
            "000000000000000a-00000000000000ff.wal.broken",
            "",
        ] {
            assert_eq!(Segment::numbers(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_is_behind_the_newest_committed_snapshot_counts() {
        let mut log = Writer::new();
        log.entry(1, test_of("3.7.0"));
        log.entry(2, put());
        log.commit(2);
        assert_eq!(detected(&log.finish()).unwrap().as_deref(), Some("3.7.0"));

        let mut log = Writer::new();
        log.entry(1, test_of("3.7.0"));
        log.entry(2, put());
        log.commit(2);
        log.cut(3);
        log.snapshot(2, 1);
        log.entry(3, put());
        log.commit(3);
        // Not committed: it does not count.
        log.snapshot(4, 1);
        let segments = log.finish();
        assert_eq!(
            newest_snapshot(&segments).unwrap(),
            Position { index: 2, term: 1 }
        );
        assert_eq!(detected(&segments).unwrap(), None);
    }

    #[test]
    fn an_entry_that_was_overwritten_does_not_count() {
        let mut log = Writer::new();
        log.entry(1, put());
        log.entry(2, test_of("3.7.0"));
        log.entry(3, test_of("3.6.0"));
        log.entry(2, put());
        log.commit(2);
        assert_eq!(detected(&log.finish()).unwrap(), None);
    }

    #[test]
    fn a_test_for_an_old_version_is_itself_of_3_6() {
        let mut log = Writer::new();
        log.entry(1, test_of("3.5.0"));
        log.commit(1);
        assert_eq!(detected(&log.finish()).unwrap().as_deref(), Some("3.6.0"));
    }

    #[test]
    fn what_does_not_hang_together_is_damaged() {
        let refused = |segments: &[Segment], words: &str| {
            let error = detected(segments).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains(words), "{error}");
        };
        let mut log = Writer::new();
        log.entry(1, put());
        log.entry(3, put());
        log.commit(3);
        refused(&log.finish(), "entries before it are missing");

        let three = || {
            let mut log = Writer::new();
            log.entry(1, put());
            log.cut(2);
            log.entry(2, put());
            log.cut(3);
            log.entry(3, put());
            log.commit(3);
            log.finish()
        };
        assert_eq!(detected(&three()).unwrap(), None);
        let mut segments = three();
        segments.remove(1);
        refused(&segments, "checksum");
        let mut segments = three();
        segments[2].sequence = 7;
        refused(&segments, "a segment of the WAL is missing between");
        let mut segments = three();
        segments[0].index = 1;
        refused(&segments, "begins behind its newest snapshot");
    }

    #[test]
    fn what_a_killed_server_left_at_the_end_is_passed_over() {
        let mut log = Writer::new();
        log.entry(1, put());
        log.commit(1);
        log.entry(2, vec![7; 4000]);
        let mut segments = log.finish();
        let mut bytes = vec![0; segments[0].source.size().unwrap() as usize];
        segments[0].source.read_at(&mut bytes, 0).unwrap();

        // Whole sectors that were not written, or an end that is not there.
        let mut torn = bytes.clone();
        torn[1024..2048].fill(0);
        let mut flipped = bytes.clone();
        flipped[1024] ^= 1;
        let cut = bytes[..2000].to_vec();
        for (bytes, is_torn) in [(torn, true), (cut, true), (flipped, false)] {
            segments[0].source = Box::new(bytes);
            assert_eq!(detected(&segments).is_ok(), is_torn);
        }
        // In a segment that another follows nobody leaves such a thing.
        let mut log = Writer::new();
        log.entry(1, put());
        log.cut(2);
        log.commit(1);
        let mut segments = log.finish();
        segments[0].source = Box::new(bytes[..2000].to_vec());
        assert!(detected(&segments).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_change_makes_it_panic(at in 0_usize..400, value: u8) {
            let mut log = Writer::new();
            log.entry(1, test_of("3.6.0"));
            log.commit(1);
            log.cut(2);
            log.entry(2, put());
            let mut segments = log.finish();
            let n = at % 2;
            let mut bytes = vec![0; segments[n].source.size().unwrap() as usize];
            segments[n].source.read_at(&mut bytes, 0).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            segments[n].source = Box::new(bytes);
            let _ = detected(&segments);
        }
    }
}
