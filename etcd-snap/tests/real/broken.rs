//! Real servers that die, hang or are cut off in the middle of the stream.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Cluster, Error, ErrorKind, SaveOptions, save_blocking};
use etcd_snap_testdata::cluster::{Bulk, Cluster as RealCluster};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::relay::Relay;
use etcd_snap_testdata::sample;

use crate::{Room, client, said, saved};

/// Where the stream is held. What is on its way then, in windows and buffers, is less than the rest of the database.
const HELD_AT: u64 = 3 << 20;

/// A member with more data than HTTP/2's windows and the kernel's buffers can hold, behind a relay.
struct Scene {
    cluster: RealCluster,
    relay: Relay,
    client: Cluster,
}

impl Scene {
    fn new(version: Version) -> Result<Self> {
        let cluster = RealCluster::builder(version).start()?;
        cluster.bulk(&Bulk {
            keys: 48,
            value_bytes: 1_000_000,
            ..Bulk::default()
        })?;
        let relay = Relay::to(cluster.members()[0].client_address())?;
        let client = client(&cluster, &format!("https://{}", relay.address()))?;
        Ok(Scene {
            cluster,
            relay,
            client,
        })
    }

    /// Does something in the middle of a save and returns the error that it ends with. An older backup must still be
    /// there, and nothing beside it.
    fn broken_by(
        &mut self,
        options: &SaveOptions,
        what: impl FnOnce(&mut RealCluster, &Relay) -> Result<()>,
    ) -> Result<Error> {
        let room = Room::new()?;
        fs::write(room.target(), "an older backup")?;
        let (client, target) = (self.client.clone(), room.target());
        self.relay.hold_after(HELD_AT);
        let result = thread::scope(|scope| -> Result<_> {
            let save = scope.spawn(|| save_blocking(&client, &target, options));
            self.relay.wait_until_holding()?;
            let done = what(&mut self.cluster, &self.relay);
            // In any case, or the save would wait for ever.
            self.relay.release();
            done?;
            Ok(save.join().expect("it does not panic"))
        })?;
        let error = result.err().context("it did not fail")?;
        ensure!(room.names()? == ["backup.db"], "{:?}", room.names()?);
        ensure!(fs::read(room.target())? == b"an older backup");
        Ok(error)
    }

    /// Expects that kind, and a byte between where the stream was held and the end.
    fn names_the_byte(&self, error: &Error, kind: ErrorKind, expected: &str) -> Result<()> {
        let said = said(error);
        ensure!(error.kind() == kind, "{:?}: {said}", error.kind());
        let at = error.offset().context("no byte")?;
        ensure!((HELD_AT / 2..48_000_000).contains(&at), "{at}: {said}");
        ensure!(said.contains(&format!("at byte {at} of ")), "{said}");
        ensure!(said.contains(expected), "{expected:?} is not in: {said}");
        let endpoint = format!("https://{}", self.relay.address());
        ensure!(
            error.endpoint() == Some(endpoint.as_str()),
            "{:?}",
            error.endpoint()
        );
        Ok(())
    }
}

#[test]
fn a_server_that_is_killed_in_mid_stream_leaves_no_file() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let mut scene = Scene::new(version)?;
        let error = scene.broken_by(&SaveOptions::default(), |cluster, _| {
            cluster.kill(0);
            Ok(())
        })?;
        scene.names_the_byte(&error, ErrorKind::Stream, "broke")?;
        scene.cluster.start_member(0)?;
        saved(&scene.client, &Room::new()?)?;
    }
    Ok(())
}

#[test]
fn a_server_that_hangs_in_mid_stream_is_given_up() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let mut scene = Scene::new(version)?;
        let options = SaveOptions::default().with_stall_timeout(Duration::from_secs(5));
        let error = scene.broken_by(&options, |cluster, relay| {
            cluster.freeze(0)?;
            relay.release();
            Ok(())
        })?;
        scene.names_the_byte(&error, ErrorKind::Stalled, "has sent nothing for 5s")?;
        scene.cluster.thaw(0)?;
        scene.cluster.wait_until_healthy()?;
        saved(&scene.client, &Room::new()?)?;
    }
    Ok(())
}

#[test]
fn a_connection_that_is_cut_in_mid_stream_leaves_no_file() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let mut scene = Scene::new(version)?;
        let error = scene.broken_by(&SaveOptions::default(), |_, relay| {
            relay.cut();
            Ok(())
        })?;
        scene.names_the_byte(&error, ErrorKind::Stream, "broke")?;
        saved(&scene.client, &Room::new()?)?;
    }
    Ok(())
}

#[test]
fn a_pause_that_is_shorter_than_the_patience_is_no_failure() -> Result<()> {
    let scene = Scene::new(sample(Version::ALL, 1)[0])?;
    let room = Room::new()?;
    scene.relay.hold_after(HELD_AT);
    thread::scope(|scope| -> Result<_> {
        let save = scope.spawn(|| saved(&scene.client, &room));
        scene.relay.wait_until_holding()?;
        scene.cluster.freeze(0)?;
        scene.cluster.thaw(0)?;
        scene.relay.release();
        save.join().expect("it does not panic")
    })?;
    Ok(())
}
