//! `cargo xtask etcd`: the real servers that tests and the demo run against.

use anyhow::Result;
use etcd_snap_testdata::etcd::{self, Binaries, Version};

/// Get real etcd servers and tools into target/etcd, once
///
/// 3.5, 3.6 and 3.7 are built from etcd's published Go modules, 3.4 is unpacked from the Debian packages. Ready
/// executables are taken from ETCD_SNAP_TEST_ETCD_DIR (3.6/etcd, 3.6/etcdctl, 3.6/etcdutl in it) where they are there.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this minor (3.4, 3.5, 3.6 or 3.7); may be given more than once
    #[arg(long = "version", value_name = "MINOR")]
    versions: Vec<Version>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let versions = if arguments.versions.is_empty() {
        &Version::ALL[..]
    } else {
        &arguments.versions
    };
    for binaries in get(versions)? {
        println!("etcd {}: {}", binaries.version, binaries.etcd.display());
    }
    Ok(())
}

/// Gets the servers of some minors, telling on stderr what takes time. For the sub-commands that need servers.
pub(crate) fn get(versions: &[Version]) -> Result<Vec<Binaries>> {
    versions
        .iter()
        .map(|version| etcd::provide(*version, &mut |line| eprintln!("{line}")))
        .collect()
}
