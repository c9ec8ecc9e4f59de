//! `snapshot save`, `snapshot status` and `snapshot restore`.

mod cluster;
mod restore;
mod save;
mod status;

pub(super) use restore::{RESTORE, RESTORE_UTILITY};
pub(super) use save::{SAVE, STUB};
pub(super) use status::STATUS;
