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
            unresolved: Vec::new(),
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
    for name in names
        .into_iter()
        .filter(|name| !configured.is_unknown(name))
    {
        let (now, then) = (effective(configured, name), effective(running, name));
        if now != then {
            let configured = match now {
                Some(value) => format!("configured as {value}"),
                None => "no longer configured".to_owned(),
            };
            let running = match then {
                Some(value) => format!("runs with {value}"),
                None => "was started without it".to_owned(),
            };
            differences.push(format!("{name} is {configured}, and the process {running}"));
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config;

    struct Proc(tempfile::TempDir);

    impl Proc {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn add(&self, pid: u32, words: &[&str], executable: &str, cgroup: &str) {
            let directory = self.0.path().join("proc").join(pid.to_string());
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("cmdline"), words.join("\0") + "\0").unwrap();
            fs::write(
                directory.join("environ"),
                "ETCD_NAME=first\0ETCD_NAME=second\0PATH=/bin\0",
            )
            .unwrap();
            fs::write(directory.join("cgroup"), cgroup).unwrap();
            fs::write(
                directory.join("status"),
                "Name:\tetcd\nUid:\t0\t991\t0\t0\n",
            )
            .unwrap();
            symlink(executable, directory.join("exe")).unwrap();
            symlink("/var/lib/etcd", directory.join("cwd")).unwrap();
        }

        fn etcds(&self) -> Vec<Process> {
            etcds(&Root::new(self.0.path()))
        }
    }

    #[test]
    fn only_etcds_are_found_and_all_that_is_known_of_them() {
        let proc = Proc::new();
        proc.add(
            20,
            &["/usr/bin/etcd", "--name=m1", ""],
            "/usr/bin/etcd (deleted)",
            "0::/system.slice/etcd.service\n",
        );
        proc.add(
            7,
            &["etcd", "--data-dir=/d"],
            "/usr/local/bin/etcd",
            "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-0a.scope\n",
        );
        proc.add(8, &["etcd-manager"], "/etcd-manager", "0::/\n");
        proc.add(9, &["etcd", "x"], "/usr/bin/cat", "0::/\n");
        proc.add(10, &["/bin/bash", "etcd"], "/bin/bash", "0::/\n");
        fs::create_dir(proc.0.path().join("proc/self")).unwrap();
        fs::create_dir(proc.0.path().join("proc/11")).unwrap();

        let etcds = proc.etcds();
        let [pod, unit] = etcds.as_slice() else {
            panic!("{etcds:?}")
        };
        assert_eq!(
            (pod.pid, pod.in_container, pod.unit.as_deref()),
            (7, true, None)
        );
        assert_eq!((unit.pid, unit.uid, unit.in_container), (20, 991, false));
        assert_eq!(unit.unit.as_deref(), Some("etcd.service"));
        assert_eq!(unit.executable.as_deref(), Some(Path::new("/usr/bin/etcd")));
        assert_eq!(unit.invocation.words, ["/usr/bin/etcd", "--name=m1", ""]);
        assert_eq!(
            unit.invocation.working_directory.as_deref(),
            Some(Path::new("/var/lib/etcd"))
        );
        let variables = &unit.invocation.variables;
        assert_eq!((variables.len(), variables[0].value.as_str()), (2, "first"));
        assert!(unit.variables_read);
    }

    #[test]
    fn another_root_is_a_container_whatever_its_control_group() {
        let proc = Proc::new();
        for (pid, root) in [
            (1, proc.0.path().to_owned()),
            (2, proc.0.path().join("proc")),
        ] {
            proc.add(pid, &["etcd"], "/usr/bin/etcd", "0::/\n");
            symlink(root, proc.0.path().join(format!("proc/{pid}/root"))).unwrap();
        }
        let found: Vec<_> = proc.etcds().iter().map(|it| it.in_container).collect();
        assert_eq!(found, [false, true]);
    }

    #[test]
    fn a_tree_without_processes_has_none() {
        assert_eq!(Proc::new().etcds(), []);
    }

    #[test]
    fn an_edit_without_a_restart_shows() {
        let configured = |words: &[&str]| {
            let invocation = Invocation {
                words: words.iter().map(|&word| word.to_owned()).collect(),
                variables: Vec::new(),
                working_directory: Some(PathBuf::from("/")),
                unresolved: Vec::new(),
            };
            config::configure(&invocation, &|_| Ok("name: m1\n".to_owned()))
        };
        let running = configured(&[
            "etcd",
            "--name=m1",
            "--listen-peer-urls=http://b:1,http://a:1",
            "--client-cert-auth",
        ]);
        for (words, expected) in [
            (
                vec![
                    "/usr/bin/etcd",
                    "--client-cert-auth=1",
                    "--listen-peer-urls",
                    "http://a:1, http://b:1",
                    "--name=m1",
                    "--data-dir=/m1.etcd",
                ],
                vec![],
            ),
            (
                vec![
                    "etcd",
                    "--name=m1",
                    "--listen-peer-urls=http://b:1,http://a:1",
                    "--client-cert-auth",
                    "--data-dir=/new",
                ],
                vec!["data-dir is configured as /new, and the process runs with /m1.etcd"],
            ),
            (
                vec![
                    "etcd",
                    "--name=m1",
                    "--listen-peer-urls=http://b:1,http://a:1",
                    "--metrics=basic",
                ],
                vec![
                    "client-cert-auth is configured as false, and the process runs with true",
                    "metrics is configured as basic, and the process was started without it",
                ],
            ),
        ] {
            assert_eq!(
                differs(&configured(&words), &running),
                expected,
                "{words:?}"
            );
        }
        let from_file = configured(&["etcd", "--config-file=/c.yml"]);
        assert!(differs(&from_file, &running)[0].contains("/c.yml"));
    }
}
