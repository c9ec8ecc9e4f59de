//! One member is asked for its hash.

use std::time::Duration;

use super::members::Reached;
use super::position::Position;
use super::{Doubt, Held};
use crate::client::{KvHash, NoHash};
use crate::{CannotTell, Result, Revision};

/// Asks for the hash at the snapshot's revision, with a compaction that the snapshot can be hashed with.
pub(super) async fn ask(
    reached: &Reached,
    position: &Position,
    limit: Duration,
) -> Result<Held, Doubt> {
    let member = &reached.member;
    let answer = match member.hash_kv(Some(position.revision), limit).await {
        Ok(answer) if answer.compact_revision > Some(position.revision) => {
            return Err(Doubt::new(
                CannotTell::ServerError,
                format!(
                    "it gives a hash of revision {}, and says that it has compacted that away",
                    position.revision
                ),
            ));
        }
        Ok(answer) if comparable(&answer, position) => answer,
        Ok(answer) => at_present(reached, position, limit, older(&answer, position)).await?,
        // etcd 3.4 says so of the very revision of its compaction too.
        Err(why @ NoHash::Compacted) => {
            at_present(reached, position, limit, doubt(why, reached, position)).await?
        }
        Err(why) => return Err(doubt(why, reached, position)),
    };
    if answer.member_id != reached.id {
        return Err(Doubt::new(
            CannotTell::Unreachable,
            format!(
                "{} leads to one member at one time and to another at another: name the members themselves",
                member.endpoint()
            ),
        ));
    }
    Ok(Held {
        hash: answer.hash,
        compact_revision: answer.compact_revision,
    })
}

/// Asks without naming a revision: where the member is at the snapshot's, it answers for that one, and never with a hash
/// that it has kept. `otherwise` is why it cannot tell if it is not.
async fn at_present(
    reached: &Reached,
    position: &Position,
    limit: Duration,
    otherwise: Doubt,
) -> Result<KvHash, Doubt> {
    // It has gone on: spare it the work.
    if reached.revision > position.revision {
        return Err(otherwise);
    }
    let answer = reached
        .member
        .hash_kv(None, limit)
        .await
        .map_err(|why| doubt(why, reached, position))?;
    if answer.compact_revision < position.compact_revision {
        return Err(Doubt::new(
            CannotTell::Behind,
            format!(
                "it is {}, and the snapshot is {}: it lags, or the snapshot is not from this cluster",
                compacted(answer.compact_revision),
                compacted(position.compact_revision)
            ),
        ));
    }
    if answer.current == position.revision && comparable(&answer, position) {
        Ok(answer)
    } else {
        Err(otherwise)
    }
}

fn comparable(answer: &KvHash, position: &Position) -> bool {
    answer.compact_revision >= position.compact_revision
        && answer.compact_revision <= Some(position.revision)
}

/// Only a hash that was kept can be of an older compaction, unless the member has not got to the snapshot's.
fn older(answer: &KvHash, position: &Position) -> Doubt {
    Doubt::new(
        CannotTell::CachedHash,
        format!(
            "it has kept a hash of revision {}, {}, and the snapshot is {}; it is at revision {} now",
            position.revision,
            compacted(answer.compact_revision),
            compacted(position.compact_revision),
            answer.current
        ),
    )
}

fn compacted(at: Option<Revision>) -> String {
    match at {
        Some(revision) => format!("compacted at {revision}"),
        None => "never compacted".to_owned(),
    }
}

fn doubt(why: NoHash, reached: &Reached, position: &Position) -> Doubt {
    let revision = position.revision;
    match why {
        NoHash::Compacted => Doubt::new(
            CannotTell::CompactedPast,
            format!("it has compacted revision {revision} away"),
        ),
        NoHash::Future => Doubt::new(
            CannotTell::Behind,
            format!(
                "it was at revision {} and the snapshot is at {revision}: it lags, or the snapshot is not from this cluster",
                reached.revision
            ),
        ),
        NoHash::Learner => Doubt::new(
            CannotTell::Learner,
            "it is a learner, which gives no hash of its keys",
        ),
        NoHash::Failed(error) => Doubt::from(&error),
    }
}
