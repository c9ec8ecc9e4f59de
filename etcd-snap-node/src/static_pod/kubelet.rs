//! Where kubelet looks for static pods, and which files it takes from there.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Finding, Root};

/// kubeadm's, and everybody's who does not say otherwise.
const USUAL: &str = "/etc/kubernetes/manifests";
/// Of those who start kubelet themselves, with flags that no file shows.
const OF_DISTRIBUTIONS: &[&str] = &[
    "/var/lib/rancher/rke2/agent/pod-manifests",
    "/var/lib/rancher/k3s/agent/pod-manifests",
];
const CONFIGURATION: &str = "/var/lib/kubelet/config.yaml";
/// Where kubelet's flags are written down.
const FLAG_FILES: &[&str] = &[
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
    "/etc/kubernetes/kubelet.env",
    "/etc/systemd/system/kubelet.service",
    "/run/systemd/system/kubelet.service",
    "/usr/local/lib/systemd/system/kubelet.service",
    "/usr/lib/systemd/system/kubelet.service",
    "/lib/systemd/system/kubelet.service",
];
const DROP_INS: &[&str] = &[
    "/etc/systemd/system/kubelet.service.d",
    "/run/systemd/system/kubelet.service.d",
    "/usr/lib/systemd/system/kubelet.service.d",
];

/// The manifests directories of a machine.
pub(crate) struct Directories {
    /// Those that kubelet looks into. Where that is not known, all usual ones.
    pub(crate) watched: Vec<PathBuf>,
    /// The usual one, where kubelet is known to look elsewhere.
    pub(crate) unwatched: Option<PathBuf>,
}

/// Finds them.
pub(crate) fn directories(root: &Root, findings: &mut Vec<Finding>) -> Directories {
    let flags = flag_texts(root);
    let mut configured: Vec<PathBuf> = values(&flags, "--pod-manifest-path");
    // The flag beats the file.
    if configured.is_empty() {
        let mut files = values(&flags, "--config");
        if files.is_empty() {
            files.push(CONFIGURATION.into());
        }
        configured = files
            .iter()
            .filter_map(|file| static_pod_path(root, file, findings))
            .collect();
        // Drop-ins are merged into it in their order: the last one counts (kubelet 1.28, for everybody since 1.30).
        for directory in values(&flags, "--config-dir") {
            let drop_ins = drop_ins(root, &directory, findings);
            let mut set = drop_ins
                .iter()
                .filter_map(|file| static_pod_path(root, file, findings));
            if let Some(path) = set.next_back() {
                configured = vec![path];
            }
        }
    }
    let usual = PathBuf::from(USUAL);
    let unwatched = (!configured.is_empty() && !configured.contains(&usual)).then(|| usual.clone());
    let mut watched = if configured.is_empty() {
        vec![usual]
    } else {
        configured
    };
    for directory in OF_DISTRIBUTIONS.iter().map(PathBuf::from) {
        if !watched.contains(&directory) {
            watched.push(directory);
        }
    }
    Directories { watched, unwatched }
}

/// The files of a directory that kubelet would run as pods: regular ones, links followed, that do not begin with a dot. A path may
/// be one such file itself.
pub(crate) fn files(root: &Root, directory: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let is_file = |path: &Path| fs::metadata(root.open_as(path)).is_ok_and(|it| it.is_file());
    if is_file(directory) {
        return vec![directory.to_owned()];
    }
    let names = match root.names(directory) {
        Ok(names) => names,
        Err(error) => {
            findings.push(
                Finding::error(
                    "manifests-unreadable",
                    format!("whether there are static pods is not known: {error}"),
                )
                .with_remedy("run this as root")
                .at(directory),
            );
            return Vec::new();
        }
    };
    names
        .into_iter()
        .filter(|name| !name.as_encoded_bytes().starts_with(b"."))
        .map(|name| directory.join(name))
        .filter(|path| is_file(path))
        .collect()
}

/// What ends in `.conf` below a directory, in the order in which kubelet walks through it; links to directories are not followed.
fn drop_ins(root: &Root, directory: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    /// Nobody has as many, and a tree may be anything.
    const MOST: usize = 10_000;
    let (mut files, mut left) = (Vec::new(), vec![directory.to_owned()]);
    for _ in 0..MOST {
        let Some(path) = left.pop() else { break };
        // The one that was named may be a link.
        let there = match path == directory {
            true => fs::metadata(root.open_as(&path)),
            false => fs::symlink_metadata(root.entry(&path)),
        };
        if !there.is_ok_and(|it| it.is_dir()) {
            if path.extension().is_some_and(|it| it == "conf") {
                files.push(path);
            }
            continue;
        }
        match root.names(&path) {
            Ok(names) => left.extend(names.into_iter().rev().map(|name| path.join(name))),
            Err(error) => findings.push(
                Finding::warning(
                    "kubelet-configuration-unreadable",
                    format!("{error}: where kubelet looks for static pods is not known for sure"),
                )
                .at(&path),
            ),
        }
    }
    files
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KubeletConfiguration {
    static_pod_path: Option<PathBuf>,
}

fn static_pod_path(root: &Root, file: &Path, findings: &mut Vec<Finding>) -> Option<PathBuf> {
    if !root.exists(file) {
        return None;
    }
    let text = match root.read_text(file) {
        Ok(text) => text,
        Err(error) => {
            findings.push(
                Finding::warning(
                    "kubelet-configuration-unreadable",
                    format!(
                        "{error}: where kubelet looks for static pods is not known, and {USUAL} is taken"
                    ),
                )
                .at(file),
            );
            return None;
        }
    };
    match super::yaml::read::<KubeletConfiguration>(&text) {
        Ok(configuration) => configuration
            .static_pod_path
            .filter(|path| path.is_absolute()),
        Err(problem) => {
            findings.push(
                Finding::warning(
                    "kubelet-configuration-unreadable",
                    format!(
                        "{} cannot be understood ({problem}): where kubelet looks for static pods is not known, and {USUAL} is taken",
                        file.display()
                    ),
                )
                .at(file),
            );
            None
        }
    }
}

fn flag_texts(root: &Root) -> Vec<String> {
    let drop_ins = DROP_INS.iter().flat_map(|directory| {
        let directory = Path::new(directory);
        root.names(directory)
            .unwrap_or_default()
            .into_iter()
            .map(move |name| directory.join(name))
    });
    FLAG_FILES
        .iter()
        .map(PathBuf::from)
        .chain(drop_ins)
        .filter_map(|path| root.read_text(&path).ok())
        .collect()
}

/// What a flag is set to in these texts. A file of words is enough here: they are looked at for absolute paths only.
fn values(texts: &[String], flag: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let line = line.trim_start();
        if line.starts_with(['#', ';']) {
            continue;
        }
        let mut words = line.split(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        while let Some(word) = words.next() {
            // `KEY="--flag=value` has its flag behind the quote, `KEY=--flag=value` behind the sign.
            let Some((_, rest)) = word.split_once(flag) else {
                continue;
            };
            let value = match rest.strip_prefix('=') {
                Some(value) => value,
                None if rest.is_empty() => words.next().unwrap_or_default(),
                None => continue,
            };
            let value = PathBuf::from(value);
            if value.is_absolute() && !found.contains(&value) {
                found.push(value);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::new(folder.path());
        (folder, root)
    }

    fn watched(files: &[(&str, &str)]) -> (Vec<PathBuf>, Vec<Finding>) {
        let (_folder, root) = machine(files);
        let mut findings = Vec::new();
        let directories = directories(&root, &mut findings);
        let watched = directories.watched.into_iter();
        (
            watched
                .filter(|it| !it.starts_with("/var/lib/rancher"))
                .collect(),
            findings,
        )
    }

    #[test]
    fn the_flag_beats_drop_ins_and_those_the_file_and_the_file_the_default() {
        let config = ("var/lib/kubelet/config.yaml", "staticPodPath: /etc/pods\n");
        let flag = (
            "etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
            "[Service]\n# --pod-manifest-path=/old\nEnvironment=\"KUBELET_ARGS=--v=2 --pod-manifest-path=/etc/flag\"\n",
        );
        let other = ("etc/default/kubelet", "ARGS='--config /etc/k.yaml'\n");
        let others = ("etc/k.yaml", "{\"staticPodPath\": \"/etc/json\"}");
        let directory = (
            "etc/default/kubelet",
            "ARGS=--config-dir=/etc/kubelet.conf.d\n",
        );
        let first = ("etc/kubelet.conf.d/10-a.conf", "staticPodPath: /etc/a\n");
        let second = ("etc/kubelet.conf.d/20/b.conf", "staticPodPath: /etc/b\n");
        let third = ("etc/kubelet.conf.d/30-c.conf", "maxPods: 3\n");
        let ignored = ("etc/kubelet.conf.d/40.yaml", "staticPodPath: /etc/no\n");
        for (files, expected) in [
            (&[][..], USUAL),
            (&[config, directory], "/etc/pods"),
            (&[config, directory, first, third, ignored], "/etc/a"),
            (&[directory, first, second, third], "/etc/b"),
            (&[flag, directory, first], "/etc/flag"),
            (&[config], "/etc/pods"),
            (&[config, flag], "/etc/flag"),
            (&[config, other, others], "/etc/json"),
            (&[("var/lib/kubelet/config.yaml", "kind: x\n")], USUAL),
        ] {
            let (found, findings) = watched(files);
            assert_eq!(found, [Path::new(expected)]);
            assert_eq!(findings, []);
        }
        let (found, findings) = watched(&[("var/lib/kubelet/config.yaml", "a: [\n")]);
        assert_eq!(found, [Path::new(USUAL)]);
        assert_eq!(findings[0].code, "kubelet-configuration-unreadable");
    }

    #[test]
    fn links_to_directories_of_drop_ins_are_not_followed() {
        let (folder, root) = machine(&[
            (
                "etc/default/kubelet",
                "ARGS=--config-dir=/etc/kubelet.conf.d\n",
            ),
            ("etc/kubelet.conf.d/10.conf", "staticPodPath: /etc/a\n"),
            ("etc/elsewhere/20.conf", "staticPodPath: /etc/b\n"),
        ]);
        let directory = folder.path().join("etc/kubelet.conf.d");
        for (name, to) in [
            ("30", "../elsewhere"),
            ("40", "."),
            ("50", "."),
            ("60", "/"),
        ] {
            symlink(to, directory.join(name)).unwrap();
        }
        let found = directories(&root, &mut Vec::new()).watched;
        assert_eq!(found[0], Path::new("/etc/a"), "{found:?}");
    }

    #[test]
    fn every_file_without_a_dot_is_run_whatever_it_is_called() {
        let (folder, root) = machine(&[
            ("m/etcd.yaml", ""),
            ("m/etcd.yaml.bak", ""),
            ("m/.hidden.yaml", ""),
            ("m/README", ""),
            ("m/old/etcd.yaml", ""),
            ("elsewhere/linked", ""),
        ]);
        symlink("/elsewhere/linked", folder.path().join("m/link")).unwrap();
        symlink("/nowhere", folder.path().join("m/dangling")).unwrap();
        let mut findings = Vec::new();
        let found = files(&root, Path::new("/m"), &mut findings);
        let found: Vec<_> = found.iter().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(
            found,
            ["/m/README", "/m/etcd.yaml", "/m/etcd.yaml.bak", "/m/link"]
        );
        assert_eq!(
            files(&root, Path::new("/m/etcd.yaml"), &mut findings),
            [Path::new("/m/etcd.yaml")]
        );
        assert_eq!(findings, []);
    }
}
