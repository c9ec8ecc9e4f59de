//! Databases that somebody else has the lock of. The originals wait for ever, or die of it; here there is an end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_snap::ErrorKind;

use super::call::Call;
use super::dialect::Dialect;
use crate::commands::watched;
use crate::failure::Result;
use crate::progress::Progress;

/// How often the lock is tried, as bbolt does.
const BETWEEN: Duration = Duration::from_millis(50);

/// Does the work as soon as nobody else has the lock, or fails like the last try. `waiting` is called once, after a second.
pub(super) fn when_free<T>(
    call: &Call,
    waiting: impl FnOnce(),
    work: impl Fn(Arc<Progress>) -> etcd_snap::Result<T>,
) -> Result<T> {
    let began = Instant::now();
    let limit = limit(call);
    let mut waiting = Some(waiting);
    watched(true, |progress| {
        loop {
            let done = work(Arc::clone(&progress));
            let is_busy = done.as_ref().err().map(etcd_snap::Error::kind) == Some(ErrorKind::Busy);
            let waited = began.elapsed();
            if !is_busy || limit.is_some_and(|limit| waited >= limit) {
                return done;
            }
            if waited >= Duration::from_secs(1)
                && let Some(waiting) = waiting.take()
            {
                waiting();
            }
            std::thread::sleep(BETWEEN);
        }
    })
}

/// `--timeout`, where there is one: 0 is for ever. Before 3.7, its default.
fn limit(call: &Call) -> Option<Duration> {
    const DEFAULT: Duration = Duration::from_secs(10);
    if call.tool == super::dialect::Tool::Etcdctl || call.dialect < Dialect::V3_7 {
        return Some(DEFAULT);
    }
    Some(call.flags.time("timeout")).filter(|limit| !limit.is_zero())
}
