//! However a drill ends, its servers and its directory are gone.

use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use etcd_snap_node::{ErrorKind, Event, Observer, drill};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

use crate::Room;

/// What to do when a step begins.
#[derive(Clone, Copy)]
enum AtStep {
    Stop,
    Panic,
}

/// Does it at this step, when servers run.
struct Ending(usize, AtStep);

impl Observer for Ending {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        match (event, self.1) {
            (Event::StepStarted { number, .. }, AtStep::Stop) if *number == self.0 => {
                ControlFlow::Break(())
            }
            (Event::StepStarted { number, .. }, AtStep::Panic) if *number == self.0 => {
                panic!("on purpose")
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Processes with this directory among their words.
fn processes_in(directory: &Path) -> usize {
    let directory = directory.to_str().expect("text");
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|words| String::from_utf8_lossy(words).contains(directory))
        .count()
}

#[test]
fn a_wish_to_stop_and_a_panic_leave_nothing() -> Result<()> {
    let snapshot = golden::snapshot(Version::V3_6);
    for step in [6, 7, 12, 13] {
        for ending in [AtStep::Stop, AtStep::Panic] {
            let room = Room::new()?;
            let options = room
                .options(Version::V3_6)?
                .with_observer(Arc::new(Ending(step, ending)));
            let ended = catch_unwind(AssertUnwindSafe(|| drill(&snapshot, &options)));
            match (ending, ended) {
                (AtStep::Stop, Ok(Err(error))) => ensure!(error.kind() == ErrorKind::Cancelled),
                (AtStep::Panic, Err(_)) => {}
                (_, ended) => anyhow::bail!("step {step}: {ended:?}"),
            }
            room.assert_clean();
            ensure!(processes_in(room.scratch()) == 0);
        }
    }
    Ok(())
}

/// Two at once, in the same place, do not disturb each other.
#[test]
fn two_drills_side_by_side_pass() -> Result<()> {
    let room = Room::new()?;
    let options = room.options(Version::V3_6)?;
    let snapshot = golden::snapshot(Version::V3_6);
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| drill(&snapshot, &options)));
        for one in both {
            let report = one.join().expect("no panic").expect("it can be done");
            crate::assert_passed(&report);
        }
    });
    room.assert_clean();
    Ok(())
}
