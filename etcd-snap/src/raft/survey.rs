//! What the log of a member says as a whole: whose it is, how far it goes, and whom it has taken into the cluster.

use std::collections::BTreeMap;

use prost::Message as _;

use super::frame::{Frame, RecordKind};
use super::log::{Segment, walk};
use super::messages::{ConfChange, Entry, HardState, Metadata};
use crate::membership::Member;
use crate::{ClusterId, Error, MemberId, Result};

/// What a log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) member_id: MemberId,
    pub(crate) cluster_id: ClusterId,
    /// Of its last entry, committed or not; 0 where no entry is left in it.
    pub(crate) last_index: u64,
    /// The members after all that is committed; `None` where the log does not reach back to its beginning.
    pub(crate) members: Option<BTreeMap<MemberId, Member>>,
}

/// Reads all that is there of a log. Segments come in the order of their names.
///
/// # Errors
/// `Damaged` where a record is, but for one that a killed server has left at the very end; or where nothing says whose log it is.
pub(crate) fn survey(segments: &[Segment]) -> Result<Survey> {
    let mut metadata: Option<Metadata> = None;
    let mut last_index = 0;
    let mut commit = 0;
    // By index: later entries take the place of ones that were never committed.
    let mut changes: BTreeMap<u64, Change> = BTreeMap::new();
    walk(segments, &mut |frame| {
        match frame.kind {
            RecordKind::Metadata => {
                let found: Metadata = frame.decode()?;
                if metadata.get_or_insert_with(|| found.clone()) != &found {
                    return Err(frame.misplaced("says that the log is of another member"));
                }
            }
            RecordKind::State => {
                let state: HardState = frame.decode()?;
                commit = state.commit.unwrap_or_default();
            }
            RecordKind::Entry => {
                let entry: Entry = frame.decode()?;
                let index = entry.index.unwrap_or_default();
                last_index = index;
                changes.split_off(&index);
                if entry.kind == Some(Entry::CONF_CHANGE) {
                    changes.insert(index, Change::read(frame, entry)?);
                }
            }
            RecordKind::Snapshot | RecordKind::Crc => {}
        }
        Ok(())
    })?;
    let metadata =
        metadata.ok_or_else(|| Error::damaged("the WAL does not say which member it is of"))?;
    let is_whole = segments.first().is_some_and(Segment::is_first);
    let mut members = BTreeMap::new();
    for (_, change) in changes.into_iter().filter(|(index, _)| *index <= commit) {
        change.apply(&mut members);
    }
    Ok(Survey {
        member_id: MemberId::new(metadata.node_id.unwrap_or_default()),
        cluster_id: ClusterId::new(metadata.cluster_id.unwrap_or_default()),
        last_index,
        members: is_whole.then_some(members),
    })
}

/// The index of the last entry, which may not be committed; 0 where there is none. Reads no further back than it must to find an
/// entry behind `applied`.
///
/// # Errors
/// As [`survey`].
pub(crate) fn last_index(segments: &[Segment], applied: u64) -> Result<u64> {
    let first = segments
        .iter()
        .rposition(|segment| segment.index() <= applied)
        .unwrap_or_default();
    let mut last = 0;
    walk(segments.get(first..).unwrap_or_default(), &mut |frame| {
        if frame.kind == RecordKind::Entry {
            let entry: Entry = frame.decode()?;
            last = entry.index.unwrap_or_default();
        }
        Ok(())
    })?;
    Ok(last)
}

/// One entry that changes the membership.
#[derive(Debug)]
enum Change {
    Put(Member),
    Remove(MemberId),
}

impl Change {
    fn read(frame: &Frame, entry: Entry) -> Result<Self> {
        let change = ConfChange::decode(entry.data.unwrap_or_default().as_slice())
            .map_err(|e| frame.misplaced("holds no membership change").with_source(e))?;
        if change.kind == Some(ConfChange::REMOVE_NODE) {
            return Ok(Self::Remove(MemberId::new(
                change.node_id.unwrap_or_default(),
            )));
        }
        Member::from_json(&change.context.unwrap_or_default())
            .map(Self::Put)
            .map_err(|e| frame.misplaced("names no readable member").with_source(e))
    }

    fn apply(self, members: &mut BTreeMap<MemberId, Member>) {
        match self {
            Self::Put(member) => drop(members.insert(member.id, member)),
            Self::Remove(id) => drop(members.remove(&id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewCluster;
    use crate::raft::frame::FrameWriter;
    use crate::raft::wal;

    fn cluster() -> NewCluster {
        NewCluster::parse("m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380", "t").unwrap()
    }

    fn segment(bytes: Vec<u8>, numbers: (u64, u64)) -> Segment {
        Segment::new(numbers, format!("{numbers:?}"), Box::new(bytes))
    }

    fn entry(index: u64, change: Option<ConfChange>) -> Vec<u8> {
        Entry {
            kind: Some(match change {
                Some(_) => Entry::CONF_CHANGE,
                None => Entry::NORMAL,
            }),
            term: Some(1),
            index: Some(index),
            data: change.map(|change| change.encode_to_vec()),
        }
        .encode_to_vec()
    }

    fn removal(id: MemberId) -> Option<ConfChange> {
        Some(ConfChange {
            id: None,
            kind: Some(ConfChange::REMOVE_NODE),
            node_id: Some(id.get()),
            context: None,
        })
    }

    fn commit(index: u64) -> Vec<u8> {
        let state = HardState {
            term: Some(1),
            vote: None,
            commit: Some(index),
        };
        state.encode_to_vec()
    }

    #[test]
    fn the_log_of_a_founded_cluster_names_its_members() {
        let cluster = cluster();
        let local = cluster.member("m2").unwrap();
        let bytes = wal::first_segment(&cluster, local).unwrap();
        let found = survey(&[segment(bytes, (0, 0))]).unwrap();
        assert_eq!(found.member_id, local.id());
        assert_eq!(found.cluster_id, cluster.id());
        assert_eq!(found.last_index, 2);
        let members: Vec<_> = found.members.unwrap().into_values().collect();
        let expected: Vec<_> = cluster.members().iter().map(Member::from).collect();
        assert_eq!(members, expected);
    }

    #[test]
    fn members_follow_what_is_committed_and_was_not_overwritten() {
        let cluster = cluster();
        let [one, two] = [0, 1].map(|n| cluster.members()[n].id());
        let first = wal::first_segment(&cluster, &cluster.members()[0]).unwrap();
        let mut reader = crate::raft::frame::FrameReader::new(&first).unwrap();
        while reader.read().unwrap().is_some() {}
        let second = |committed: u64| {
            let mut writer = FrameWriter::behind(reader.crc());
            writer.push(RecordKind::Entry, Some(entry(3, removal(one))));
            writer.push(RecordKind::Entry, Some(entry(4, removal(two))));
            writer.push(RecordKind::Entry, Some(entry(3, None)));
            writer.push(RecordKind::Entry, Some(entry(4, removal(one))));
            writer.push(RecordKind::State, Some(commit(committed)));
            let segments = [(first.clone(), (0, 0)), (writer.into_bytes(), (1, 3))];
            segments.map(|(bytes, numbers)| segment(bytes, numbers))
        };
        let ids = |survey: &Survey| -> Vec<_> {
            survey.members.iter().flatten().map(|(id, _)| *id).collect()
        };
        let found = survey(&second(3)).unwrap();
        assert_eq!((ids(&found), found.last_index), (vec![one, two], 4));
        assert_eq!(ids(&survey(&second(4)).unwrap()), [two]);
        assert_eq!(last_index(&second(3), 2).unwrap(), 4);
        assert_eq!(last_index(&second(3), 9).unwrap(), 4);
        assert_eq!(last_index(&[], 9).unwrap(), 0);
        // Without its beginning nobody can tell who was there before.
        let [_, last] = second(4);
        let error = survey(&[last]).unwrap_err();
        assert!(error.to_string().contains("which member"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_change_makes_it_panic(at: usize, value: u8) {
            let cluster = cluster();
            let mut bytes = wal::first_segment(&cluster, &cluster.members()[0]).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = survey(&[segment(bytes.clone(), (0, 0))]);
            let _ = last_index(&[segment(bytes, (0, 0))], 1);
        }
    }
}
