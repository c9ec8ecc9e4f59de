//! What the members said, against what the file gives.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::position::Position;
use super::{Doubt, Held};
use crate::observe::Observer;
use crate::{
    CannotTell, Contents, HashKvOptions, MemberVerdict, Result, Revision, Snapshot, StatusOptions,
    hash_kv, status_with,
};

/// A verdict on each answer, in their order. The file is hashed once for every compact revision that members have, but for
/// what is known of its contents.
pub(super) fn judge(
    snapshot: &Snapshot,
    position: &Position,
    contents: Option<&Contents>,
    answers: Vec<Result<Held, Doubt>>,
    observer: &Arc<dyn Observer>,
) -> Result<Vec<MemberVerdict>> {
    let mut hashes: BTreeMap<Option<Revision>, u32> = contents
        .and_then(|contents| contents.hash_kv.as_ref())
        .filter(|known| known.revision == position.revision)
        .map(|known| (known.compact_revision, known.hash))
        .into_iter()
        .collect();
    for answer in answers.iter().flatten() {
        if let Entry::Vacant(place) = hashes.entry(answer.compact_revision) {
            let mut options = HashKvOptions::default()
                .with_revision(position.revision)
                .with_little_memory()
                .with_observer(Arc::clone(observer));
            if let Some(compact_revision) = answer.compact_revision {
                options = options.with_compact_revision(compact_revision);
            }
            place.insert(hash_kv(snapshot, &options)?.hash);
        }
    }
    let mut no_live_keys = contents.map(|contents| contents.live_keys == 0);
    let verdicts = answers.into_iter().map(|answer| {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Doubt { reason, message }) => {
                return Ok(MemberVerdict::CannotTell { reason, message });
            }
        };
        let compact_revision = answer.compact_revision;
        let snapshot_hash = hashes.get(&compact_revision).copied().unwrap_or_default();
        if answer.hash == snapshot_hash {
            return Ok(MemberVerdict::Equal {
                hash: answer.hash,
                compact_revision,
            });
        }
        let no_live_keys = match no_live_keys {
            Some(known) => known,
            None => {
                let options = StatusOptions::default().with_observer(Arc::clone(observer));
                *no_live_keys.insert(status_with(snapshot, &options)?.live_keys == 0)
            }
        };
        Ok(if no_live_keys {
            MemberVerdict::CannotTell {
                reason: CannotTell::NoLiveKeys,
                message: "no key lives at the snapshot's revision, and what compactions have left lying about differs"
                    .to_owned(),
            }
        } else {
            MemberVerdict::Differs {
                member_hash: answer.hash,
                snapshot_hash,
                compact_revision,
            }
        })
    });
    verdicts.collect()
}
