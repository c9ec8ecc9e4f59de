//! The harness itself, on every minor of etcd: what other tests build on.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use etcd_snap_testdata::certificates::{Authority, KeyForm, Leaf};
use etcd_snap_testdata::cluster::{Bulk, Cluster, Security, Workload};
use etcd_snap_testdata::etcd::{Binaries, Version};

/// Writes to a cluster, takes a snapshot with etcdctl, lets bbolt judge it, restores it with etcd's own tool and compares.
fn round_trip(version: Version, members: usize) -> Result<()> {
    let source = Cluster::builder(version).members(members).start()?;
    let revision = source.write(&Workload::default())?;
    let agreed = source.agreed_hash_kv()?;
    assert_eq!(agreed.revision, revision);
    assert!(agreed.compact_revision > 0);

    let snapshot = source.folder().join("snapshot.db");
    source.save_with_etcdctl(members - 1, &snapshot)?;
    source.binaries().check_pages([&snapshot])?;

    let plan = Cluster::builder(version)
        .members(members)
        .token("restored")
        .plan()?;
    plan.restore_with_etcd(&snapshot, &[])?;
    let restored = plan.start()?;
    assert_eq!(restored.state()?, source.state()?);
    assert_eq!(restored.agreed_hash_kv()?.hash, agreed.hash);
    Ok(())
}

macro_rules! on_every_minor {
    ($($name:ident: $version:ident, $members:literal;)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            round_trip(Version::$version, $members)
        }
    )*};
}

on_every_minor! {
    one_member_of_3_4_saves_and_restores: V3_4, 1;
    one_member_of_3_5_saves_and_restores: V3_5, 1;
    one_member_of_3_6_saves_and_restores: V3_6, 1;
    one_member_of_3_7_saves_and_restores: V3_7, 1;
    three_members_of_3_4_save_and_restore: V3_4, 3;
    three_members_of_3_5_save_and_restore: V3_5, 3;
    three_members_of_3_6_save_and_restore: V3_6, 3;
    three_members_of_3_7_save_and_restore: V3_7, 3;
}

#[test]
fn the_state_of_a_cluster_tells_keys_leases_users_and_roles() -> Result<()> {
    let cluster = Cluster::builder(Version::V3_6)
        .security(Security::Plain)
        .auth(true)
        .start()?;
    cluster.write(&Workload::default())?;
    let state = cluster.state()?;
    assert!(state.keys.len() > 200, "{:?}", state.keys);
    assert_eq!(state.leases.len(), 3);
    assert!(state.leases[2].starts_with("lease "));
    let with_two_keys = state
        .leases
        .iter()
        .filter(|lease| lease.ends_with(": leased/2/0 leased/2/1"));
    assert_eq!(with_two_keys.count(), 1, "{:?}", state.leases);
    assert_eq!(
        state.users_and_roles.len(),
        3,
        "{:?}",
        state.users_and_roles
    );
    let big = state
        .keys
        .iter()
        .filter(|key| key.contains("\"value_bytes\":1500000"));
    assert_eq!(big.count(), 1);
    Ok(())
}

#[test]
fn members_can_be_stopped_killed_restarted_and_added() -> Result<()> {
    for version in [Version::V3_4, Version::V3_7] {
        let mut cluster = Cluster::builder(version).members(3).start()?;
        cluster.etcdctl(["put", "a", "1"])?;
        cluster.stop(0)?;
        cluster.wait_until_healthy()?;
        cluster.etcdctl(["put", "a", "2"])?;
        // The database of a stopped member is a file like another.
        cluster
            .binaries()
            .check_pages([cluster.members()[0].database()])?;
        cluster.start_member(0)?;
        cluster.kill(1);
        cluster.wait_until_healthy()?;
        cluster.etcdctl(["put", "a", "3"])?;
        cluster.start_member(1)?;
        let added = cluster.add_member()?;
        assert_eq!(
            cluster
                .etcdctl_at(added, ["get", "a", "--print-value-only"])?
                .trim(),
            "3"
        );
        cluster.restart(added)?;
        assert_eq!(cluster.agreed_hash_kv()?.revision, 4);
    }
    Ok(())
}

#[test]
fn a_single_member_grows_by_a_second_one() -> Result<()> {
    let mut cluster = Cluster::builder(Version::V3_6).start()?;
    cluster.etcdctl(["put", "a", "1"])?;
    cluster.add_member()?;
    assert_eq!(cluster.agreed_hash_kv()?.revision, 2);
    Ok(())
}

#[test]
fn a_writer_writes_in_the_background_until_it_is_stopped() -> Result<()> {
    let cluster = Cluster::builder(Version::V3_5).start()?;
    let writer = cluster.write_in_background(&Bulk {
        keys: 100,
        ..Bulk::default()
    })?;
    cluster.etcdctl(["compact", &cluster.revision(0)?.to_string()])?;
    cluster.etcdctl(["defrag"])?;
    let report = writer.stop()?;
    assert!(report.puts > 0);
    assert_eq!(cluster.revision(0)?, report.revision);
    Ok(())
}

#[test]
fn servers_end_with_the_process_that_started_them() -> Result<()> {
    // A child that starts a cluster, tells its process id and is killed without a chance to clean up.
    if std::env::var_os("START_AND_WAIT").is_some() {
        let cluster = Cluster::builder(Version::V3_6)
            .security(Security::Plain)
            .start()?;
        let server = cluster.members()[0].process_id().context("runs")?;
        println!("server={server}=folder={}", cluster.folder().display());
        loop {
            std::thread::park();
        }
    }
    use std::io::{BufRead as _, BufReader};
    let mut child = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "--nocapture",
            "servers_end_with_the_process_that_started_them",
        ])
        .env("START_AND_WAIT", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("piped")?).lines();
    let told = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("server=")?.1.to_owned()));
    child.kill()?;
    child.wait()?;
    let told = told.context("the child told nothing")?;
    let (server, folder) = told.split_once("=folder=").context("both")?;
    let is_there = || {
        fs::read_to_string(format!("/proc/{server}/comm")).is_ok_and(|name| name.trim() == "etcd")
    };
    for _ in 0..1000 {
        if !is_there() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(!is_there(), "server {server} is still there");
    fs::remove_dir_all(folder)?;
    Ok(())
}

#[test]
fn clients_get_in_with_every_form_of_key_and_not_with_a_bad_certificate() -> Result<()> {
    let cluster = Cluster::builder(Version::V3_7).start()?;
    let folder = cluster.folder();
    let try_within =
        |limit: &str, identity: etcd_snap_testdata::certificates::Identity| -> Result<bool> {
            let files = identity.write(folder, "tried")?;
            let mut command = Command::new(&cluster.binaries().etcdctl);
            command
                .arg("--endpoints")
                .arg(cluster.endpoint(0))
                .arg("--cacert")
                .arg(&cluster.tls().authority);
            command
                .arg("--cert")
                .arg(files.certificate)
                .arg("--key")
                .arg(files.key);
            Ok(command
                .args(["--dial-timeout=20s", limit, "get", "a"])
                .output()?
                .status
                .success())
        };
    for form in [
        KeyForm::EcPkcs8,
        KeyForm::EcSec1,
        KeyForm::RsaPkcs8,
        KeyForm::RsaPkcs1,
    ] {
        let identity = cluster
            .authority()
            .issue(&Leaf::client("client").with_key(form))?;
        assert!(try_within("--command-timeout=60s", identity)?, "{form:?}");
    }
    let good = Leaf::client("client");
    let try_with = |identity| try_within("--command-timeout=3s", identity);
    assert!(!try_with(
        cluster.authority().issue(&good.clone().expired())?
    )?);
    assert!(!try_with(
        cluster.authority().issue(&good.clone().not_yet_valid())?
    )?);
    assert!(!try_with(Authority::new("other")?.issue(&good)?)?);
    Ok(())
}

#[test]
fn bbolts_check_refuses_a_root_page_of_another_kind() -> Result<()> {
    let binaries = Binaries::find(Version::V3_6)?;
    let folder = tempfile::tempdir()?;
    let damaged = folder.path().join("damaged.db");
    let mut bytes = fs::read(etcd_snap_testdata::golden::snapshot(Version::V3_6))?;
    binaries.check_pages([etcd_snap_testdata::golden::snapshot(Version::V3_6)])?;
    // The root page says that it is a freelist.
    let root = u64::from_le_bytes(bytes[32..40].try_into()?) as usize;
    bytes[root * 4096 + 8] = 0x10;
    fs::write(&damaged, bytes)?;
    assert!(binaries.check_pages([&damaged]).is_err());
    Ok(())
}

#[test]
fn a_copy_with_large_pages_and_a_freelist_boots() -> Result<()> {
    let snapshot = etcd_snap_testdata::golden::snapshot(Version::V3_6);
    let folder = tempfile::tempdir()?;
    for (page_size, freelist) in [(16_384, false), (4096, true)] {
        let copy = folder.path().join(format!("{page_size}.db"));
        let plan = Cluster::builder(Version::V3_6).plan()?;
        plan.binaries()
            .copy_database(&snapshot, &copy, page_size, freelist)?;
        plan.binaries().check_pages([&copy])?;
        let bytes = fs::read(&copy)?;
        assert_eq!(bytes[24..28], page_size.to_le_bytes());
        assert_eq!(bytes[48..56] == [0xff; 8], !freelist);
        plan.restore_with_etcd(&copy, &["--skip-hash-check"])?;
        let cluster = plan.start()?;
        assert_eq!(
            cluster
                .etcdctl(["get", "last", "--print-value-only"])?
                .trim(),
            "written"
        );
    }
    Ok(())
}

#[test]
fn the_large_workload_fits_into_a_test() -> Result<()> {
    let cluster = Cluster::builder(Version::V3_4).members(3).start()?;
    let revision = cluster.write(&Workload::large())?;
    assert!(revision > 20_000);
    cluster.agreed_hash_kv().map(drop)
}
