//! Getting the executables once: building the Go programs beside this crate, unpacking the distribution's packages.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use super::golang::Go;
use super::{Binaries, Version};

/// The names that one of our Go programs answers to, besides `etcd`.
const OTHER_NAMES: [&str; 7] = [
    "etcdctl",
    "etcdutl",
    "bbolt-check",
    "bbolt-copy",
    "bulk",
    "dump",
    "hashkv",
];

/// Makes sure that the executables of a minor are there and up to date, and returns them. Says on the way what takes time.
///
/// Ready ones in [`super::READY_BINARIES`] are taken as they are. A second call finds everything done: the folder holds a
/// stamp of the sources that it was made from.
pub fn provide(version: Version, say: &mut dyn FnMut(&str)) -> Result<Binaries> {
    let ready = std::env::var_os(super::READY_BINARIES)
        .map(|ready| PathBuf::from(ready).join(version.minor()));
    let is_ready = |program: &str| {
        ready
            .as_ref()
            .is_some_and(|ready| ready.join(program).is_file())
    };
    if is_ready("etcd")
        && let Ok(found) = Binaries::find(version)
    {
        return Ok(found);
    }
    let folder = super::folder(version);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Two test runs may want to build at the same time: the second waits and finds the work done.
    let lock = File::create(folder.join(".lock"))?;
    lock.lock()?;
    match version {
        Version::V3_4 => {
            // The tools that judge 3.4's files come with any newer minor.
            if !(is_ready("etcd") && is_ready("etcdctl")) {
                unpack(&folder, say).context(
                    "etcd 3.4 comes from the Debian packages etcd-server and etcd-client",
                )?;
            }
            drop(lock);
            if Binaries::find(version).is_err() {
                provide(Version::V3_5, say)?;
            }
        }
        _ => {
            build(version, &folder, say).with_context(|| format!("cannot build etcd {version}"))?;
        }
    }
    Binaries::find(version)
}

fn build(version: Version, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    let sources = crate::folder().join("etcd");
    let stamp = fingerprint(&[sources.join(version.minor()), sources.join("tools")])?;
    if is_stamped(folder, &stamp) {
        return Ok(());
    }
    let go = Go::find(say)?;
    say(&format!(
        "building etcd {version} (with empty caches this takes a minute or two)"
    ));
    let built = folder.join("etcd.new");
    let mut command = go.command();
    command
        .current_dir(sources.join(version.minor()))
        .args([
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-mod=readonly",
            "-ldflags",
            "-s -w",
            "-o",
        ])
        .arg(&built)
        .arg(".");
    super::stdout(&mut command)?;
    // A running server keeps the old file: the new one takes over the name.
    fs::rename(&built, folder.join("etcd"))?;
    for name in OTHER_NAMES {
        let link = folder.join(name);
        if !link.is_symlink() {
            symlink("etcd", &link).with_context(|| format!("cannot link {}", link.display()))?;
        }
    }
    write_stamp(folder, &stamp)
}

fn unpack(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    const STAMP: &str = "unpacked etcd-server and etcd-client";
    if is_stamped(folder, STAMP) {
        return Ok(());
    }
    let elsewhere = format!(
        "On a machine without apt-get, put etcd and etcdctl 3.4 into a folder 3.4 and name its parent in {}",
        super::READY_BINARIES
    );
    if !Path::new("/usr/bin/apt-get").exists() || !Path::new("/usr/bin/dpkg-deb").exists() {
        bail!("{elsewhere}");
    }
    let packages = folder.join("packages");
    fs::create_dir_all(&packages)?;
    say("downloading the packages etcd-server and etcd-client for etcd 3.4");
    let download = || {
        let mut command = Command::new("apt-get");
        command
            .current_dir(&packages)
            .args(["download", "-qq", "etcd-server", "etcd-client"]);
        super::stdout(&mut command)
    };
    if let Err(first) = download() {
        if !rustix::process::geteuid().is_root() {
            return Err(
                first.context("the package lists may be old or absent; as root: apt-get update")
            );
        }
        say("refreshing the package lists: apt-get update");
        super::stdout(Command::new("apt-get").args(["update", "-qq"]))
            .context(elsewhere.clone())?;
        download().context(elsewhere.clone())?;
    }
    let tree = folder.join("tree");
    for entry in fs::read_dir(&packages)? {
        super::stdout(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(entry?.path())
                .arg(&tree),
        )?;
    }
    for name in ["etcd", "etcdctl"] {
        fs::rename(tree.join("usr/bin").join(name), folder.join(name))?;
    }
    let answer = super::stdout(Command::new(folder.join("etcd")).arg("--version"))?;
    if !answer.contains("Version: 3.4.") {
        bail!(
            "this distribution's etcd-server is not 3.4 but says {:?}. {elsewhere}",
            answer.lines().next()
        );
    }
    fs::remove_dir_all(&tree)?;
    fs::remove_dir_all(&packages)?;
    write_stamp(folder, STAMP)
}

/// A digest over names and contents of the Go files of some folders.
fn fingerprint(folders: &[PathBuf]) -> Result<String> {
    let mut digest = Sha256::new();
    for folder in folders {
        let mut files = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        files.sort();
        for file in files {
            let contents = fs::read(&file)?;
            digest.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            digest.update(contents.len().to_le_bytes());
            digest.update(contents);
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn is_stamped(folder: &Path, stamp: &str) -> bool {
    folder.join("etcd").is_file()
        && fs::read_to_string(folder.join(".stamp")).is_ok_and(|found| found == stamp)
}

fn write_stamp(folder: &Path, stamp: &str) -> Result<()> {
    fs::write(folder.join(".stamp"), stamp)
        .with_context(|| format!("cannot write the stamp in {}", folder.display()))
}
