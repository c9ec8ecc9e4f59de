//! Memory stays small whatever the size of the database: what the kernel counted for the whole process.

#[path = "../machine/command.rs"]
mod command;

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::bulk::{Bulk as Database, History, Profile};
use etcd_snap_testdata::cluster::{Bulk, Cluster};
use etcd_snap_testdata::etcd::Version;
use wait4::Wait4 as _;

use command::{ETCD_SNAP, bare, connection};

/// What the command may take, and what its code takes more where it is not optimised: that is mapped from the file, and counts too.
const LIMIT_BYTES: u64 = (64 << 20) + if cfg!(debug_assertions) { 12 << 20 } else { 0 };

/// Runs the command and returns the most memory that it had. Or that this program had, from which it was forked: the kernel
/// counts that too, which makes the answer too large if anything.
fn peak_bytes<A: AsRef<OsStr>>(
    environment: &[(&'static str, PathBuf)],
    arguments: impl IntoIterator<Item = A>,
) -> Result<u64> {
    peak_of(
        bare(ETCD_SNAP)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .args(arguments),
    )
}

fn peak_of(command: &mut Command) -> Result<u64> {
    let ended = command.spawn()?.wait4()?;
    ensure!(ended.status.success(), "{}", ended.status);
    Ok(ended.rusage.maxrss)
}

#[test]
fn large_databases_take_little_memory() -> Result<()> {
    let cluster = Cluster::builder(Version::NEWEST).start()?;
    // Large values, and many small keys: what is held of either must not add up.
    cluster.bulk(&Bulk {
        prefix: "large/".to_owned(),
        keys: 270,
        value_bytes: 1_000_000,
        ..Bulk::default()
    })?;
    cluster.bulk(&Bulk {
        prefix: "small/".to_owned(),
        keys: 150_000,
        value_bytes: 200,
        puts_per_transaction: 128,
    })?;
    let folder = tempfile::tempdir()?;
    let snapshot = folder.path().join("large.db");
    let restored = folder.path().join("restored");
    let environment = connection(&cluster, cluster.endpoint(0));

    let save = peak_bytes(&environment, ["save".as_ref(), snapshot.as_os_str()])?;
    let save_stream = peak_bytes(&environment, ["save", "/dev/null"])?;
    drop(cluster);
    let size = snapshot.metadata().context("it was saved")?.len();
    ensure!(size > 300_000_000, "only {size} bytes");
    let verify = peak_bytes(&[], ["verify".as_ref(), snapshot.as_os_str()])?;
    let verify_stream = peak_of(
        bare(ETCD_SNAP)
            .args(["verify", "-"])
            .stdin(File::open(&snapshot)?),
    )?;
    let status = peak_bytes(&[], ["status".as_ref(), snapshot.as_os_str()])?;
    let restore = peak_bytes(
        &[],
        [
            "restore".as_ref(),
            snapshot.as_os_str(),
            "--data-dir".as_ref(),
            restored.as_os_str(),
        ],
    )?;
    println!("bytes at most: save {save}, verify {verify}, status {status}, restore {restore}");
    for (verb, peak) in [
        ("save", save),
        ("save /dev/null", save_stream),
        ("verify", verify),
        ("verify -", verify_stream),
        ("status", status),
        ("restore", restore),
    ] {
        ensure!(
            (1..LIMIT_BYTES).contains(&peak),
            "{verb} took {peak} bytes for a file of {size}"
        );
    }
    Ok(())
}

/// How large these are: less of everything in a usual run.
fn database(number: usize) -> Database {
    const GIB: u64 = 1 << 30;
    let full = std::env::var_os(etcd_snap_testdata::FULL).is_some();
    let [hole, size] = if full {
        [20 * GIB, 400_000_000]
    } else {
        [GIB, 40_000_000]
    };
    match number {
        0 => Database::new(Profile::Small, 40_000_000).hole(hole),
        1 => Database::new(Profile::Small, size).history(History::Interrupted),
        _ => Database::new(Profile::Small, size).history(History::NeverCompacted),
    }
}

const NUMBER: &str = "ETCD_SNAP_TEST_DATABASE";
const PATH: &str = "ETCD_SNAP_TEST_DATABASE_PATH";

/// The memory that making one takes would be counted for everything that this program starts afterwards.
#[test]
#[ignore = "makes a database for the test below, in a process of its own"]
fn makes_a_database() -> Result<()> {
    let number = std::env::var(NUMBER)?.parse()?;
    database(number).write(&PathBuf::from(std::env::var_os(PATH).context("no path")?))?;
    Ok(())
}

/// A database that was large once, of which most pages are free by now; and those whose records say least about each other. The
/// large ones are made of much more in a full run.
#[test]
fn databases_with_holes_and_without_compactions_take_little_memory() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("db");
    for number in 0..3 {
        let made = Command::new(std::env::current_exe()?)
            .args(["--exact", "makes_a_database", "--ignored"])
            .env(NUMBER, number.to_string())
            .env(PATH, &path)
            .output()?;
        ensure!(made.status.success() && path.exists(), "{made:?}");
        let database = database(number);
        for verb in ["verify", "status"] {
            let peak = peak_bytes(&[], [verb.as_ref(), path.as_os_str()])?;
            println!("{verb} of {database:?}: {peak} bytes at most");
            ensure!(
                (1..LIMIT_BYTES).contains(&peak),
                "{verb} took {peak} bytes for {database:?}"
            );
        }
    }
    Ok(())
}

/// What a restore is made of: 200 MB in a usual run.
fn restored() -> Vec<Database> {
    let sizes: &[u64] = if std::env::var_os(etcd_snap_testdata::FULL).is_some() {
        &[200_000_000, 2_000_000_000, 6_000_000_000]
    } else {
        &[200_000_000]
    };
    let databases = sizes
        .iter()
        .map(|size| Database::new(Profile::Small, *size));
    databases.collect()
}

#[test]
#[ignore = "makes a database for the test below, in a process of its own"]
fn makes_a_database_to_restore() -> Result<()> {
    let number: usize = std::env::var(NUMBER)?.parse()?;
    let path = PathBuf::from(std::env::var_os(PATH).context("no path")?);
    let all = restored();
    all.get(number).context("no such number")?.write(&path)?;
    Ok(())
}

/// A group of processes that get 64 MiB together, page cache included; gone with this. `None` where none can be made.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let name = format!("etcd-snap-test-{}", std::process::id());
        let path = PathBuf::from("/sys/fs/cgroup").join(name);
        std::fs::create_dir(&path).ok()?;
        let group = Self(path);
        std::fs::write(group.0.join("memory.max"), LIMIT_BYTES.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Neither address space nor memory is taken that would not be given: what is mapped or reserved counts here.
#[test]
fn a_restore_works_where_little_memory_is_given() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("db");
    let group = Group::new();
    if group.is_none() {
        println!("skipped the memory cgroup: none can be made here");
    }
    for (number, database) in restored().into_iter().enumerate() {
        let made = Command::new(std::env::current_exe()?)
            .args(["--exact", "makes_a_database_to_restore", "--ignored"])
            .env(NUMBER, number.to_string())
            .env(PATH, &path)
            .output()?;
        ensure!(made.status.success() && path.exists(), "{made:?}");
        let join = group.as_ref().map(|group| {
            let processes = group.0.join("cgroup.procs");
            format!("echo $$ > {}", processes.display())
        });
        for prepare in std::iter::once("ulimit -v 262144".to_owned()).chain(join) {
            let target = folder.path().join("restored");
            let script = format!("{prepare} && exec \"$0\" \"$@\"");
            let ended = bare("/bin/sh")
                .args(["-c", &script, ETCD_SNAP, "restore"])
                .arg(&path)
                .arg("--data-dir")
                .arg(&target)
                .args(["--bump-revision", "1000000", "--mark-compacted"])
                .output()?;
            ensure!(
                ended.status.success(),
                "{prepare}: {database:?}: {}",
                String::from_utf8_lossy(&ended.stderr)
            );
            std::fs::remove_dir_all(&target)?;
        }
    }
    Ok(())
}
