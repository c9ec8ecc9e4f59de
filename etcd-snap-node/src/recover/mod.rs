//! A node is brought back: planned, applied, resumed, rolled back.
//!
//! ```text
//! plan/     Node, snapshot -> Recovery: steps, changes with their diffs, findings; changes nothing
//! apply/    Recovery -> the steps, each noted in the journal when it is done
//! ```

mod apply;
mod plan;
mod types;

pub use apply::{ApplyOptions, apply_recovery, resume_recovery, roll_back_recovery};
pub use plan::{PlanOptions, plan_recovery};

pub use types::{
    Action, FileChange, MovedManifest, Recovery, RecoveryReport, RecoveryStep, RecoveryTarget,
    StopBy,
};
