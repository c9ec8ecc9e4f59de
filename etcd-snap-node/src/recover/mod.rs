//! A node is brought back: planned, applied, resumed, rolled back.
//!
//! ```text
//! plan/     Node, snapshot -> Recovery: steps, changes with their diffs, findings; changes nothing
//! apply/    Recovery -> the steps, each noted in the journal when it is done
//! ```

mod plan;
mod types;

use std::sync::Arc;

pub use plan::{PlanOptions, plan_recovery};

pub use types::{
    Action, FileChange, MovedManifest, Recovery, RecoveryReport, RecoveryStep, RecoveryTarget,
    StopBy,
};

use crate::{Error, ErrorKind, Observer, Result, Root, Silent};

/// How to do it.
#[derive(Clone)]
pub struct ApplyOptions {
    pub(crate) root: Root,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            root: Root::default(),
            observer: Arc::new(Silent),
        }
    }
}

fn not_yet<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "not built yet"))
}

/// Does what was planned.
///
/// # Errors
/// None yet.
pub fn apply_recovery(recovery: &Recovery, options: &ApplyOptions) -> Result<RecoveryReport> {
    let _ = (recovery, &options.root, &options.observer);
    not_yet()
}

/// Goes on where a run has stopped.
///
/// # Errors
/// None yet.
pub fn resume_recovery(options: &ApplyOptions) -> Result<RecoveryReport> {
    let _ = options;
    not_yet()
}

/// Brings back what was there before.
///
/// # Errors
/// None yet.
pub fn roll_back_recovery(options: &ApplyOptions) -> Result<RecoveryReport> {
    let _ = options;
    not_yet()
}
