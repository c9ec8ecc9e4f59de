//! The write-ahead log of a founded cluster: its first and only segment (formats.md 5.5).

use prost::Message as _;

use super::FIRST_TERM;
use super::frame::{Frame, FrameReader, FrameWriter, RecordKind};
use super::messages::{ConfChange, Entry, HardState, Metadata, WalSnapshot};
use crate::membership::{ConfState, Member};
use crate::{ClusterId, Error, MemberId, NewCluster, NewMember, ReadAt, Result};

/// The size etcd gives a segment when it makes one: 64 × 1000 × 1000 (`SegmentSizeBytes`). Zeros follow the records.
pub(crate) const SEGMENT_SIZE_BYTES: u64 = 64_000_000;

/// The name of the first segment: its number and the index of its first entry, both zero.
pub(crate) const FIRST_SEGMENT_NAME: &str = "0000000000000000-0000000000000000.wal";

/// The records of the first segment for one member, byte for byte what etcdutl 3.5 and 3.6 write.
///
/// Zeros up to [`SEGMENT_SIZE_BYTES`] belong behind them; a file that ends here is read just as well.
pub(crate) fn first_segment(cluster: &NewCluster, local: &NewMember) -> Result<Vec<u8>> {
    let mut writer = FrameWriter::new();
    let metadata = Metadata {
        node_id: Some(local.id().get()),
        cluster_id: Some(cluster.id().get()),
    };
    writer.push(RecordKind::Metadata, Some(metadata.encode_to_vec()));
    // The snapshot of an empty log: a server of 3.7 stumbles without any.
    let empty = WalSnapshot {
        index: Some(0),
        term: Some(0),
        conf_state: None,
    };
    writer.push(RecordKind::Snapshot, Some(empty.encode_to_vec()));
    for (index, member) in (1..).zip(cluster.members()) {
        let change = ConfChange {
            id: Some(0),
            kind: Some(ConfChange::ADD_NODE),
            node_id: Some(member.id().get()),
            context: Some(Member::from(member).to_json()?),
        };
        let entry = Entry {
            kind: Some(Entry::CONF_CHANGE),
            term: Some(FIRST_TERM),
            index: Some(index),
            data: Some(change.encode_to_vec()),
        };
        writer.push(RecordKind::Entry, Some(entry.encode_to_vec()));
    }
    let state = HardState {
        term: Some(FIRST_TERM),
        vote: cluster.members().first().map(|member| member.id().get()),
        commit: Some(last_index(cluster)),
    };
    writer.push(RecordKind::State, Some(state.encode_to_vec()));
    let snapshot = WalSnapshot {
        index: Some(last_index(cluster)),
        term: Some(FIRST_TERM),
        conf_state: Some((&ConfState::of(cluster.members())).into()),
    };
    writer.push(RecordKind::Snapshot, Some(snapshot.encode_to_vec()));
    Ok(writer.into_bytes())
}

/// The index of the last entry of a founded cluster's log: one entry adds one member. It is also what the database says
/// it has applied (`consistent_index`).
pub(crate) fn last_index(cluster: &NewCluster) -> u64 {
    cluster.members().len() as u64
}

/// What the first segment of a founded cluster's member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstSegment {
    pub(crate) member_id: MemberId,
    pub(crate) cluster_id: ClusterId,
    /// In the order in which the log adds them.
    pub(crate) members: Vec<Member>,
    pub(crate) term: u64,
    pub(crate) vote: MemberId,
    pub(crate) commit: u64,
    /// The configuration at the last snapshot record; the log of etcd 3.4 has none.
    pub(crate) conf_state: Option<ConfState>,
}

impl FirstSegment {
    /// Reads a segment and judges it by what a server wants to see when it starts: records in order and with right
    /// checksums, entries without gap, and a snapshot at the last of them.
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged) with the offset of the record that does not fit.
    /// [`Io`](crate::ErrorKind::Io): it cannot be read.
    pub(crate) fn read<R: ReadAt + ?Sized>(source: &R) -> Result<Self> {
        let mut records = Records(FrameReader::new(source)?);
        records.expect(RecordKind::Crc)?;
        let metadata: Metadata = records.expect(RecordKind::Metadata)?.decode()?;
        let frame = records.expect(RecordKind::Snapshot)?;
        let empty: WalSnapshot = frame.decode()?;
        if empty.index.unwrap_or_default() != 0 || empty.term.unwrap_or_default() != 0 {
            return Err(frame.misplaced("is not the snapshot of an empty log"));
        }
        let mut members = Vec::new();
        let mut frame = records.next()?;
        while frame.kind == RecordKind::Entry {
            members.push(added_member(&frame, members.len() as u64)?);
            frame = records.next()?;
        }
        if frame.kind != RecordKind::State {
            return Err(frame.misplaced("stands where raft's state belongs"));
        }
        let state: HardState = frame.decode()?;
        let commit = state.commit.unwrap_or_default();
        if commit != members.len() as u64 {
            return Err(frame.misplaced(&format!(
                "commits entry {commit}, and there are {}",
                members.len()
            )));
        }
        let frame = records.expect(RecordKind::Snapshot)?;
        let snapshot: WalSnapshot = frame.decode()?;
        if snapshot.index.unwrap_or_default() != commit || snapshot.term != state.term {
            return Err(frame.misplaced("is not the snapshot at the last entry"));
        }
        Ok(Self {
            member_id: MemberId::new(metadata.node_id.unwrap_or_default()),
            cluster_id: ClusterId::new(metadata.cluster_id.unwrap_or_default()),
            members,
            term: state.term.unwrap_or_default(),
            vote: MemberId::new(state.vote.unwrap_or_default()),
            commit,
            conf_state: snapshot.conf_state.map(Into::into),
        })
    }

    /// What [`first_segment`] writes, for comparison with what was read back.
    pub(crate) fn of(cluster: &NewCluster, local: &NewMember) -> Self {
        Self {
            member_id: local.id(),
            cluster_id: cluster.id(),
            members: cluster.members().iter().map(Member::from).collect(),
            term: FIRST_TERM,
            vote: cluster.members().first().map_or(local.id(), NewMember::id),
            commit: last_index(cluster),
            conf_state: Some(ConfState::of(cluster.members())),
        }
    }
}

struct Records<'a, R: ?Sized>(FrameReader<'a, R>);

impl<R: ReadAt + ?Sized> Records<'_, R> {
    fn next(&mut self) -> Result<Frame> {
        let offset = self.0.offset();
        self.0.read()?.ok_or_else(|| {
            Error::damaged(format!(
                "the WAL has no more records at byte {offset}, where one belongs"
            ))
            .with_offset(offset)
        })
    }

    fn expect(&mut self, kind: RecordKind) -> Result<Frame> {
        let frame = self.next()?;
        if frame.kind == kind {
            Ok(frame)
        } else {
            Err(frame.misplaced(&format!(
                "is of type {:?}, where {kind:?} belongs",
                frame.kind
            )))
        }
    }
}

fn added_member(frame: &Frame, before: u64) -> Result<Member> {
    let entry: Entry = frame.decode()?;
    if entry.index.unwrap_or_default() != before.saturating_add(1) {
        return Err(frame.misplaced("is not the next entry of the log"));
    }
    let change = ConfChange::decode(entry.data.unwrap_or_default().as_slice())
        .map_err(|e| frame.misplaced("holds no membership change").with_source(e))?;
    let kinds = (
        entry.kind.unwrap_or_default(),
        change.kind.unwrap_or_default(),
    );
    if kinds != (Entry::CONF_CHANGE, ConfChange::ADD_NODE) {
        return Err(frame.misplaced("does not add a member"));
    }
    let member = Member::from_json(&change.context.unwrap_or_default())
        .map_err(|e| frame.misplaced("adds no readable member").with_source(e))?;
    if change.node_id != Some(member.id.get()) {
        return Err(frame.misplaced("adds a member under another id than its own"));
    }
    Ok(member)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FirstSegment, first_segment};
    use crate::raft::frame::FrameReader;
    use crate::raft::samples::{clusters, one, three};
    use crate::{ErrorKind, NewCluster};

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn one_member_has_the_bytes_of_etcdutl() {
        let cluster = one();
        let bytes = first_segment(&cluster, &cluster.members()[0]).unwrap();
        let expected = [
            "0400000000000084 08041000 00000000",
            "2000000000000000 080110bb81c7fc05 1a1608cdd2918bd2 b881cf8e0110b298 eaf1948386fccd01",
            "0e00000000000082 08051094bbc7ed0e 1a0408001000 0000",
            "7400000000000084 080210c2ee92950b 1a6a 08011001 1801 2262 0800 1000 18cdd2918bd2b881cf8e01 2251",
            &hexadecimal(
                br#"{"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default"}"#,
            ),
            "00000000",
            "1900000000000087 0803109b98d6c308 1a0f 0801 10cdd2918bd2b881cf8e01 1801 00000000000000",
            "1d00000000000083 0805108d9eaeef0d 1a13 0801 1001 1a0d 08cdd2918bd2b881cf8e01 2800 000000",
        ];
        assert_eq!(hexadecimal(&bytes), expected.concat().replace(' ', ""));
        assert_eq!(bytes.len(), 288);
    }

    #[test]
    fn three_members_have_the_offsets_and_checksums_of_etcdutl() {
        let cluster = three();
        let bytes = first_segment(&cluster, cluster.member("m2").unwrap()).unwrap();
        let mut reader = FrameReader::new(&bytes).unwrap();
        let mut found = Vec::new();
        while let Some(frame) = reader.read().unwrap() {
            found.push((frame.offset, reader.crc()));
        }
        let expected = [
            (0, 0),
            (16, 0xad3a_3fd8),
            (56, 0x5dfb_5931),
            (80, 0x3e42_defc),
            (200, 0x9c14_da10),
            (320, 0xc232_0f36),
            (440, 0x227c_5c6c),
            (472, 0x77d7_4b9c),
        ];
        assert_eq!(found, expected);
        assert_eq!(bytes.len(), 536);
        let segment = FirstSegment::read(&bytes).unwrap();
        assert_eq!(segment.vote.get(), 4_520_489_976_140_230_000);
        assert_eq!(segment.member_id, cluster.member("m2").unwrap().id());
    }

    #[test]
    fn a_segment_that_a_server_could_not_start_from_is_damaged() {
        let cluster = three();
        let other = NewCluster::parse("x=http://x:1", "t").unwrap();
        let bytes = first_segment(&cluster, &cluster.members()[0]).unwrap();
        // The offsets of the records are those of the test above.
        let cases: [(Vec<u8>, u64, &str); 7] = [
            (Vec::new(), 0, "no more records"),
            (bytes[..472].to_vec(), 472, "no more records"),
            (
                bytes[16..].to_vec(),
                0,
                "is of type Metadata, where Crc belongs",
            ),
            ([&bytes[..16], &bytes[56..]].concat(), 16, "checksum"),
            (without(&bytes, 80, 200), 80, "is not the next entry"),
            (
                without(&bytes, 320, 440),
                320,
                "commits entry 3, and there are 2",
            ),
            (
                without(&bytes, 440, 472),
                440,
                "stands where raft's state belongs",
            ),
        ];
        for (bytes, offset, part) in cases {
            let error = FirstSegment::read(&bytes).unwrap_err();
            assert_eq!(
                (error.kind(), error.offset()),
                (ErrorKind::Damaged, Some(offset))
            );
            assert!(error.to_string().contains(part), "{error}");
        }
        let bytes = first_segment(&cluster, &other.members()[0]).unwrap();
        assert_ne!(
            FirstSegment::read(&bytes).unwrap(),
            FirstSegment::of(&cluster, &cluster.members()[0])
        );
    }

    /// The records but for those between two offsets, with checksums as if these had never been there.
    fn without(bytes: &[u8], from: u64, to: u64) -> Vec<u8> {
        let mut reader = FrameReader::new(bytes).unwrap();
        let mut writer = crate::raft::frame::FrameWriter::new();
        reader.read().unwrap();
        while let Some(frame) = reader.read().unwrap() {
            if !(from..to).contains(&frame.offset) {
                writer.push(frame.kind, Some(frame.data));
            }
        }
        writer.into_bytes()
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(cluster in clusters(), zeros in 0usize..3) {
            for local in cluster.members() {
                let mut bytes = first_segment(&cluster, local).unwrap();
                bytes.extend(vec![0; zeros * 8]);
                prop_assert_eq!(FirstSegment::read(&bytes).unwrap(), FirstSegment::of(&cluster, local));
            }
        }

        #[test]
        fn no_change_makes_it_panic(
            cluster in clusters(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = first_segment(&cluster, &cluster.members()[0]).unwrap();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = FirstSegment::read(&bytes);
        }
    }
}
