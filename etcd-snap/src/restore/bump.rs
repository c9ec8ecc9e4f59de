//! How far the revision is moved ahead (formats.md 5.8).

use super::Bump;
use crate::{Error, Result, Revision};

/// Upstream adds the bump without looking; beyond this bound later additions could overflow.
const HIGHEST_REVISION: i64 = 1 << 62;

/// The revision that the store is moved to, if any.
pub(super) fn bumped(last: Revision, bump: Bump) -> Result<Option<Revision>> {
    let bumped = match bump {
        Bump::None | Bump::By(0) => return Ok(None),
        Bump::By(by) => i64::try_from(by)
            .ok()
            .and_then(|by| last.get().checked_add(by)),
        Bump::Above(seen) => seen.max(last).get().checked_add(1),
    };
    match bumped.filter(|bumped| *bumped <= HIGHEST_REVISION) {
        Some(bumped) => Ok(Some(Revision::new(bumped))),
        None => Err(Error::invalid(format!(
            "the bump would move the store from revision {last} beyond {HIGHEST_REVISION}: choose a smaller one"
        ))),
    }
}
