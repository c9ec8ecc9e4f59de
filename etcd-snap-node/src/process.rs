//! etcds that run on this machine, as `/proc` shows them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Root;
use crate::config::Configuration;
use crate::invocation::{Invocation, Variable};

/// An etcd that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The number of the user that it runs as.
    pub(crate) uid: u32,
    /// Its words, its variables and its directory, in its own view of the files. Without the right to look, there are no variables.
    pub(crate) invocation: Invocation,
    /// Whether its variables could be read: only root can look at those of others.
    pub(crate) variables_read: bool,
    /// Its executable, in its own view of the files.
    pub(crate) executable: Option<PathBuf>,
    /// The service of systemd that it belongs to.
    pub(crate) unit: Option<String>,
    /// Whether it sees other files than the machine has, because it is in a container.
    pub(crate) in_container: bool,
}

/// The etcds that run on the machine. Of a copied tree there are none, unless it has a `proc` directory of its own.
pub(crate) fn etcds(root: &Root) -> Vec<Process> {
    let proc = root.directory().join("proc");
    let machine = fs::metadata(root.directory()).ok();
    let identity = machine.map(|machine| (machine.dev(), machine.ino()));
    below(&proc, identity)
}

/// The etcds of a `proc` directory; `machine` is the root directory of the machine itself.
fn below(proc: &Path, machine: Option<(u64, u64)>) -> Vec<Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter()
        .filter_map(|pid| read(&proc.join(pid.to_string()), pid, machine))
        .collect()
}

/// Reads a process; `None` where it is no etcd, or has ended meanwhile.
fn read(directory: &Path, pid: u32, machine: Option<(u64, u64)>) -> Option<Process> {
    let words = pieces(&fs::read(directory.join("cmdline")).ok()?);
    let executable = fs::read_link(directory.join("exe"))
        .ok()
        .map(without_deleted);
    let program = words.first()?;
    let named = executable.as_deref().and_then(Path::file_name);
    let is_etcd = named.or_else(|| Path::new(program).file_name()) == Some(OsStr::new("etcd"));
    // A container that is being set up is a process of its engine, and a dead one has no words.
    if !is_etcd {
        return None;
    }
    let environment = fs::read(directory.join("environ"));
    let variables_read = environment.is_ok();
    let cgroup = fs::read_to_string(directory.join("cgroup")).unwrap_or_default();
    let other_root = fs::metadata(directory.join("root"))
        .ok()
        .zip(machine)
        .is_some_and(|(root, machine)| (root.dev(), root.ino()) != machine);
    Some(Process {
        pid,
        uid: uid(directory)?,
        invocation: Invocation {
            words,
            variables: variables(&environment.unwrap_or_default()),
            working_directory: fs::read_link(directory.join("cwd")).ok(),
        },
        variables_read,
        executable,
        unit: unit_of(&cgroup),
        in_container: other_root || is_of_container(&cgroup),
    })
}

/// The executable of a process that was replaced since it started.
fn without_deleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) => PathBuf::from(OsStr::from_bytes(path)),
        None => path,
    }
}

/// What stands between zero bytes.
fn pieces(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let pieces = bytes.split(|byte| *byte == 0);
    pieces
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
        .collect()
}

fn variables(bytes: &[u8]) -> Vec<Variable> {
    let mut known = BTreeSet::new();
    pieces(bytes)
        .into_iter()
        .filter_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            // Go takes the first of several.
            known.insert(name.to_owned()).then(|| Variable {
                name: name.to_owned(),
                value: value.to_owned(),
                file: None,
            })
        })
        .collect()
}

/// The effective user of a process.
fn uid(directory: &Path) -> Option<u32> {
    let status = fs::read(directory.join("status")).ok()?;
    let status = String::from_utf8_lossy(&status).into_owned();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The service in the path of a control group, like `/system.slice/etcd.service`.
fn unit_of(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut parts = paths.flat_map(|path| path.split('/'));
    parts
        .find(|part| part.ends_with(".service"))
        .map(str::to_owned)
}

/// Whether the control group is one that engines make for containers.
fn is_of_container(cgroup: &str) -> bool {
    const ENGINES: &[&str] = &[
        "kubepods",
        "/docker",
        "docker-",
        "cri-containerd",
        "crio-",
        "libpod",
        "/lxc",
        "machine.slice",
        "/k8s.io/",
    ];
    ENGINES.iter().any(|engine| cgroup.contains(engine))
}

/// In what a running etcd differs from its configuration, as sentences: the configuration was edited and etcd not started again, or
/// systemd was not told to read it again.
pub(crate) fn differs(configured: &Configuration, running: &Configuration) -> Vec<String> {
    let names: BTreeSet<_> = configured
        .settings
        .keys()
        .chain(running.settings.keys())
        .collect();
    let mut differences = Vec::new();
    if configured.config_file != running.config_file {
        let shown = |file: &Option<PathBuf>| match file {
            Some(file) => file.display().to_string(),
            None => "none".to_owned(),
        };
        differences.push(format!(
            "the configuration file is {}, and the process was started with {}",
            shown(&configured.config_file),
            shown(&running.config_file)
        ));
    }
    for name in names {
        let (now, then) = (effective(configured, name), effective(running, name));
        if now != then {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
            differences.push(format!(
                "{name} is configured as {}, and the process runs with {}",
                shown(now),
                shown(then)
            ));
        }
    }
    differences
}

/// The value of a setting in a form in which two that mean the same are the same.
fn effective(configuration: &Configuration, name: &str) -> Option<String> {
    let path = |path: PathBuf| Some(path.display().to_string());
    match name {
        "data-dir" => path(configuration.data_dir()),
        "wal-dir" => configuration.wal_dir().and_then(path),
        "name" => Some(configuration.name().to_owned()),
        "listen-client-urls" => Some(configuration.listen_client_urls().join(",")),
        "advertise-client-urls" => Some(configuration.advertise_client_urls().join(",")),
        "listen-peer-urls" => Some(configuration.listen_peer_urls().join(",")),
        "initial-advertise-peer-urls" => {
            Some(configuration.initial_advertise_peer_urls().join(","))
        }
        "initial-cluster-state" => Some(configuration.initial_cluster_state().to_owned()),
        "initial-cluster-token" => Some(configuration.initial_cluster_token().to_owned()),
        "client-cert-auth"
        | "peer-client-cert-auth"
        | "auto-tls"
        | "peer-auto-tls"
        | "force-new-cluster" => Some(configuration.is_on(name).to_string()),
        _ => configuration.value(name).map(str::to_owned),
    }
}
