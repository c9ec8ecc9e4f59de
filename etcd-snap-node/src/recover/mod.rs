//! A node is brought back: planned, applied, resumed, rolled back.
//!
//! ```text
//! plan/     Node, snapshot -> Recovery: steps, changes with their diffs, findings; changes nothing
//! apply/    Recovery -> the steps, each noted in the journal when it is done
//! ```

mod apply;
mod files;
mod plan;
mod types;

use std::path::Path;

use crate::{Finding, Root};

pub use apply::{ApplyOptions, apply_recovery, resume_recovery, roll_back_recovery};
#[cfg(fuzzing)]
pub(crate) use plan::fuzzed;
pub use plan::{PlanOptions, plan_recovery};

pub use types::{
    Action, ConfiguredBy, FileChange, MovedManifest, Recovery, RecoveryReport, RecoveryStep,
    RecoveryTarget, StopBy,
};

/// Where recoveries keep their journal, as the machine knows it, unless somebody says otherwise.
pub const STATE_DIRECTORY: &str = "/var/lib/etcd-snap";
/// The journal of the one that is under way, in that directory.
const JOURNAL: &str = "recovery.json";

/// Whether a recovery was begun on a machine and is neither finished nor rolled back: its journal is in the state directory.
#[must_use]
pub fn is_recovery_under_way(root: &Root, state_directory: &Path) -> bool {
    apply::is_open(&root.open_as(&state_directory.join(JOURNAL)))
}

/// Whether the last recovery of a machine is over and was not taken back, so that [`roll_back_recovery`] would do that: what was written
/// since is not served any more then.
#[must_use]
pub fn is_recovery_kept(root: &Root, state_directory: &Path) -> bool {
    !is_recovery_under_way(root, state_directory) && apply::is_kept(&root.open_as(state_directory))
}

/// The same, for those who want to do something else.
pub(crate) fn under_way(root: &Root, state_directory: &Path) -> Option<Finding> {
    is_recovery_under_way(root, state_directory).then(|| {
        Finding::error(
            "recovery-under-way",
            "a recovery of this node was begun and is neither finished nor rolled back",
        )
        .with_remedy("`etcd-snap recover --resume` goes on with it, `etcd-snap recover --rollback` takes it back")
        .at(state_directory.join(JOURNAL))
    })
}
