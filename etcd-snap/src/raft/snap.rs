//! The `.snap` file: raft's snapshot of the founded cluster, from which servers up to 3.6 start (formats.md 5.6).

use std::collections::BTreeMap;

use prost::Message as _;

use super::messages::{RaftSnapshot, SnapFile, SnapshotMetadata};
use super::{FIRST_TERM, store_v2, wal};
use crate::membership::{ConfState, Member};
use crate::{Error, MemberId, NewCluster, Result};

pub(crate) use super::store_v2::RaftAttributes;

/// The name of a founded cluster's `.snap` file: term and index.
pub(crate) fn file_name(cluster: &NewCluster) -> String {
    format!("{FIRST_TERM:016x}-{:016x}.snap", wal::last_index(cluster))
}

/// The `.snap` file of a founded cluster, the same for all its members; byte for byte what etcdutl 3.4 and 3.5 write.
pub(crate) fn file(cluster: &NewCluster) -> Result<Vec<u8>> {
    let members: Vec<_> = cluster.members().iter().map(Member::from).collect();
    let snapshot = RaftSnapshot {
        data: Some(store_v2::store(&members)?),
        metadata: Some(SnapshotMetadata {
            conf_state: Some((&ConfState::of(cluster.members())).into()),
            index: Some(wal::last_index(cluster)),
            term: Some(FIRST_TERM),
        }),
    };
    let data = snapshot.encode_to_vec();
    let file = SnapFile {
        crc: Some(crc32c::crc32c(&data)),
        data: Some(data),
    };
    Ok(file.encode_to_vec())
}

/// What a `.snap` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snap {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) conf_state: ConfState,
    pub(crate) members: BTreeMap<MemberId, RaftAttributes>,
}

impl Snap {
    /// Reads a file and refuses what a server would refuse (`snap.Read` of etcd).
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged): it is no `.snap` file, its checksum does not fit, or its members are not
    /// readable.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let damaged = |why: &str| Error::damaged(format!("the .snap file {why}"));
        let file =
            SnapFile::decode(bytes).map_err(|e| damaged("cannot be decoded").with_source(e))?;
        let (crc, data) = (file.crc.unwrap_or_default(), file.data.unwrap_or_default());
        if crc == 0 || data.is_empty() {
            return Err(damaged("is empty"));
        }
        let computed = crc32c::crc32c(&data);
        if crc != computed {
            return Err(damaged(&format!(
                "has the checksum {crc:08x}, where its data gives {computed:08x}"
            )));
        }
        let snapshot = RaftSnapshot::decode(data.as_slice())
            .map_err(|e| damaged("holds no snapshot of raft").with_source(e))?;
        let metadata = snapshot.metadata.unwrap_or_default();
        Ok(Self {
            index: metadata.index.unwrap_or_default(),
            term: metadata.term.unwrap_or_default(),
            conf_state: metadata.conf_state.unwrap_or_default().into(),
            members: store_v2::members(&snapshot.data.unwrap_or_default())?,
        })
    }

    /// What [`file`] writes, for comparison with what was read back.
    pub(crate) fn of(cluster: &NewCluster) -> Self {
        let attributes = |urls: &crate::PeerUrls| RaftAttributes {
            peer_urls: urls.iter().map(ToString::to_string).collect(),
            is_learner: false,
        };
        Self {
            index: wal::last_index(cluster),
            term: FIRST_TERM,
            conf_state: ConfState::of(cluster.members()),
            members: cluster
                .members()
                .iter()
                .map(|member| (member.id(), attributes(member.peer_urls())))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Snap, file, file_name};
    use crate::ErrorKind;
    use crate::raft::samples::{clusters, one, three};

    #[test]
    fn one_member_has_the_size_and_metadata_of_etcdutl() {
        let bytes = file(&one()).unwrap();
        assert_eq!(bytes.len(), 6490);
        let metadata = [
            0x0a, 0x0d, 0x08, 0xcd, 0xd2, 0x91, 0x8b, 0xd2, 0xb8, 0x81, 0xcf, 0x8e, 0x01, 0x28,
            0x00, 0x10, 0x01, 0x18, 0x01,
        ];
        assert!(bytes.ends_with(&metadata));
        assert_eq!(file_name(&one()), "0000000000000001-0000000000000001.snap");
        assert_eq!(
            file_name(&three()),
            "0000000000000001-0000000000000003.snap"
        );
    }

    #[test]
    fn a_changed_file_is_damaged() {
        let sound = file(&three()).unwrap();
        for at in [0, 1, 6, 100, sound.len() - 1] {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            assert_eq!(
                Snap::read(&bytes).unwrap_err().kind(),
                ErrorKind::Damaged,
                "{at}"
            );
        }
        for len in [0, 1, 6, 100, sound.len() - 1] {
            assert_eq!(
                Snap::read(&sound[..len]).unwrap_err().kind(),
                ErrorKind::Damaged
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(cluster in clusters()) {
            prop_assert_eq!(Snap::read(&file(&cluster).unwrap()).unwrap(), Snap::of(&cluster));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Snap::read(&bytes);
        }
    }
}
