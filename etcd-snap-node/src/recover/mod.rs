//! A node is brought back: planned, applied, resumed, rolled back.
//!
//! ```text
//! plan.rs   Node, snapshot -> Recovery: steps, changes with their diffs, findings; changes nothing
//! apply/    Recovery -> the steps, each noted in the journal when it is done
//! ```

mod types;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use types::{
    Action, FileChange, MovedManifest, Recovery, RecoveryReport, RecoveryStep, RecoveryTarget,
    StopBy,
};

use crate::{Error, ErrorKind, Node, Observer, Result, Root, Silent};

/// How to recover.
#[derive(Clone, Default)]
pub struct PlanOptions {
    pub(crate) root: Root,
    pub(crate) etcd: Option<String>,
    pub(crate) new_data_dir: Option<PathBuf>,
}

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

/// Says what bringing back this node takes.
///
/// # Errors
/// None yet.
pub fn plan_recovery(node: &Node, snapshot: &Path, options: &PlanOptions) -> Result<Recovery> {
    let _ = (
        node,
        snapshot,
        options.etcd.as_ref(),
        options.new_data_dir.as_ref(),
        &options.root,
    );
    not_yet()
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
