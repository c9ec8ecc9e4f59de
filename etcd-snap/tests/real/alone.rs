//! A member whose peers are gone: the worst day is when a snapshot is wanted most.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use etcd_snap::{Event, Observer, SaveOptions, Snapshot, VerifyOptions, save_blocking, verify};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Workload};
use etcd_snap_testdata::etcd::Version;

use super::{Room, client};

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if let Event::Note(note) = event {
            self.0.lock().unwrap().push(note.clone());
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_member_without_a_leader_gives_its_snapshot_and_says_so() -> Result<()> {
    let mut cluster = RealCluster::builder(Version::NEWEST).members(3).start()?;
    cluster.write(&Workload::default())?;
    cluster.kill(1);
    cluster.kill(2);
    let client = client(&cluster, cluster.endpoint(0))?;
    let room = Room::new()?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let notes = Arc::new(Notes::default());
        let options = SaveOptions::default().with_observer(notes.clone());
        save_blocking(&client, room.target(), &options)?;
        let notes = notes.0.lock().unwrap();
        if notes.iter().any(|note| note.contains("knows no leader")) {
            break;
        }
        // It takes some heartbeats until the last member knows that it is alone.
        ensure!(Instant::now() < deadline, "{notes:?}");
    }
    verify(&Snapshot::open(room.target())?, &VerifyOptions::default())?.into_proven()?;
    Ok(())
}
